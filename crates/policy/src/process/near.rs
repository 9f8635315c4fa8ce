//! Which entries decide an execution, and which come near to it. For explanations.

use super::exec::{Entry, ExecRules, Execute};
use crate::Statement;

impl ExecRules {
    /// The entries that allow it.
    pub(crate) fn allowing(&self, ask: &Execute<'_>) -> Vec<Statement> {
        let taken = self.allow.iter().flatten().filter(|entry| entry.is(ask));
        taken.map(|entry| Statement::Run(entry.written.to_string())).collect()
    }

    /// The entries that deny it.
    pub(crate) fn denying(&self, ask: &Execute<'_>) -> Vec<Statement> {
        let mut taken: Vec<&Entry> = self.deny.iter().filter(|entry| entry.may_be(ask)).collect();
        taken.sort_by_key(|entry| &entry.written);
        taken.into_iter().map(|entry| Statement::NotRun(entry.written.to_string())).collect()
    }

    /// The entries for the same program that do not allow it, and by what they miss.
    pub(crate) fn near(&self, ask: &Execute<'_>) -> Vec<(Statement, String)> {
        let same = self.allow.iter().flatten().filter(|entry| entry.is_program(ask) && !entry.is(ask));
        same.map(|entry| (Statement::Run(entry.written.to_string()), entry.missed_by(ask).to_owned()))
            .collect()
    }
}

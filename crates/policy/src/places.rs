//! Where in its documents a policy says something.
//!
//! Kept beside the compiled policy and not in it: who decides needs no places, and who explains, tests and compares
//! needs all of them.

use creel_types::RuleId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The document, as [`Document::name`](crate::Document::name) calls it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that a policy says, and that a decision can rest on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statement {
    /// `network.deny`: the target as written.
    Deny(String),
    /// A rule of `network.rules`.
    Rule(RuleId),
    /// An `http.allow` pattern of a rule, as written.
    Allows(RuleId, String),
    /// An `http.deny` pattern of a rule, as written.
    Denies(RuleId, String),
    /// A path of `filesystem`, absolute.
    Path(PathBuf),
    /// A pattern of `filesystem.hide`, absolute.
    Hide(String),
    /// `process.exec.allow`: the entry as written.
    Run(String),
    /// `process.exec.deny`: the entry as written.
    NotRun(String),
    /// A name under `inference.models`.
    Models(String),
    /// `inference.capture`: the target as written.
    Capture(String),
}

impl Statement {
    /// The name that a record or a test case knows it by.
    pub fn name(&self) -> String {
        match self {
            Self::Deny(_) => "network.deny".to_owned(),
            Self::Rule(rule) | Self::Allows(rule, _) | Self::Denies(rule, _) => rule.to_string(),
            Self::Path(path) => path.display().to_string(),
            Self::Hide(pattern) => pattern.clone(),
            Self::Run(_) => "process.exec.allow".to_owned(),
            Self::NotRun(_) => "process.exec.deny".to_owned(),
            Self::Models(_) => "inference.models".to_owned(),
            Self::Capture(_) => "inference.capture".to_owned(),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(target) => write!(f, "network.deny `{target}`"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Allows(rule, pattern) => write!(f, "rule {rule}, `allow: {pattern}`"),
            Self::Denies(rule, pattern) => write!(f, "rule {rule}, `deny: {pattern}`"),
            Self::Path(path) => write!(f, "filesystem `{}`", path.display().to_string().escape_debug()),
            Self::Hide(pattern) => write!(f, "filesystem.hide `{}`", pattern.escape_debug()),
            Self::Run(entry) => write!(f, "process.exec.allow `{entry}`"),
            Self::NotRun(entry) => write!(f, "process.exec.deny `{entry}`"),
            Self::Models(name) => write!(f, "inference.models `{name}`"),
            Self::Capture(target) => write!(f, "inference.capture `{target}`"),
        }
    }
}

/// Every statement of a policy, with where it stands.
#[derive(Debug, Clone, Default)]
pub struct Places {
    said: BTreeMap<Statement, Place>,
}

impl Places {
    pub(crate) fn add(&mut self, statement: Statement, place: Place) {
        self.said.entry(statement).or_insert(place);
    }

    /// Where it stands; `None` for what no document says, as the workspace that is granted when nobody names one.
    pub fn of(&self, statement: &Statement) -> Option<&Place> {
        self.said.get(statement)
    }

    /// Where the rule stands.
    pub fn of_rule(&self, rule: &RuleId) -> Option<&Place> {
        self.of(&Statement::Rule(rule.clone()))
    }

    /// Where the path is granted or hidden.
    pub fn of_path(&self, path: &Path) -> Option<&Place> {
        self.of(&Statement::Path(path.to_owned()))
    }

    /// Everything that the policy says.
    pub fn statements(&self) -> impl Iterator<Item = (&Statement, &Place)> {
        self.said.iter()
    }
}

//! Which programs may be executed.
//!
//! A deny takes what it may be; an allow admits only what surely is: so a digest that nobody could take, arguments
//! that were too many to look at and an unknown parent count as the denied ones and not as the allowed ones.

use crate::network::{From, Program};
use crate::pattern::ArgumentPattern;
use crate::{Layer, NearMiss, Reason, Refusal};
use creel_types::{Caller, Digest, RuleId};

/// May this program be executed?
#[derive(Debug, Clone, Copy)]
pub struct Execute<'a> {
    /// The file's true name, and those of [`Process::exec_files`](crate::Process::exec_files) that lead to the same
    /// file. Empty when the file has no name.
    pub names: &'a [String],
    /// Names by which the file is asked for or was once known; they only ever count against it.
    pub also: &'a [String],
    /// SHA-256 of the file; `None` when it could not be taken.
    pub digest: Option<Digest>,
    /// The arguments that follow the program's own name.
    pub arguments: &'a [String],
    /// Whether these are all arguments.
    pub whole: bool,
    /// Who executes it, and what started that.
    pub parents: &'a Caller,
}

/// What the policy says about programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExecRules {
    /// Only these may be executed; `None`: all.
    pub allow: Option<Box<[Entry]>>,
    pub deny: Box<[Entry]>,
    /// The single files that entries name.
    pub files: Box<[String]>,
}

/// One entry of `allow` or `deny`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub program: Program,
    /// `None`: any.
    pub arguments: Option<ArgumentPattern>,
    pub from: From,
    /// As the policy's author wrote it.
    pub written: Box<str>,
}

impl ExecRules {
    /// Every entry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.allow.iter().flatten().chain(&self.deny)
    }

    pub(crate) fn are_said(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty()
    }

    pub(crate) fn judge(&self, ask: &Execute<'_>) -> Result<Option<RuleId>, Refusal> {
        if let Some(deny) =
            self.deny.iter().filter(|entry| entry.may_be(ask)).min_by_key(|entry| &entry.written)
        {
            return Err(ask.refuse(Reason::Denied(deny.written.to_string())));
        }
        match self.allow.as_deref() {
            None => Ok(None),
            Some(allow) if allow.iter().any(|entry| entry.is(ask)) => {
                Ok(Some(RuleId::new("process.exec.allow")))
            }
            Some(allow) => Err(Refusal { nearest: nearest(allow, ask), ..ask.refuse(Reason::Executable) }),
        }
    }
}

impl Entry {
    /// For an allow: whether it surely is this.
    pub(crate) fn is(&self, ask: &Execute<'_>) -> bool {
        self.is_program(ask)
            && self.arguments.as_ref().is_none_or(|pattern| ask.whole && pattern.matches(ask.arguments))
            && self.from.admits(ask.parents)
    }

    /// For a deny: unless it surely is not this.
    pub(super) fn may_be(&self, ask: &Execute<'_>) -> bool {
        let program = match &self.program {
            Program::Digest(digest) => ask.digest.is_none_or(|asked| asked == *digest),
            Program::Path(pattern) => ask.names.iter().chain(ask.also).any(|name| pattern.matches(name)),
            Program::Tree(_) => false,
        };
        program
            && self.arguments.as_ref().is_none_or(|pattern| !ask.whole || pattern.matches(ask.arguments))
            && self.from.may_be(ask.parents)
    }

    pub(super) fn is_program(&self, ask: &Execute<'_>) -> bool {
        match &self.program {
            Program::Digest(digest) => ask.digest == Some(*digest),
            Program::Path(pattern) => ask.names.iter().any(|name| pattern.matches(name)),
            Program::Tree(_) => false,
        }
    }

    /// What keeps an entry for the same program from being for this.
    pub(super) fn missed_by(&self, ask: &Execute<'_>) -> &'static str {
        match &self.arguments {
            Some(_) if !ask.whole => "arguments that are too long to be compared",
            Some(pattern) if !pattern.matches(ask.arguments) => "its arguments",
            _ => "the programs that it is executed from",
        }
    }

    /// Whether this deny leaves nothing of an allow, as far as the two entries show it.
    pub(crate) fn takes_all_of(&self, allow: &Self) -> bool {
        let same = match (&self.program, &allow.program) {
            (Program::Path(deny), Program::Path(allow)) => {
                deny == allow || allow.literal().is_some_and(|path| deny.matches(&path))
            }
            (Program::Digest(deny), Program::Digest(allow)) => deny == allow,
            _ => false,
        };
        same && !self.from.is_said() && (self.arguments.is_none() || self.arguments == allow.arguments)
    }
}

impl Execute<'_> {
    /// A refusal for this reason, with what was compared and what would allow it.
    pub fn refuse(&self, reason: Reason) -> Refusal {
        let (rule, suggestion) = match &reason {
            Reason::Denied(entry) => (
                Some(RuleId::new("process.exec.deny")),
                format!("process:\n  exec:\n    deny: []   # leave out `{entry}`, which beats every allow"),
            ),
            Reason::Executable => (None, self.entry().map(allowing).unwrap_or_default()),
            _ => (None, String::new()),
        };
        Refusal { layer: Layer::Process, rule, reason, compared: self.compared(), nearest: None, suggestion }
    }

    /// How a policy names the file.
    fn entry(&self) -> Option<String> {
        let plain = |name: &&String| !name.contains([' ', '*']) && name.starts_with('/');
        self.names.first().filter(plain).cloned().or_else(|| Some(format!("sha256:{}", self.digest?)))
    }

    fn compared(&self) -> String {
        const MOST: usize = 200;
        let name = self.names.first().or(self.also.first()).map_or("a file without a name", String::as_str);
        let mut words = name.escape_debug().to_string();
        for argument in self.arguments {
            words.push(' ');
            words.extend(argument.chars().take(MOST).flat_map(char::escape_debug));
            if words.len() > MOST {
                words.push_str(" ...");
                break;
            }
        }
        match self.parents.program() {
            Some(parent) => format!("{words} from {}", parent.path.to_string_lossy().escape_debug()),
            None => format!("{words} from an unknown program"),
        }
    }
}

fn allowing(entry: String) -> String {
    format!("process:\n  exec:\n    allow: [{entry:?}]   # add to the list")
}

/// An entry for the same program, and what kept it from being for this.
fn nearest(allow: &[Entry], ask: &Execute<'_>) -> Option<Box<NearMiss>> {
    let same = allow.iter().find(|entry| entry.is_program(ask))?;
    NearMiss::boxed(
        &RuleId::new("process.exec.allow"),
        format!("{}: `{}`", same.missed_by(ask), same.written),
    )
}

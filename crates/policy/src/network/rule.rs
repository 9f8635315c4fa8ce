//! One compiled rule.

use super::{AddressGrant, Content, Ports};
use crate::canonical::CanonicalPath;
use crate::pattern::{HostPattern, HttpPattern, PathPattern};
use creel_types::{Caller, Digest, RuleId};
use std::sync::Arc;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub id: RuleId,
    pub to: Vec<Target>,
    pub from: From,
    pub form: Form,
    /// What is put into its requests in place of a placeholder.
    pub credential: Option<Box<str>>,
    /// The addresses that its names may lead to although they are not public.
    pub grants: Arc<[AddressGrant]>,
}

/// Where a rule leads: hosts and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub host: HostPattern,
    pub ports: Ports,
    /// As the policy's author wrote it.
    pub written: Box<str>,
}

/// What may be said over the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// TLS to the admitted name, or any HTTP request.
    Plain,
    /// Any bytes.
    Raw,
    /// These requests, less those. Without an allow the rule only denies.
    Http { allow: Box<[HttpPattern]>, deny: Box<[HttpPattern]> },
    /// Requests that say this.
    Content(Box<Content>),
}

/// Which programs a rule is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct From(pub Option<Box<[Program]>>);

/// A `from:` entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Path(PathPattern),
    Digest(Digest),
    /// The program or anything that descends from it.
    Tree(Box<Program>),
}

impl Form {
    pub(crate) fn allows(&self, method: &str, path: &CanonicalPath) -> bool {
        match self {
            Self::Plain | Self::Raw => true,
            Self::Http { allow, .. } => allow.iter().any(|p| p.allows(method, path)),
            // What is in it decides, but where its head says it all.
            Self::Content(content) => content.allows_head(method, path),
        }
    }

    /// The deny that takes the request, as written.
    pub(crate) fn denies(&self, method: &str, path: &CanonicalPath) -> Option<&str> {
        self.denials().iter().filter(|p| p.denies(method, path)).map(|p| &*p.written).min()
    }

    /// The patterns of requests that it denies.
    pub(crate) fn denials(&self) -> &[HttpPattern] {
        match self {
            Self::Plain | Self::Raw => &[],
            Self::Http { deny, .. } => deny,
            Self::Content(content) => &content.deny,
        }
    }

    /// The patterns of requests that it lists as allowed.
    pub(crate) fn heads(&self) -> &[HttpPattern] {
        match self {
            Self::Plain | Self::Raw => &[],
            Self::Http { allow, .. } => allow,
            Self::Content(content) => content.allow.as_deref().unwrap_or_default(),
        }
    }

    /// What it says about what is in a request.
    pub(crate) fn content(&self) -> Option<&Content> {
        let Self::Content(content) = self else { return None };
        Some(content)
    }

    /// Every deny that takes the request, as written.
    pub(crate) fn denying(&self, method: &str, path: &CanonicalPath) -> impl Iterator<Item = &str> {
        self.denials().iter().filter(move |p| p.denies(method, path)).map(|p| &*p.written)
    }

    /// Every allow that takes the request, as written.
    pub(crate) fn allowing(&self, method: &str, path: &CanonicalPath) -> impl Iterator<Item = &str> {
        self.heads().iter().filter(move |p| p.allows(method, path)).map(|p| &*p.written)
    }

    /// Every pattern over requests.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &HttpPattern> + Clone {
        self.heads().iter().chain(self.denials())
    }

    pub(crate) fn has_deny(&self) -> bool {
        !self.denials().is_empty() || self.content().is_some_and(|content| content.says.has_deny())
    }

    /// Whether the rule allows anything at all, rather than only denying.
    pub(crate) fn admits(&self) -> bool {
        match self {
            Self::Plain | Self::Raw => true,
            Self::Http { allow, .. } => !allow.is_empty(),
            Self::Content(content) => content.says.admits(),
        }
    }
}

impl From {
    pub(crate) fn is_said(&self) -> bool {
        self.0.is_some()
    }

    /// For an allow: only a caller that is surely one of the programs.
    pub(crate) fn admits(&self, caller: &Caller) -> bool {
        let Some(programs) = &self.0 else { return true };
        programs.iter().any(|p| p.is(caller, |program| program.foreign_code.is_none()))
    }

    /// For a deny: unless the caller is surely none of the programs.
    pub(crate) fn may_be(&self, caller: &Caller) -> bool {
        let Some(programs) = &self.0 else { return true };
        caller.chain.is_empty()
            || caller.chain[0].foreign_code.is_some()
            || programs.iter().any(|p| p.is(caller, |_| true) || p.needs_digest_of(caller))
    }
}

impl Program {
    fn is(&self, caller: &Caller, trusted: fn(&creel_types::Program) -> bool) -> bool {
        match self {
            Self::Tree(inner) => caller.chain.iter().any(|p| trusted(p) && inner.is_program(p)),
            other => caller.program().is_some_and(|p| trusted(p) && other.is_program(p)),
        }
    }

    fn is_program(&self, program: &creel_types::Program) -> bool {
        match self {
            Self::Path(pattern) => program.path.to_str().is_some_and(|path| pattern.matches(path)),
            Self::Digest(digest) => program.digest == Some(*digest),
            Self::Tree(inner) => inner.is_program(program),
        }
    }

    /// What of the entry is seen in a chain of programs: by an allow, by a deny, and whether a digest is wanting.
    pub(crate) fn seen_in(&self, caller: &Caller) -> [bool; 3] {
        let surely = self.is(caller, |program| program.foreign_code.is_none());
        [surely, self.is(caller, |_| true), self.needs_digest_of(caller)]
    }

    /// Whether the answer hangs on a digest that nobody could take.
    fn needs_digest_of(&self, caller: &Caller) -> bool {
        match self {
            Self::Digest(_) => caller.program().is_none_or(|p| p.digest.is_none()),
            Self::Tree(inner) => {
                matches!(**inner, Self::Digest(_)) && caller.chain.iter().any(|p| p.digest.is_none())
            }
            Self::Path(_) => false,
        }
    }
}

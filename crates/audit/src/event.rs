//! What can be recorded.

mod actor;
mod control;
mod network;
mod process;

pub use actor::Actor;
pub use control::{Finding, ModelCall, PolicyChange, Severity, Tokens};
pub use network::{Connection, Dns, Handling, Phase, Request};
pub use process::{Exec, Exit, Parent, Program, Start};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The sandbox started: always the first event.
    Start(Start),
    /// A connection ended, or was refused.
    Connection(Connection),
    /// An HTTP request was answered, or refused.
    Request(Request),
    /// A name was asked for.
    Dns(Dns),
    /// A program was executed, or its execution refused.
    Exec(Exec),
    /// A model was called.
    ModelCall(ModelCall),
    /// The policy was changed, or a change was refused.
    PolicyChange(PolicyChange),
    /// The sandbox ended: always the last event.
    Exit(Exit),
    /// Something that somebody should look at: a layer that broke, a record that was interrupted.
    Finding(Finding),
}

/// Which of the events one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Event::Start`]
    Start,
    /// [`Event::Connection`]
    Connection,
    /// [`Event::Request`]
    Request,
    /// [`Event::Dns`]
    Dns,
    /// [`Event::Exec`]
    Exec,
    /// [`Event::ModelCall`]
    ModelCall,
    /// [`Event::PolicyChange`]
    PolicyChange,
    /// [`Event::Exit`]
    Exit,
    /// [`Event::Finding`]
    Finding,
}

impl Kind {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Connection,
        Self::Request,
        Self::Dns,
        Self::Exec,
        Self::ModelCall,
        Self::PolicyChange,
        Self::Exit,
        Self::Finding,
    ];

    /// The word that people write and read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Connection => "connection",
            Self::Request => "request",
            Self::Dns => "dns",
            Self::Exec => "exec",
            Self::ModelCall => "model_call",
            Self::PolicyChange => "policy_change",
            Self::Exit => "exit",
            Self::Finding => "finding",
        }
    }
}

/// What the policy did about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// A rule allowed it.
    Allowed,
    /// It was refused; the refusal in the words that the agent received, with what looks like a token masked.
    Refused(#[serde(serialize_with = "crate::redact::prose::masked")] Value),
    /// It would have been refused, but the policy only observes; the refusal that was not given, masked likewise.
    Observed(#[serde(serialize_with = "crate::redact::prose::masked")] Value),
}

impl Disposition {
    /// The refusal, given or only observed.
    pub fn refusal(&self) -> Option<&Value> {
        match self {
            Self::Allowed => None,
            Self::Refused(refusal) | Self::Observed(refusal) => Some(refusal),
        }
    }
}

impl Event {
    /// Which event this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Start(_) => Kind::Start,
            Self::Connection(_) => Kind::Connection,
            Self::Request(_) => Kind::Request,
            Self::Dns(_) => Kind::Dns,
            Self::Exec(_) => Kind::Exec,
            Self::ModelCall(_) => Kind::ModelCall,
            Self::PolicyChange(_) => Kind::PolicyChange,
            Self::Exit(_) => Kind::Exit,
            Self::Finding(_) => Kind::Finding,
        }
    }

    /// The program that did it, where one is known.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Self::Exec(e) => Some(&e.program),
            Self::Finding(e) => e.program.as_ref(),
            other => other.actor().map(|actor| &**actor),
        }
    }

    /// The same, where it is written out once for many events.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Connection(e) => e.program.as_ref(),
            Self::Request(e) => e.program.as_ref(),
            Self::Dns(e) => e.program.as_ref(),
            Self::ModelCall(e) => e.program.as_ref(),
            _ => None,
        }
    }

    /// The host that it was about.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Connection(e) => Some(&e.host),
            Self::Request(e) => Some(&e.host),
            Self::Dns(e) => Some(&e.name),
            Self::ModelCall(e) => Some(&e.host),
            _ => None,
        }
    }

    /// The rule that decided.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Connection(e) => e.rule.as_deref(),
            Self::Request(e) => e.rule.as_deref(),
            Self::Exec(e) => e.rule.as_deref(),
            Self::ModelCall(e) => e.rule.as_deref(),
            _ => None,
        }
    }

    /// What the policy did about it; `None` for what no policy judges.
    pub fn disposition(&self) -> Option<&Disposition> {
        match self {
            Self::Connection(e) => Some(&e.disposition),
            Self::Request(e) => Some(&e.disposition),
            Self::Exec(e) => Some(&e.disposition),
            Self::ModelCall(e) => Some(&e.disposition),
            _ => None,
        }
    }

    /// Whether something was refused: by the policy, or the policy change itself.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::PolicyChange(change) => change.refused.is_some(),
            other => matches!(other.disposition(), Some(Disposition::Refused(_))),
        }
    }
}

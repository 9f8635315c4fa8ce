//! A refusal that explains itself (law 8): the same words reach the agent, the record and `explain`.

use creel_types::RuleId;
use serde::{Serialize, Serializer};
use std::fmt;

/// Why something was not allowed. Not an error: the policy did what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Which layer refused.
    pub layer: Layer,
    /// The rule that refused; `None` when it is that no rule allows.
    #[serde(serialize_with = "optional_rule")]
    pub rule: Option<RuleId>,
    /// Why.
    pub reason: Reason,
    /// What was compared, in canonical form.
    pub compared: String,
    /// The rule that came nearest, and what it missed by.
    pub nearest: Option<Box<NearMiss>>,
    /// The smallest change of the policy that would have allowed it, as YAML; empty when there is none.
    pub suggestion: String,
}

/// A layer of containment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Connections and requests.
    Network,
    /// Model calls.
    Inference,
    /// Programs.
    Process,
}

impl NearMiss {
    pub(crate) fn boxed(rule: &RuleId, missed_by: String) -> Option<Box<Self>> {
        Some(Box::new(Self { rule: rule.clone(), missed_by }))
    }
}

/// The kind of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "code", content = "detail")]
pub enum Reason {
    /// No rule admits the host.
    NoRule,
    /// A `network.deny` or `process.exec.deny` entry takes it; the entry as written.
    Denied(String),
    /// Rules admit the host, not on this port.
    Port,
    /// Rules admit the host and port, not for this program.
    Program,
    /// Rules admit the connection, not this request.
    Request,
    /// An `http.deny` pattern takes the request; the pattern as written.
    RequestDenied(String),
    /// Rules admit the request's head, not what it says.
    Content,
    /// A deny of what a request says takes it; the deny as written.
    ContentDenied(String),
    /// The address is not one that a name may lead to; what the address is.
    Address(String),
    /// The connection ends at the model router; there is nothing to dial.
    ModelOnly,
    /// The bytes are not what the rule says they are; what was wrong. Made by the proxy.
    Protocol(String),
    /// No `process.exec.allow` entry is for this program, its arguments and its parents.
    Executable,
    /// It cannot be told for sure what would run; why. Made where programs are watched.
    Untold(String),
    /// The policy could not be read, so everything is refused; why.
    Unreadable(String),
}

/// A rule that almost allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The rule.
    #[serde(serialize_with = "rule")]
    pub rule: RuleId,
    /// What kept it from matching.
    pub missed_by: String,
}

fn rule<S: Serializer>(rule: &RuleId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(rule.as_str())
}

fn optional_rule<S: Serializer>(rule: &Option<RuleId>, to: S) -> Result<S::Ok, S::Error> {
    rule.as_ref().map(RuleId::as_str).serialize(to)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule admits this host"),
            Self::Denied(entry) => write!(f, "`deny: {entry}` takes it"),
            Self::Port => f.write_str("no rule admits this host on this port"),
            Self::Program => f.write_str("no rule admits this program to this host"),
            Self::Request => f.write_str("no rule allows this request"),
            Self::RequestDenied(pattern) => write!(f, "`deny: {pattern}` takes the request"),
            Self::Content => f.write_str("no rule allows what the request says"),
            Self::ContentDenied(entry) => write!(f, "`deny: {entry}` takes what the request says"),
            Self::Address(what) => write!(f, "the address is {what}"),
            Self::ModelOnly => f.write_str("this host is served by the model router and is never dialled"),
            Self::Protocol(what) => write!(f, "not what the rule allows: {what}"),
            Self::Executable => f.write_str("no `process.exec.allow` entry covers it"),
            Self::Untold(why) => write!(f, "it cannot be told for sure what would run: {why}"),
            Self::Unreadable(why) => write!(f, "the policy could not be read: {why}"),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Inference => "inference",
            Self::Process => "process",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {} policy: {}", self.layer, self.reason)?;
        write!(f, "\n  compared: {}", self.compared)?;
        if let Some(rule) = &self.rule {
            write!(f, "\n  rule: {rule}")?;
        }
        if let Some(near) = &self.nearest {
            write!(f, "\n  nearest rule: {}, missed by {}", near.rule, near.missed_by)?;
        }
        if !self.suggestion.is_empty() {
            f.write_str("\n  to allow it:")?;
            self.suggestion.lines().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        Ok(())
    }
}

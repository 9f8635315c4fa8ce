//! What is written down: each event once, before it has an effect.

use creel_types::{Caller, Generation, Host, RuleId};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The record could not take an event. Nothing is admitted while that is so.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the record cannot be written: {0}")]
pub struct JournalError(pub String);

/// Who acted, and on which connection.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The connection's number within the sandbox's life.
    pub connection: u64,
    /// The program and its parents; empty when the kernel could not say.
    pub caller: &'a Caller,
    /// The agent's end.
    pub source: SocketAddr,
    /// Where it wanted to go.
    pub host: &'a Host,
    /// The port there.
    pub port: u16,
    /// The policy that was asked.
    pub generation: Generation,
}

/// A connection that may go on.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionAdmitted<'a> {
    /// Who.
    pub who: Who<'a>,
    /// The rule that allowed it.
    pub rule: &'a RuleId,
    /// What is done with it: `inspect`, `pass-through`, `raw`, `model`.
    pub handling: &'static str,
}

/// A connection that is over.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionEnded<'a> {
    /// Who.
    pub who: Who<'a>,
    /// Bytes from the agent.
    pub sent: u64,
    /// Bytes to the agent.
    pub received: u64,
    /// How long it lasted.
    pub lasted: Duration,
    /// The address that was dialled first; `None` when none was.
    pub dialled: Option<SocketAddr>,
    /// It was cut because the policy changed.
    pub cut: bool,
}

/// A request that may go on.
#[derive(Debug, Clone, Copy)]
pub struct RequestAdmitted<'a> {
    /// Who.
    pub who: Who<'a>,
    /// The rule that allowed it.
    pub rule: &'a RuleId,
    /// The method.
    pub method: &'a str,
    /// Canonical path and query, as sent upstream.
    pub path: &'a str,
    /// What it says, in short and without values, where a rule asked.
    pub said: Option<&'a str>,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// A request that is over: answered to its end, or broken off.
#[derive(Debug, Clone, Copy)]
pub struct RequestEnded<'a> {
    /// What was admitted.
    pub admitted: RequestAdmitted<'a>,
    /// The status that the agent received; `None` when it received none.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body.
    pub received: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// A connection or request that may not.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Who.
    pub who: Who<'a>,
    /// The refusal, in the words that the agent reads.
    pub refusal: &'a creel_policy::Refusal,
    /// What was asked, when the agent got so far as to ask.
    pub request: Option<RefusedRequest<'a>>,
    /// The policy only observes: it was recorded and went on all the same.
    pub overlooked: bool,
}

/// A request that may not go on.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The target as the agent wrote it.
    pub target: &'a str,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The status that the agent receives; `None` when the refusal is overlooked.
    pub status: Option<u16>,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, Copy)]
pub struct Alarm<'a> {
    /// Who.
    pub who: Who<'a>,
    /// What happened, without any secret in it.
    pub what: &'a str,
}

/// A question to the sandbox's resolver.
#[derive(Debug, Clone, Copy)]
pub struct DnsAsked<'a> {
    /// The program and its parents; empty when the kernel could not say.
    pub caller: &'a Caller,
    /// The agent's end.
    pub source: SocketAddr,
    /// The name as asked.
    pub name: &'a str,
    /// `A`, `AAAA`, `PTR` or `TYPEnn`.
    pub kind: &'a str,
    /// The address that was answered.
    pub answered: Option<IpAddr>,
    /// The policy in force.
    pub generation: Generation,
}

/// Takes events down. Called before an event has its effect; an error refuses the event.
pub trait Journal: Send + Sync {
    /// A connection was admitted.
    fn connection(&self, event: &ConnectionAdmitted<'_>) -> Result<(), JournalError>;
    /// A connection is over; an error here has nothing left to refuse and is for the next event to meet.
    fn ended(&self, event: &ConnectionEnded<'_>) -> Result<(), JournalError>;
    /// A request was admitted.
    fn request(&self, event: &RequestAdmitted<'_>) -> Result<(), JournalError>;
    /// A request is over; as for [`Journal::ended`], an error has nothing left to refuse.
    fn answered(&self, event: &RequestEnded<'_>) -> Result<(), JournalError>;
    /// A connection or request was refused.
    fn refused(&self, event: &Refused<'_>) -> Result<(), JournalError>;
    /// Something happened that somebody should look at.
    fn alarm(&self, event: &Alarm<'_>) -> Result<(), JournalError>;
    /// A name was asked for.
    fn question(&self, event: &DnsAsked<'_>) -> Result<(), JournalError>;
}

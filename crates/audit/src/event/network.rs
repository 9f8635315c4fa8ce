//! Events about the network.

use super::{Actor, Disposition};
use crate::redact::Target;
use crate::text;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How a connection was handled once it was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// TLS was opened and each request was judged.
    Inspect,
    /// TLS was passed on unopened after its name was checked.
    PassThrough,
    /// Bytes were passed on unread, because a rule says `raw`.
    Raw,
    /// It went to a model backend.
    Model,
}

/// Which end of a connection's life an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was admitted, and nothing went out yet. (Or it was refused, and nothing ever will.)
    Opened,
    /// It is over.
    Closed,
}

/// A connection: recorded before it has an effect, and again with what passed when it is over. One that is refused
/// is recorded once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the connection within this run; the requests on it name it.
    pub id: u64,
    /// Its beginning or its end.
    pub phase: Phase,
    /// Who connected.
    pub program: Option<Actor>,
    /// The name, or the address when the program gave one itself.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address that was dialled; nothing when none was.
    pub dialled: Option<SocketAddr>,
    /// How it was handled; nothing when it was refused before that was known.
    pub handling: Option<Handling>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The policy that decided.
    pub generation: u64,
    /// What was decided.
    pub disposition: Disposition,
    /// Why an admitted connection did not live to its own end: `dial failed: ...`, `cut by policy 3`.
    pub failure: Option<String>,
    /// Bytes from the agent to the host.
    pub bytes_up: u64,
    /// Bytes from the host to the agent.
    pub bytes_down: u64,
    /// From accept to end.
    #[serde(rename = "duration_us", with = "text::micros")]
    pub duration: Duration,
    /// The server name in the TLS hello, where there was one.
    pub sni: Option<String>,
}

/// An HTTP request: recorded before it goes upstream, and again with its outcome when it is over. One that is refused
/// is recorded once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The connection that it came on.
    pub connection: u64,
    /// Its beginning or its end.
    pub phase: Phase,
    /// Who asked.
    pub program: Option<Actor>,
    /// Canonical method.
    pub method: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and the keys of the query.
    pub target: Target,
    /// What it says beneath its head, in short and without values, where a rule asked: `tools/call search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Status that the agent received; nothing when it received none.
    pub status: Option<u16>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The policy that decided.
    pub generation: u64,
    /// What was decided.
    pub disposition: Disposition,
    /// Why an allowed request was not answered to the end.
    pub failure: Option<String>,
    /// Bytes of the request's body.
    pub bytes_up: u64,
    /// Bytes of the response's body.
    pub bytes_down: u64,
    /// From the request's head to the response's end.
    #[serde(rename = "duration_us", with = "text::micros")]
    pub duration: Duration,
}

/// A name was asked for; the sandbox's own DNS answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Who asked, where it is known (a datagram has no `connect` to learn it from).
    pub program: Option<Actor>,
    /// The name.
    pub name: String,
    /// The type in its usual spelling: `A`, `AAAA`, `TXT`.
    pub query_type: String,
    /// Response code (RFC 6895).
    pub code: u16,
    /// The addresses that were answered: synthetic ones, which mean the name and nothing else.
    pub answers: Vec<IpAddr>,
}

//! The questions that a policy answers, and the answers that stand for permission.

use crate::canonical::CanonicalPath;
use crate::network::Grants;
use creel_types::{Caller, Host, RuleId};
use std::net::SocketAddr;

/// May this program connect there?
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// The name that the program used, or the address when it used none.
    pub host: &'a Host,
    /// The port it asked for.
    pub port: u16,
    /// Who asks; [`Caller::UNKNOWN`] when the kernel could not say.
    pub caller: &'a Caller,
}

/// May this request be made over that connection?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The connection: its host must be the request's own authority.
    pub connect: Connect<'a>,
    /// The method, as [`canonical::method`](crate::canonical::method) took it.
    pub method: &'a str,
    /// The path, which is also what must be sent.
    pub path: &'a CanonicalPath,
}

/// What the proxy does with an admitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// Open TLS and ask [`Policy::request`](crate::Policy::request) for every request.
    Inspect,
    /// Every request is allowed: TLS is spliced after its SNI was checked, plain HTTP is parsed.
    PassThrough,
    /// Any bytes.
    Raw,
    /// The connection ends at the model router and is never dialled.
    Model,
}

/// Leave to go to a name: not yet to any address. Only [`Policy::connect`](crate::Policy::connect) and
/// [`Policy::overlook`](crate::Policy::overlook) make one.
#[derive(Debug)]
pub struct Admission {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) handling: Handling,
    pub(crate) rule: RuleId,
    pub(crate) grants: Grants,
}

impl Admission {
    /// The rule that admits.
    pub fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// What the proxy does with the connection.
    pub fn handling(&self) -> Handling {
        self.handling
    }

    /// The host that was asked for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port that was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Proof that a policy allowed one dial, to the name that was used *and* the address it led to. Spent by use: it
/// cannot be cloned, and a retry is a new decision.
#[derive(Debug)]
pub struct Permit {
    pub(crate) host: Host,
    pub(crate) addr: SocketAddr,
    pub(crate) rule: RuleId,
}

impl Permit {
    /// The name (or address) that was asked for: what TLS must prove.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The address and port to dial.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The rule that allowed it.
    pub fn rule(&self) -> &RuleId {
        &self.rule
    }
}

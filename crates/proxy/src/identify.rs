//! Who connected, and where to.

use crate::explicit::Asked;
use crate::record::Who;
use creel_net::synthetic::{self, Held, Synthetic};
use creel_types::{Caller, Generation, Host};
use std::net::SocketAddr;
use std::sync::Arc;

/// Knows which program opened a connection.
pub trait Witness: Send + Sync {
    /// The program that connected from `source` to `destination` (the address it asked for, synthetic ones as they
    /// are), when the kernel could say.
    fn who(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>>;

    /// Where the connection from `source` that arrived at `listener` was meant to go, where only the witness knows.
    fn bound_for(&self, _source: SocketAddr, _listener: SocketAddr) -> Option<SocketAddr> {
        None
    }

    /// The program that sent DNS datagrams from `source` to `destination`.
    fn who_asked(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>>;
}

/// One connection's facts: they do not change while it lives.
#[derive(Debug)]
pub(crate) struct Flow {
    pub id: u64,
    pub host: Host,
    pub port: u16,
    pub caller: Arc<Caller>,
    /// The witness knew the caller. A caller that is not known matches no `from:`, and is refused where one is asked.
    pub attributed: bool,
    pub source: SocketAddr,
    /// The address stood for a name once, and does not now.
    pub forgotten: bool,
    /// One request is answered on this connection, because the next may be for another host.
    pub once: bool,
    /// Keeps the name's address while the connection lives.
    _held: Option<Held>,
}

impl Flow {
    /// Names the ends of a connection.
    pub(crate) fn new(
        id: u64,
        (source, destination): (SocketAddr, SocketAddr),
        names: &Synthetic,
        witness: &dyn Witness,
    ) -> Self {
        let held = names.hold(destination.ip());
        let host = match &held {
            Some(held) => Host::Name(held.name().clone()),
            None => Host::from_addr(destination.ip()),
        };
        let caller = witness.who(source, destination);
        Self {
            id,
            host,
            port: destination.port(),
            attributed: caller.is_some(),
            caller: caller.unwrap_or_default(),
            source,
            once: false,
            forgotten: held.is_none() && synthetic::is_synthetic(destination.ip()),
            _held: held,
        }
    }

    /// The same client on its way to where it told a proxy that it wants to go.
    pub(crate) fn onward(&self, asked: Asked) -> Self {
        let Asked { host, port, once } = asked;
        let Self { id, attributed, source, .. } = *self;
        let caller = Arc::clone(&self.caller);
        Self { id, host, port, caller, attributed, source, forgotten: false, once, _held: None }
    }

    pub(crate) fn who(&self, generation: Generation) -> Who<'_> {
        Who {
            connection: self.id,
            caller: &self.caller,
            source: self.source,
            host: &self.host,
            port: self.port,
            generation,
        }
    }
}

//! Connections outside that outlived their connection inside, and wait for its next.
//!
//! A program that opens a connection for each request would have a handshake outside for each, too, which costs more
//! than all else that is done for it. What must stay apart stays apart:
//!
//! * A connection waits for the process that it was opened for, and for the same host and port, and no other: what one
//!   program left half-said upstream can never be read as part of another's request.
//! * It is had for a [`Permit`] for its address, as a dial is, so that it is never used on an older decision.
//! * It waits only when it is at rest: HTTP/1.1 over TLS, its last answer read to the end, no protocol switched, and
//!   no credentials in use that hold for the connection instead of the request (NTLM, Negotiate).
//! * The server may close it at any moment, so it is used only for a request that may be sent twice.

use crate::exit::Exit;
use crate::identify::Flow;
use creel_net::Body;
use creel_net::socket::Cutter;
use creel_policy::Permit;
use creel_types::{Caller, Generation, Host};
use http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use hyper::client::conn::http1;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Connections that wait at once, of one sandbox; one more closes the one that waited longest.
const MOST: usize = 64;
/// How long one waits. Servers keep theirs for longer as a rule; one that does not is noticed by the close it sends.
const WAITS: Duration = Duration::from_secs(15);

/// An HTTP/1.1 connection outside.
pub(crate) struct Line {
    pub sender: http1::SendRequest<Body>,
    /// It holds for the connection who asks on it, so that nobody else may.
    pub bound: bool,
    pub outside: Outside,
}

/// The connection beneath: where it leads, and how it is cut.
pub(crate) struct Outside {
    pub addr: SocketAddr,
    pub cutter: Cutter,
    /// Shared with whoever still reads an answer from it.
    pub driver: Arc<Driver>,
}

/// Drives a connection; ends with the last of its owners.
pub(crate) struct Driver(AbortHandle);

impl Driver {
    pub(crate) fn of<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        Self(tokio::spawn(async { drop(connection.await) }).abort_handle())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All connections of one sandbox that wait.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Waiting>>);

struct Waiting {
    line: Line,
    host: Host,
    port: u16,
    caller: Arc<Caller>,
    generation: Generation,
    since: Instant,
}

impl Waiting {
    fn is_for(&self, flow: &Flow) -> bool {
        let same = Arc::ptr_eq(&self.caller, &flow.caller) || self.caller.chain == flow.caller.chain;
        same && self.port == flow.port && self.host == flow.host
    }

    fn is_good(&self) -> bool {
        self.since.elapsed() < WAITS && self.line.is_at_rest()
    }
}

impl Line {
    fn is_at_rest(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Notes when these fields, of a request or an answer, bind the connection to who asks.
    pub(crate) fn heed(&mut self, headers: &HeaderMap) {
        let fields = [AUTHORIZATION, WWW_AUTHENTICATE];
        let mut values = fields.iter().flat_map(|name| headers.get_all(name));
        self.bound |= values.any(|value| binds(value.as_bytes()));
    }
}

/// Whether one of the schemes authenticates connections. Their names may stand anywhere in a list of challenges; that
/// a word of another scheme's may look the same only costs a connection its rest.
fn binds(value: &[u8]) -> bool {
    let mut words = value.split(|byte| matches!(byte, b' ' | b',' | b'\t'));
    words.any(|word| word.eq_ignore_ascii_case(b"ntlm") || word.eq_ignore_ascii_case(b"negotiate"))
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything waits for this program and host.
    pub(crate) fn has(&self, flow: &Flow) -> bool {
        self.lock().iter().any(|waiting| waiting.is_for(flow))
    }

    /// The connection that waits where `permit` leads, instead of a dial. Spends the permit.
    pub(crate) fn take(&self, permit: Permit, flow: &Flow, generation: Generation) -> Option<Line> {
        let mut all = self.lock();
        all.retain(Waiting::is_good);
        let fits = |waiting: &Waiting| {
            waiting.line.outside.addr == permit.addr()
                && waiting.generation == generation
                && waiting.is_for(flow)
        };
        // The one that has waited least is the least likely to be closed by its server just now.
        let found = all.iter().rposition(fits)?;
        Some(all.remove(found).line)
    }

    /// Closes all: the policy changed.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Closes what has waited long enough, and says whether anything is left.
    fn sweep(&self) -> bool {
        let mut all = self.lock();
        all.retain(Waiting::is_good);
        !all.is_empty()
    }
}

impl Exit {
    /// Lets a connection wait for the flow's program to come again, if it may.
    pub(crate) fn park(self: &Arc<Self>, flow: &Flow, generation: Generation, line: Line) {
        if line.bound || !line.is_at_rest() || !flow.attributed {
            return;
        }
        let (host, port, caller) = (flow.host.clone(), flow.port, Arc::clone(&flow.caller));
        let mut all = self.pool.lock();
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Waiting { line, host, port, caller, generation, since: Instant::now() });
        if all.len() == 1 {
            let exit = Arc::downgrade(self);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(WAITS).await;
                    if !exit.upgrade().is_some_and(|exit| exit.pool.sweep()) {
                        return;
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_authenticate_a_connection_are_seen_in_any_list() {
        for (value, bound) in [
            ("Bearer abc", false),
            ("Basic bmVnb3RpYXRl", false),
            ("NTLM TlRMTVNTUAAB", true),
            ("Basic realm=\"x\", Negotiate", true),
            ("negotiate YII", true),
        ] {
            assert_eq!(binds(value.as_bytes()), bound, "{value}");
        }
    }
}

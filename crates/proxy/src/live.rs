//! What is running, and what a new policy says to it.

use crate::decide;
use crate::exit::Exit;
use crate::identify::Flow;
use crate::watched::Knife;
use creel_net::socket::Cutter;
use creel_policy::canonical::CanonicalPath;
use creel_policy::{Admission, Connect, Contents, Handling, Head, Refusal, Request};
use http::Method;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a change of policy did to what was running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejudged {
    /// Connections that go on undisturbed.
    pub kept: usize,
    /// What was cut.
    pub cut: Vec<Cut>,
}

/// One connection or request that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The connection's number within the sandbox's life.
    pub connection: u64,
    /// `host:port`.
    pub to: String,
    /// Method and path when only a request was cut and its connection goes on.
    pub request: Option<String>,
    /// Why, in the policy's words.
    pub why: String,
}

/// All of one sandbox's connections.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<u64, Arc<Connection>>>);

/// One live connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub flow: Arc<Flow>,
    agent: Cutter,
    gone: Notify,
    pub was_cut: AtomicBool,
    state: Mutex<State>,
    next_request: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How it was admitted; `None` while it is being refused.
    handling: Option<Handling>,
    upstreams: Vec<(IpAddr, Cutter)>,
    /// The first address that was dialled.
    dialled: Option<SocketAddr>,
    requests: HashMap<u64, LiveRequest>,
}

#[derive(Debug)]
struct LiveRequest {
    method: Method,
    path: CanonicalPath,
    /// What it says, where a rule asked.
    said: Option<Arc<Contents>>,
    knife: Arc<Knife>,
    /// It shares its connection with others, so it can be cut alone.
    alone: bool,
}

/// A connection's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub connection: Arc<Connection>,
    exit: Arc<Exit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.exit.live.lock().remove(&self.connection.flow.id);
    }
}

/// A request's place in its connection; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct RequestPlace {
    connection: Arc<Connection>,
    id: u64,
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        self.connection.lock().requests.remove(&self.id);
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        unpoisoned(&self.0)
    }

    /// Enters a connection, unless `most` are in already.
    pub(crate) fn enter(exit: &Arc<Exit>, flow: Arc<Flow>, agent: Cutter, most: usize) -> Option<Place> {
        let mut all = exit.live.lock();
        if all.len() >= most {
            return None;
        }
        let connection = Arc::new(Connection {
            flow,
            agent,
            gone: Notify::new(),
            was_cut: AtomicBool::new(false),
            state: Mutex::default(),
            next_request: AtomicU64::new(0),
        });
        all.insert(connection.flow.id, Arc::clone(&connection));
        Some(Place { connection, exit: Arc::clone(exit) })
    }
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(&self.state)
    }

    /// Notes how the connection was admitted, so that the next policy is asked about it.
    pub(crate) fn admitted(&self, handling: Handling) {
        self.lock().handling = Some(handling);
    }

    /// Notes a connection outside that belongs to this one. Old ones that were replaced are forgotten.
    pub(crate) fn reached(&self, addr: SocketAddr, upstream: Cutter, most: usize) {
        let mut state = self.lock();
        state.dialled.get_or_insert(addr);
        if state.upstreams.len() >= most {
            state.upstreams.remove(0);
        }
        state.upstreams.push((addr.ip().to_canonical(), upstream));
    }

    /// Forgets a connection outside that is not used after all.
    pub(crate) fn left(&self, upstream: &Cutter) {
        self.lock().upstreams.retain(|(_, cutter)| !cutter.is_of(upstream));
    }

    /// Notes a request that was allowed.
    pub(crate) fn begin(
        self: &Arc<Self>,
        (method, path, said): (&Method, &CanonicalPath, Option<&Arc<Contents>>),
        knife: &Arc<Knife>,
        alone: bool,
    ) -> RequestPlace {
        let id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let request = LiveRequest {
            method: method.clone(),
            path: path.clone(),
            said: said.cloned(),
            knife: Arc::clone(knife),
            alone,
        };
        self.lock().requests.insert(id, request);
        RequestPlace { connection: Arc::clone(self), id }
    }

    /// Whether no request is being answered.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.lock().requests.is_empty()
    }

    /// Ends when the connection is cut.
    pub(crate) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// The address that was dialled first.
    pub(crate) fn dialled(&self) -> Option<SocketAddr> {
        self.lock().dialled
    }

    pub(crate) fn moved(&self) -> (u64, u64) {
        self.agent.moved()
    }

    /// Resets both ends now; the task that serves it ends at its next turn.
    fn cut(&self) {
        self.was_cut.store(true, Ordering::Relaxed);
        self.agent.cut();
        for (_, upstream) in &self.lock().upstreams {
            upstream.cut();
        }
        self.gone.notify_one();
    }
}

impl Exit {
    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.live.lock().len()
    }

    /// Asks the policy in force about every live connection and request, after [`crate::PolicyCell::swap`]. What is
    /// no longer allowed is reset before this returns; all else is not touched.
    pub fn rejudge(&self) -> Rejudged {
        let all: Vec<Arc<Connection>> = self.live.lock().values().cloned().collect();
        let now = self.setting.policy.load();
        self.pool.clear();
        let mut outcome = Rejudged::default();
        for connection in all {
            match still_allowed(&now, &connection) {
                Err(why) => {
                    connection.cut();
                    outcome.cut.push(cut(&connection, None, why.to_string()));
                }
                Ok(cuts) => {
                    outcome.kept += 1;
                    outcome.cut.extend(cuts);
                }
            }
        }
        outcome
    }
}

fn cut(connection: &Connection, request: Option<String>, why: String) -> Cut {
    let flow = &connection.flow;
    Cut { connection: flow.id, to: format!("{}:{}", flow.host, flow.port), request, why }
}

/// Why a connection may not go on under the policy that came.
#[derive(Debug, thiserror::Error)]
enum Objection {
    /// The policy refuses it now.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// It would be handled in another way, which cannot begin in the middle.
    #[error("was handled as {was}, is to be handled as {is}")]
    Handling {
        /// Until now.
        was: &'static str,
        /// From now on.
        is: &'static str,
    },
}

/// Whether the connection may go on; with it, the requests that were cut out of it.
fn still_allowed(now: &crate::InForce, connection: &Connection) -> Result<Vec<Cut>, Objection> {
    let flow = &connection.flow;
    let state = connection.lock();
    // What is being refused is asked anew with its next request.
    let Some(was) = state.handling else { return Ok(Vec::new()) };
    let admission = decide::connection(now, flow).map_err(Objection::Refused)?.admission;
    if !decide::may_go_on(was, admission.handling()) {
        let (was, is) = (decide::word(was), decide::word(admission.handling()));
        return Err(Objection::Handling { was, is });
    }
    addresses(now, &admission, &state)?;
    requests(now, connection, &state)
}

fn addresses(now: &crate::InForce, admission: &Admission, state: &State) -> Result<(), Objection> {
    for (addr, _) in &state.upstreams {
        now.policy.permit(admission, *addr).map_err(|refusal| Objection::Refused(refusal.into()))?;
    }
    Ok(())
}

/// Whether the policy still allows a request. What it says was not read when no rule asked; of one that is on its way it
/// cannot be read any more.
fn again(now: &crate::InForce, ask: &Request<'_>, said: Option<&Contents>) -> Result<(), Refusal> {
    match now.policy.head(ask)? {
        Head::Allowed(_) => Ok(()),
        Head::Reads(_) => now.policy.content(ask, said.unwrap_or(&Contents::default())).map(drop),
    }
}

fn requests(now: &crate::InForce, connection: &Connection, state: &State) -> Result<Vec<Cut>, Objection> {
    let flow = &connection.flow;
    let mut cuts = Vec::new();
    for request in state.requests.values() {
        let connect = Connect { host: &flow.host, port: flow.port, caller: &flow.caller };
        let ask = Request { connect, method: request.method.as_str(), path: &request.path };
        let Err(refusal) = again(now, &ask, request.said.as_deref()) else { continue };
        if now.policy.overlook(&ask.connect, &refusal).is_some() {
            continue;
        }
        if !request.alone {
            return Err(Objection::Refused(refusal.into()));
        }
        request.knife.cut();
        let what = format!("{} {}", request.method, request.path);
        cuts.push(cut(connection, Some(what), refusal.to_string()));
    }
    Ok(cuts)
}

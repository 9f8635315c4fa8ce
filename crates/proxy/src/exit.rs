//! The exit of one sandbox: everything that leaves, leaves through this.

use crate::accept::Heard;
use crate::cell::PolicyCell;
use crate::decide::{self, Leave};
use crate::identify::{Flow, Witness};
use crate::limits::Limits;
use crate::live::{Place, Registry};
use crate::models::Models;
use crate::pool::Pool;
use crate::record::{ConnectionAdmitted, ConnectionEnded, Journal, JournalError, Refused, RefusedRequest};
use crate::workers::Workers;
use crate::{accept, explicit, intercept, tunnel};
use creel_net::authority::Authority;
use creel_net::resolve::Resolver;
use creel_net::sniff::Spoken;
use creel_net::synthetic::Synthetic;
use creel_net::trust::Trust;
use creel_net::{Socket, dns};
use creel_policy::{Handling, Mode, Refusal};
use creel_types::Generation;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Clients that may be about to say to the explicit proxy where they want to go: they count among no connections yet.
const MOST_ASKING: usize = 256;

const NOT_HTTP: &str = "neither TLS nor HTTP was spoken; a rule for such a host says `raw: true`";
const NO_PROXY: &str =
    "the proxy was asked for nothing that it does: CONNECT, http:// in absolute form, or SOCKS 5";
const SILENT: &str = "the client said nothing; where the server speaks first a rule says `raw: true`";

/// What an exit is made of.
pub struct Setting {
    /// The policy in force.
    pub policy: Arc<PolicyCell>,
    /// The record.
    pub record: Arc<dyn Journal>,
    /// Who knows which program connected.
    pub witness: Arc<dyn Witness>,
    /// The sandbox's own certificate authority.
    pub authority: Arc<Authority>,
    /// Whom upstream servers must be vouched for by.
    pub trust: Arc<Trust>,
    /// Who answers model calls.
    pub models: Arc<dyn Models>,
    /// The bounds.
    pub limits: Limits,
}

/// The exit of one sandbox.
pub struct Exit {
    pub(crate) setting: Setting,
    pub(crate) names: Synthetic,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) live: Registry,
    pub(crate) pool: Pool,
    pub(crate) workers: Workers,
    /// Turns to say to the explicit proxy where to.
    asking: Semaphore,
    next: AtomicU64,
}

impl std::fmt::Debug for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exit").field("live", &self.live).finish_non_exhaustive()
    }
}

impl Exit {
    /// An exit with nothing going through it yet.
    pub fn new(setting: Setting) -> Arc<Self> {
        Self::with(setting, Synthetic::default(), Arc::default())
    }

    /// The same with a name map and a resolver that others share (see [`crate::Outward`]).
    pub fn with(setting: Setting, names: Synthetic, resolver: Arc<Resolver>) -> Arc<Self> {
        let (live, workers) = (Registry::default(), Workers::new(setting.limits.threads));
        Arc::new(Self {
            setting,
            names,
            resolver,
            live,
            pool: Pool::default(),
            workers,
            asking: Semaphore::new(MOST_ASKING),
            next: AtomicU64::new(1),
        })
    }

    /// The addresses that stand for names in this sandbox.
    pub fn names(&self) -> &Synthetic {
        &self.names
    }

    /// Serves one connection from `source` that was going to `destination`, to its end.
    pub async fn connection(self: Arc<Self>, stream: TcpStream, source: SocketAddr, destination: SocketAddr) {
        let began = Instant::now();
        // A relay must not hold back what the two ends already chose to send.
        let _ = stream.set_nodelay(true);
        let mut socket = Socket::new(stream);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut flow = Flow::new(id, (source, destination), &self.names, &*self.setting.witness);
        if explicit::is_meant(&flow.host) && flow.port != dns::PORT {
            let Some(onward) = self.ask_for_way(&mut socket, flow).await else { return };
            flow = onward;
        }
        let flow = Arc::new(flow);
        let most = self.setting.limits.connections;
        let Some(place) = Registry::enter(&self, Arc::clone(&flow), socket.cutter(), most) else {
            socket.reset_on_close();
            let refusal = crate::refusal::of_form(&flow, format!("more than {most} connections at once"));
            let _ = self.record_refusal(&flow, &refusal, None, false);
            return;
        };
        if destination.port() == dns::PORT {
            return self.serve_dns_stream(socket, &flow).await;
        }
        let served = tokio::select! {
            biased;
            () = place.connection.gone() => (0, 0),
            moved = self.serve(&place, socket) => moved,
        };
        self.over(&place, served, began);
    }

    /// Where the client of the explicit proxy wants to go.
    async fn ask_for_way(&self, socket: &mut Socket, flow: Flow) -> Option<Flow> {
        let within = self.setting.limits.first_bytes;
        let (asked, why) = match self.asking.try_acquire() {
            Ok(_turn) => (explicit::ask(socket, within).await, NO_PROXY),
            Err(_) => (None, "too many clients of the proxy have not said where to"),
        };
        if asked.is_none() {
            let _ = self.record_refusal(&flow, &crate::refusal::of_form(&flow, why), None, false);
        }
        asked.map(|asked| flow.onward(asked))
    }

    fn over(&self, place: &Place, spliced: (u64, u64), began: Instant) {
        let (read, written) = place.connection.moved();
        let generation = self.setting.policy.generation();
        let ended = ConnectionEnded {
            who: place.connection.flow.who(generation),
            sent: read + spliced.0,
            received: written + spliced.1,
            lasted: began.elapsed(),
            dialled: place.connection.dialled(),
            cut: place.connection.was_cut.load(Ordering::Relaxed),
        };
        // There is nothing left to refuse; the next event meets the same trouble.
        let _ = self.setting.record.ended(&ended);
    }

    /// Bytes that were spliced each way, which the socket itself did not see.
    async fn serve(self: &Arc<Self>, place: &Place, mut socket: Socket) -> (u64, u64) {
        let decided = match self.decide(place) {
            Ok(decided) => decided,
            Err(_) => {
                socket.reset_on_close();
                return (0, 0);
            }
        };
        if let Ok(Handling::Raw) = decided {
            // The server may be the one to speak first.
            return Box::pin(tunnel::through(self, place, socket)).await;
        }
        let limits = &self.setting.limits;
        let observing = self.setting.policy.load().policy.mode() == Mode::Observe;
        let denied = limits.denied_first_bytes_at(place.connection.flow.port);
        let wait = if decided.is_ok() && !observing { limits.first_bytes } else { denied };
        let heard = accept::listen(&mut socket, wait).await;
        match (decided, heard) {
            (decided, Heard::Spoken(Spoken::Tls(hello))) => {
                Box::pin(intercept::tls(self, place, socket, hello, decided)).await
            }
            (_, Heard::Spoken(spoken @ (Spoken::Http1 | Spoken::Http2))) => {
                Box::pin(intercept::plain(self, place, socket, spoken == Spoken::Http2)).await;
                (0, 0)
            }
            (Err(refusal), _) => self.reset(place, &socket, &refusal),
            (Ok(_), Heard::Gone) => (0, 0),
            (Ok(_), heard) => {
                let what = if matches!(heard, Heard::Spoken(_)) { NOT_HTTP } else { SILENT };
                let refusal = crate::refusal::of_form(&place.connection.flow, what);
                if !observing {
                    return self.reset(place, &socket, &refusal);
                }
                match self.record_refusal(&place.connection.flow, &refusal, None, true) {
                    Ok(()) => Box::pin(tunnel::through(self, place, socket)).await,
                    Err(_) => self.reset(place, &socket, &refusal),
                }
            }
        }
    }

    fn reset(&self, place: &Place, socket: &Socket, refusal: &Refusal) -> (u64, u64) {
        socket.reset_on_close();
        let _ = self.record_refusal(&place.connection.flow, refusal, None, false);
        (0, 0)
    }

    /// Decides, and records what was admitted; again when the policy changed meanwhile. The outer error is the
    /// record's: then nothing may go on.
    fn decide(&self, place: &Place) -> Result<Result<Handling, Box<Refusal>>, JournalError> {
        let flow = &place.connection.flow;
        loop {
            let now = self.setting.policy.load();
            let leave = match decide::connection(&now, flow) {
                Ok(leave) => leave,
                Err(refusal) => return Ok(Err(refusal)),
            };
            place.connection.admitted(leave.admission.handling());
            if self.setting.policy.generation() == now.generation {
                self.record_admission(flow, &leave, now.generation)?;
                return Ok(Ok(leave.admission.handling()));
            }
        }
    }

    fn record_admission(
        &self,
        flow: &Flow,
        leave: &Leave,
        generation: Generation,
    ) -> Result<(), JournalError> {
        if let Some(refusal) = &leave.overlooked {
            self.record_refusal(flow, refusal, None, true)?;
        }
        self.setting.record.connection(&ConnectionAdmitted {
            who: flow.who(generation),
            rule: leave.admission.rule(),
            handling: decide::word(leave.admission.handling()),
        })
    }

    pub(crate) fn record_refusal(
        &self,
        flow: &Flow,
        refusal: &Refusal,
        request: Option<RefusedRequest<'_>>,
        overlooked: bool,
    ) -> Result<(), JournalError> {
        let now = self.setting.policy.load();
        let masked = now.credentials.masked_in(refusal);
        let target = request.and_then(|request| now.credentials.masked(request.target));
        let request = request.map(|request| match &target {
            Some(target) => RefusedRequest { target, ..request },
            None => request,
        });
        let who = flow.who(now.generation);
        let refusal = masked.as_ref().unwrap_or(refusal);
        self.setting.record.refused(&Refused { who, refusal, request, overlooked })
    }
}

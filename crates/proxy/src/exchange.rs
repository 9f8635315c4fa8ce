//! One request and its answer: judged, recorded, handed on.

mod read;
mod socket;

use crate::credentials::{Loan, Misuse};
use crate::decide;
use crate::exit::Exit;
use crate::forward::{Failed, Upstream};
use crate::headers;
use crate::identify::Flow;
use crate::live::{Connection, Place, RequestPlace};
use crate::models::CallContext;
use crate::outcome::Outcome;
use crate::paced::Pace;
use crate::record::{Alarm, JournalError, RefusedRequest};
use crate::refusal::{of_form, refused, refused_as, trouble};
use crate::resolve::NoWay;
use crate::target::{self, NotHere};
use crate::watched::{self, Knife};
use creel_net::Body;
use creel_policy::canonical::CanonicalPath;
use creel_policy::{Connect, Contents, Handling, Head, Reading, Reads, Refusal, Request as Ask};
use creel_types::{Generation, RuleId};
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Bytes copied at a time through an upgraded connection, each way.
const COPY: usize = 32 * 1024;

/// Of a refused request's body, the most that is read and for how long, so that the client reads the refusal.
const DRAINED: usize = 4 << 20;
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// The connection to the agent is closed without an answer, because the one outside closed without one.
#[derive(Debug, thiserror::Error)]
#[error("the server closed the connection without an answer")]
pub(crate) struct NoAnswer;

/// All requests of one connection.
pub(crate) struct Exchange {
    exit: Arc<Exit>,
    flow: Arc<Flow>,
    connection: Arc<Connection>,
    tls: bool,
    /// Every request is refused with this, whatever the policy says: the connection itself is not what it claims.
    mismatch: Option<Box<Refusal>>,
    upstream: Upstream,
    http2: AtomicBool,
    pace: Arc<Pace>,
    tunnels: Mutex<JoinSet<()>>,
}

/// What may go on, and in whose name.
struct Allowed {
    rule: RuleId,
    path: CanonicalPath,
    generation: Generation,
    model: bool,
    loan: Option<Arc<Loan>>,
    /// It opens a WebSocket whose messages are judged.
    socket: bool,
}

/// What the policy says to a request.
enum Word<T> {
    Allowed(T),
    /// It depends on what is in it.
    Reads(Reads),
}

/// What goes on, and can be cut.
struct Admitted {
    allowed: Allowed,
    knife: Arc<Knife>,
    place: RequestPlace,
    outcome: Outcome,
}

/// An answer of our own instead of a forwarded one.
enum Instead {
    Refuse { status: StatusCode, refusal: Box<Refusal>, generation: Generation },
    Trouble(StatusCode, String),
}

impl Exchange {
    pub(crate) fn new(
        exit: &Arc<Exit>,
        place: &Place,
        tls: bool,
        mismatch: Option<Box<Refusal>>,
    ) -> Arc<Self> {
        let connection = Arc::clone(&place.connection);
        Arc::new(Self {
            exit: Arc::clone(exit),
            flow: Arc::clone(&connection.flow),
            upstream: Upstream::new(exit, &connection, tls),
            connection,
            tls,
            mismatch,
            http2: AtomicBool::new(false),
            pace: Arc::default(),
            tunnels: Mutex::default(),
        })
    }

    /// What the agent speaks on this connection; upstream is offered the same.
    pub(crate) fn is_http2(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
        self.upstream.speak(http2);
    }

    /// Waits for what was upgraded on this connection.
    pub(crate) async fn finish(&self) {
        if self.pace.begun() == 0 {
            self.never_asked("the connection ended without a request");
        }
        let mut tunnels = std::mem::take(&mut *self.tunnels.lock().unwrap_or_else(PoisonError::into_inner));
        while tunnels.join_next().await.is_some() {}
        self.upstream.park();
    }

    /// Records the refusal of a connection whose client never got to ask.
    pub(crate) fn never_asked(&self, how: &str) {
        let refusal = match &self.mismatch {
            Some(refusal) => Some(refusal.clone()),
            None => decide::connection(&self.exit.setting.policy.load(), &self.flow).err(),
        };
        if let Some(mut refusal) = refusal {
            refusal.compared = format!("{} ({how})", refusal.compared);
            let _ = self.exit.record_refusal(&self.flow, &refusal, None, false);
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, NoAnswer> {
        let _running = self.pace.begin();
        let once = self.flow.once && request.version() < Version::HTTP_2;
        self.answered(request).await.map(|response| if once { last(response) } else { response })
    }

    async fn answered(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
        let instead = match self.admit(&request, None) {
            Ok(Word::Allowed(admitted)) => {
                let request = request.map(|body| watched::up(body, &admitted.knife));
                let answered = self.hand_on(request, admitted).await;
                return self.or_say(answered);
            }
            Ok(Word::Reads(reads)) => return Box::pin(self.read(request, reads)).await,
            Err(instead) => instead,
        };
        let response = self.say(instead, &request);
        let drains = drains(request.version(), request.headers());
        Box::pin(drain(drains.then(|| request.into_body()))).await;
        Ok(response)
    }

    /// Ends when no request has begun or gone on for this long, or up to twice as long: the engine closes idle
    /// connections of HTTP/1.1 alone.
    pub(crate) async fn rests(&self, within: Duration) {
        loop {
            let begun = self.pace.begun();
            tokio::time::sleep(within).await;
            if self.pace.begun() == begun && self.connection.is_at_rest() {
                return;
            }
        }
    }

    /// The server's answer, or what is said when there is none.
    fn or_say(&self, answered: Result<Response<Body>, Failed>) -> Result<Response<Body>, NoAnswer> {
        match answered {
            Ok(response) => Ok(response),
            Err(Failed::NoAnswer) => Err(NoAnswer),
            Err(Failed::Instead(NoWay::Trouble(why), _)) => Ok(trouble(StatusCode::BAD_GATEWAY, &why)),
            Err(Failed::Instead(NoWay::Refused(refusal, generation), headers)) => {
                let _ = self.exit.record_refusal(&self.flow, &refusal, None, false);
                Ok(refused(&refusal, generation, &headers))
            }
        }
    }

    /// The requests that have begun and ended.
    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    fn say<B>(&self, instead: Instead, request: &Request<B>) -> Response<Body> {
        match instead {
            Instead::Trouble(status, why) => trouble(status, &why),
            Instead::Refuse { status, refusal, generation } => {
                let mut response = refused_as(status, &refusal, generation, request.headers());
                let uri = request.uri().to_string();
                let asked = self.asked(request, &uri, Some(response.status()));
                if let Err(e) = self.exit.record_refusal(&self.flow, &refusal, Some(asked), false) {
                    return trouble(StatusCode::SERVICE_UNAVAILABLE, &e.to_string());
                }
                if request.version() < Version::HTTP_2 && self.mismatch.is_some() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        }
    }

    fn asked<'a, B>(
        &self,
        request: &'a Request<B>,
        target: &'a str,
        status: Option<StatusCode>,
    ) -> RefusedRequest<'a> {
        let status = status.map(|status| status.as_u16());
        RefusedRequest { method: request.method().as_str(), target, tls: self.tls, status }
    }

    /// Asks the policy in force; about what the request says, too, where that has been read.
    fn judge<B>(&self, request: &Request<B>, said: Option<&Contents>) -> Result<Word<Allowed>, Instead> {
        let now = self.exit.setting.policy.load();
        let generation = now.generation;
        let refuse = |status, refusal| Instead::Refuse { status, refusal, generation };
        if let Some(refusal) = &self.mismatch {
            return Err(refuse(StatusCode::MISDIRECTED_REQUEST, refusal.clone()));
        }
        let leave = decide::connection(&now, &self.flow).map_err(|r| refuse(StatusCode::FORBIDDEN, r))?;
        let path = self.path(request, generation)?;
        let method = request.method().as_str();
        let model = leave.admission.handling() == Handling::Model;
        let (rule, loan) = if model {
            (leave.admission.rule().clone(), None)
        } else {
            let connect = Connect { host: &self.flow.host, port: self.flow.port, caller: &self.flow.caller };
            let ask = Ask { connect, method, path: &path };
            let word = match said {
                None => now.policy.head(&ask),
                Some(said) => now.policy.content(&ask, said).map(Head::Allowed),
            };
            let rule = match word {
                Ok(Head::Allowed(rule)) => rule,
                Ok(Head::Reads(reads)) => return Ok(Word::Reads(reads)),
                Err(refusal) => self.overlook(&now, &ask, refusal, request)?,
            };
            let loan = now.credentials.loan(&now.policy, &ask, self.tls);
            if let Some(misuse) = loan.as_ref().and_then(|l| l.look(request.headers(), path.as_str()).err()) {
                self.alarm(&misuse).map_err(unrecorded)?;
                return Err(refuse(StatusCode::FORBIDDEN, of_form(&self.flow, misuse.to_string())));
            }
            (rule, loan)
        };
        self.connection.admitted(leave.admission.handling());
        let socket = said.is_some_and(|said| matches!(said.socket, Reading::Is(_)));
        Ok(Word::Allowed(Allowed { rule, path, generation, model, loan, socket }))
    }

    /// Says that a secret, or what stands for one, went where it has no business.
    fn alarm(&self, misuse: &Misuse) -> Result<(), JournalError> {
        let who = self.flow.who(self.exit.setting.policy.generation());
        self.exit.setting.record.alarm(&Alarm { who, what: &misuse.to_string() })
    }

    /// Notes the request among the live ones and in the record; judges it again when the policy changed meanwhile,
    /// so that no change can miss it.
    fn admit<B>(
        &self,
        request: &Request<B>,
        said: Option<&Arc<Contents>>,
    ) -> Result<Word<Admitted>, Instead> {
        loop {
            let allowed = match self.judge(request, said.map(|said| &**said))? {
                Word::Allowed(allowed) => allowed,
                Word::Reads(reads) => return Ok(Word::Reads(reads)),
            };
            let knife = Arc::new(Knife::default());
            let alone = request.version() == Version::HTTP_2;
            let place = self.connection.begin((request.method(), &allowed.path, said), &knife, alone);
            if self.exit.setting.policy.generation() != allowed.generation {
                continue;
            }
            let mut outcome = self.outcome(request, &allowed, &knife);
            outcome.said = said.map(|said| said.to_string()).filter(|said| !said.is_empty());
            self.exit.setting.record.request(&outcome.admitted()).map_err(unrecorded)?;
            return Ok(Word::Allowed(Admitted { allowed, knife, place, outcome }));
        }
    }

    fn outcome<B>(&self, request: &Request<B>, allowed: &Allowed, knife: &Arc<Knife>) -> Outcome {
        Outcome {
            exit: Arc::clone(&self.exit),
            flow: Arc::clone(&self.flow),
            rule: allowed.rule.clone(),
            generation: allowed.generation,
            method: request.method().clone(),
            path: allowed.path.as_str().to_owned(),
            said: None,
            tls: self.tls,
            knife: Arc::clone(knife),
            began: Instant::now(),
            status: None,
        }
    }

    /// Checks what does not depend on the rules.
    fn path<B>(&self, request: &Request<B>, generation: Generation) -> Result<CanonicalPath, Instead> {
        target::read(&self.flow, self.tls, request).map_err(|not_here| match not_here {
            NotHere::OtherHost(other) => Instead::Refuse {
                status: StatusCode::MISDIRECTED_REQUEST,
                refusal: of_form(&self.flow, format!("the request is for {other}")),
                generation,
            },
            NotHere::Unreadable(why) => Instead::Refuse {
                status: StatusCode::BAD_REQUEST,
                refusal: of_form(&self.flow, why),
                generation,
            },
            NotHere::Method(why) => Instead::Refuse {
                status: StatusCode::FORBIDDEN,
                refusal: of_form(&self.flow, why),
                generation,
            },
        })
    }

    /// In a policy that only observes, a refusal is written down and the request goes on.
    fn overlook<B>(
        &self,
        now: &crate::InForce,
        ask: &Ask<'_>,
        refusal: impl Into<Box<Refusal>>,
        request: &Request<B>,
    ) -> Result<RuleId, Instead> {
        let refusal: Box<Refusal> = refusal.into();
        let Some(admission) = now.policy.overlook(&ask.connect, &refusal) else {
            let generation = now.generation;
            return Err(Instead::Refuse { status: StatusCode::FORBIDDEN, refusal, generation });
        };
        let uri = request.uri().to_string();
        let asked = self.asked(request, &uri, None);
        self.exit.record_refusal(&self.flow, &refusal, Some(asked), true).map_err(unrecorded)?;
        Ok(admission.rule().clone())
    }

    async fn hand_on(
        self: &Arc<Self>,
        mut request: Request<Body>,
        Admitted { allowed, knife, place, mut outcome }: Admitted,
    ) -> Result<Response<Body>, Failed> {
        let upgrade = headers::upgrade(request.headers());
        let agent = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
        headers::strip(request.headers_mut());
        let answered = async {
            if allowed.model {
                let response = Box::pin(self.call_model(request, &allowed)).await;
                outcome.status = Some(response.status().as_u16());
                return Ok(response.map(|body| watched::down(body, &knife, (place, outcome))));
            }
            if let Some(protocol) = upgrade {
                headers::ask_upgrade(request.headers_mut(), protocol);
            }
            self.forward(request, &allowed, (&knife, agent, place, outcome)).await
        };
        tokio::select! {
            biased;
            () = knife.waits() => Err(Failed::NoAnswer),
            answered = answered => answered,
        }
    }

    async fn call_model(&self, request: Request<Body>, allowed: &Allowed) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        if let Ok(uri) = allowed.path.as_str().parse::<Uri>() {
            parts.uri = uri;
        }
        let from = CallContext {
            connection: self.flow.id,
            host: self.flow.host.clone(),
            port: self.flow.port,
            caller: Arc::clone(&self.flow.caller),
            generation: allowed.generation,
        };
        let request = Request::from_parts(parts, body);
        self.exit.setting.models.call(request, from).await
    }

    async fn forward(
        self: &Arc<Self>,
        mut request: Request<Body>,
        allowed: &Allowed,
        (knife, agent, place, mut outcome): (&Arc<Knife>, Option<OnUpgrade>, RequestPlace, Outcome),
    ) -> Result<Response<Body>, Failed> {
        let http2 = request.version() == Version::HTTP_2;
        let mut lent = None;
        if let Some(loan) = &allowed.loan {
            lent = loan.put(request.headers_mut(), &allowed.path).map_err(|why| Failed::trouble(&why))?;
            request = request.map(|body| self.carry(loan, body));
        }
        let path = lent.as_ref().unwrap_or(&allowed.path);
        // Boxed, as the other long ways are: a request's future is moved several times before it first runs.
        let (mut response, turn) = match Box::pin(self.upstream.send(request, path)).await {
            Ok(answered) => answered,
            Err(failed) => {
                outcome.status = failed.status();
                return Err(failed);
            }
        };
        outcome.status = Some(response.status().as_u16());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(agent) = agent else {
                return Err(Failed::trouble("the server switched protocols unasked"));
            };
            if let Some(loan) = &allowed.loan {
                // What follows this head is not looked into, whether or not it could be.
                let _ = loan.take_out(response.headers_mut());
            }
            if allowed.socket && response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
                return Err(Failed::trouble("the server uses a WebSocket extension that was not offered"));
            }
            let server = hyper::upgrade::on(&mut response);
            if allowed.socket {
                self.sift(agent, server, (allowed.path.clone(), place, Arc::clone(knife)));
            } else {
                self.splice(agent, server, (place, Arc::clone(knife)));
            }
            return Ok(response.map(|_| creel_net::body::empty()));
        }
        headers::strip_response(response.headers_mut());
        // The agent's side says its own version; the engine fills it in.
        *response.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let (mut parts, body) = response.into_parts();
        let body = watched::down(body, knife, (place, turn, outcome));
        let body = match &allowed.loan {
            Some(loan) => back(loan, &mut parts.headers, body)?,
            None => body,
        };
        Ok(Response::from_parts(parts, body))
    }

    /// A request's body with the secrets that are lent to it.
    fn carry(self: &Arc<Self>, loan: &Arc<Loan>, body: Body) -> Body {
        let (exchange, held) = (Arc::clone(self), Arc::clone(loan));
        let told = move |found| {
            let _ = exchange.alarm(&held.in_body(found)); // the request breaks off whether or not it can be said
        };
        loan.up(body, Box::new(told))
    }

    /// Moves the bytes of an upgraded connection until both sides are done, or the request is no longer allowed.
    fn splice(&self, agent: OnUpgrade, server: OnUpgrade, (place, knife): (RequestPlace, Arc<Knife>)) {
        let copy = async move {
            let _place = place;
            let (Ok(agent), Ok(server)) = tokio::join!(agent, server) else { return };
            let (mut agent, mut server) = (TokioIo::new(agent), TokioIo::new(server));
            let copying = tokio::io::copy_bidirectional_with_sizes(&mut agent, &mut server, COPY, COPY);
            tokio::select! {
                biased;
                () = knife.waits() => {}
                _ = copying => {}
            }
        };
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).spawn(copy);
    }
}

/// An answer after which the connection ends, unless it went on as something else.
fn last(mut response: Response<Body>) -> Response<Body> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer without the secrets that were lent for it.
fn back(loan: &Loan, headers: &mut HeaderMap, body: Body) -> Result<Body, Failed> {
    if loan.take_out(headers) {
        return Ok(loan.down(body));
    }
    Err(Failed::trouble(
        "the answer is compressed although it was asked not to be, so that a credential in it would not be seen",
    ))
}

/// Reads what an HTTP/1.1 client is sending although it was refused: closing under it would reset the connection, and
/// the refusal could be lost with it. A client that waits for leave to send is not given it.
async fn drain(body: Option<Incoming>) {
    let Some(mut body) = body else { return };
    let all = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINED_WITHIN, all).await;
}

/// Whether a refused request's body is read all the same.
fn drains(version: Version, headers: &HeaderMap) -> bool {
    version < Version::HTTP_2 && !headers.contains_key(http::header::EXPECT)
}

fn unrecorded(e: JournalError) -> Instead {
    Instead::Trouble(StatusCode::SERVICE_UNAVAILABLE, e.to_string())
}

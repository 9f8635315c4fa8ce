//! A WebSocket whose messages are judged: what the agent says, text by text; what the server says passes.

use super::Exchange;
use crate::RefusedRequest;
use crate::inspect::frames::{self, Borders, Content, Frames, Piece};
use crate::live::RequestPlace;
use crate::refusal::of_form;
use crate::watched::Knife;
use creel_policy::canonical::CanonicalPath;
use creel_policy::{Connect, Family, Message, Reading, Refusal, Request as Ask};
use http::header::{HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{Method, Version, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;

/// Bytes read at a time, each way.
const READ: usize = 16 * 1024;
/// How long the agent may take to close after it was refused.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);
const POLICY_VIOLATION: u16 = 1008;
const PROTOCOL_ERROR: u16 = 1002;
const GOING_AWAY: u16 = 1001;

/// Whether a request opens a WebSocket: nothing has been said over it yet.
pub(super) fn opening(head: &request::Parts) -> Reading<Vec<Message>> {
    let not = |why: &str| Reading::Not(format!("it does not open a WebSocket: {why}"));
    let upgrade = crate::headers::upgrade(&head.headers);
    let one = |headers: &HeaderMap, name| headers.get_all(name).iter().count() == 1;
    if head.method != Method::GET || head.version != Version::HTTP_11 {
        return not("it is not a GET of HTTP/1.1");
    }
    if !upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return not("it asks for no upgrade to `websocket`");
    }
    let version = head.headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !version || !one(&head.headers, SEC_WEBSOCKET_KEY) || !one(&head.headers, SEC_WEBSOCKET_VERSION) {
        return not("it has no key, or another version than 13");
    }
    Reading::Is(Vec::new())
}

/// One direction is over.
enum Over {
    /// It ended, or broke.
    Ended,
    /// The agent is told to close, with this frame.
    Refused(Vec<u8>),
}

impl Exchange {
    /// Moves messages until both sides are done, one is refused, or the request is no longer allowed.
    pub(super) fn sift(
        self: &Arc<Self>,
        agent: OnUpgrade,
        server: OnUpgrade,
        (path, place, knife): (CanonicalPath, RequestPlace, Arc<Knife>),
    ) {
        let exchange = Arc::clone(self);
        let sifting = async move {
            let _place = place;
            let (Ok(agent), Ok(server)) = tokio::join!(agent, server) else { return };
            let (from_agent, to_agent) = tokio::io::split(TokioIo::new(agent));
            let (from_server, to_server) = tokio::io::split(TokioIo::new(server));
            let (tell, told) = oneshot::channel();
            let up = exchange.up(from_agent, to_server, &path, tell);
            tokio::select! {
                biased;
                () = knife.waits() => {}
                _ = async { tokio::join!(up, down(from_server, to_agent, told)) } => {}
            }
        };
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).spawn(sifting);
    }

    async fn up(
        &self,
        mut agent: ReadHalf<TokioIo<Upgraded>>,
        mut server: WriteHalf<TokioIo<Upgraded>>,
        path: &CanonicalPath,
        tell: oneshot::Sender<Vec<u8>>,
    ) {
        let over = self.say_on(&mut agent, &mut server, path).await;
        if let Over::Refused(close) = over {
            let _ = server.write_all(&frames::close(GOING_AWAY, "", true)).await;
            let _ = server.shutdown().await;
            let _ = tell.send(close);
            // What the agent still sends is read, so that closing under it does not lose what it was told.
            let mut buffer = [0; 1024];
            let rest = async { while matches!(agent.read(&mut buffer).await, Ok(1..)) {} };
            let _ = tokio::time::timeout(CLOSES_WITHIN, rest).await;
            return;
        }
        let _ = server.shutdown().await;
        // Dropped only now: the other direction goes on as long as the server wants.
        drop(tell);
    }

    async fn say_on(
        &self,
        agent: &mut ReadHalf<TokioIo<Upgraded>>,
        server: &mut WriteHalf<TokioIo<Upgraded>>,
        path: &CanonicalPath,
    ) -> Over {
        let mut frames = Frames::default();
        let mut buffer = vec![0; READ];
        loop {
            let read = match agent.read(&mut buffer).await {
                Ok(read @ 1..) => read,
                Ok(0) | Err(_) => return Over::Ended,
            };
            let pieces = match frames.feed(&buffer[..read]) {
                Ok(pieces) => pieces,
                Err(why) => {
                    self.note(&of_form(&self.flow, why.to_string()), path, false);
                    return Over::Refused(frames::close(PROTOCOL_ERROR, &why.to_string(), false));
                }
            };
            for piece in pieces {
                let bytes = match piece {
                    Piece::Control(bytes) => bytes,
                    Piece::Message(content, bytes) => match self.may_say(content, path) {
                        Ok(()) => bytes,
                        Err(close) => return Over::Refused(close),
                    },
                };
                if server.write_all(&bytes).await.is_err() {
                    return Over::Ended;
                }
            }
            if server.flush().await.is_err() {
                return Over::Ended;
            }
        }
    }

    /// Asks the policy that is in force now; gives the frame that tells the agent why not.
    fn may_say(&self, content: Content, path: &CanonicalPath) -> Result<(), Vec<u8>> {
        let now = self.exit.setting.policy.load();
        let connect = Connect { host: &self.flow.host, port: self.flow.port, caller: &self.flow.caller };
        let ask = Ask { connect, method: "GET", path };
        let message = match content {
            Content::Text(text) => Message::Text(text),
            Content::Binary => Message::Binary,
        };
        let Err(refusal) = now.policy.message(&ask, Family::Socket, &message) else { return Ok(()) };
        let overlooked = now.policy.overlook(&connect, &refusal).is_some();
        if self.note(&refusal, path, overlooked) && overlooked {
            return Ok(());
        }
        let why = refusal.to_string();
        Err(frames::close(POLICY_VIOLATION, why.lines().next().unwrap_or_default(), false))
    }

    /// Records a refusal; whether it could be.
    fn note(&self, refusal: &Refusal, path: &CanonicalPath, overlooked: bool) -> bool {
        let asked = RefusedRequest { method: "GET", target: path.path(), tls: self.tls, status: None };
        self.exit.record_refusal(&self.flow, refusal, Some(asked), overlooked).is_ok()
    }
}

/// What the server says passes; where the agent was refused it is told so between two frames.
async fn down(
    mut server: ReadHalf<TokioIo<Upgraded>>,
    mut agent: WriteHalf<TokioIo<Upgraded>>,
    mut told: oneshot::Receiver<Vec<u8>>,
) {
    let mut borders = Borders::default();
    let mut buffer = vec![0; READ];
    let mut waits = true;
    loop {
        let read = tokio::select! {
            biased;
            close = &mut told, if waits => {
                waits = false;
                let Ok(close) = close else { continue };
                if borders.between() {
                    let _ = agent.write_all(&close).await;
                }
                break;
            }
            read = server.read(&mut buffer) => read,
        };
        let Ok(read @ 1..) = read else { break };
        if borders.pass(&buffer[..read]).is_err() || agent.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        if agent.flush().await.is_err() {
            break;
        }
    }
    let _ = agent.flush().await;
    let _ = agent.shutdown().await;
}

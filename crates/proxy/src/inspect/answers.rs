//! What a server answers to a request of MCP: its lists of tools have only those that may be called, and what it asks
//! of the client is asked only where a rule lets it.

use super::events::{Events, Verdict};
use super::{body::MOST, rpc, tools};
use crate::RefusedRequest;
use crate::exit::Exit;
use crate::identify::Flow;
use crate::refusal::{of_form, trouble};
use bytes::{Bytes, BytesMut};
use creel_net::{Body, BoxError};
use creel_policy::canonical::CanonicalPath;
use creel_policy::{Call, Connect, Message, Reading, Refusal, Request};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{Method, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The judge of the answer to one request.
pub(crate) struct Answers {
    exit: Arc<Exit>,
    flow: Arc<Flow>,
    tls: bool,
    method: Method,
    path: CanonicalPath,
}

/// An answer has no single reading.
#[derive(Debug, thiserror::Error)]
#[error("the server's answer cannot be judged: {0}")]
struct Unjudged(String);

impl Answers {
    pub(crate) fn new(
        exit: &Arc<Exit>,
        flow: &Arc<Flow>,
        tls: bool,
        (method, path): (Method, CanonicalPath),
    ) -> Self {
        Self { exit: Arc::clone(exit), flow: Arc::clone(flow), tls, method, path }
    }

    /// The answer as the agent may have it.
    pub(crate) async fn judge(self, response: Response<Body>) -> Response<Body> {
        if !response.status().is_success() || response.body().is_end_stream() {
            return response;
        }
        let (mut head, body) = response.into_parts();
        if head.headers.contains_key(CONTENT_ENCODING) {
            return self.refuse("it is compressed, although that was not offered");
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => {
                head.headers.remove(CONTENT_LENGTH);
                let stream = Stream { inner: body, events: Events::default(), answers: self, over: false };
                Response::from_parts(head, Body::new(stream))
            }
            "application/json" => match self.whole(body).await {
                Ok(bytes) => {
                    head.headers.remove(CONTENT_LENGTH);
                    head.headers.remove(ETAG);
                    Response::from_parts(head, creel_net::body::full(bytes))
                }
                Err(why) => self.refuse(&why),
            },
            _ => self.refuse("it is neither JSON nor a stream of events"),
        }
    }

    fn refuse(&self, why: &str) -> Response<Body> {
        let refusal = of_form(&self.flow, format!("the server's answer cannot be judged: {why}"));
        match self.record(&refusal) {
            Ok(()) => trouble(StatusCode::BAD_GATEWAY, &refusal.to_string()),
            Err(e) => trouble(StatusCode::SERVICE_UNAVAILABLE, &e.to_string()),
        }
    }

    fn record(&self, refusal: &Refusal) -> Result<(), crate::JournalError> {
        self.exit.record_refusal(&self.flow, refusal, Some(self.asked()), false)
    }

    /// The request whose answer it is. What was refused is in the answer, not the request.
    fn asked(&self) -> RefusedRequest<'_> {
        let (method, target) = (self.method.as_str(), self.path.path());
        RefusedRequest { method, target, tls: self.tls, status: None }
    }

    /// A whole JSON answer.
    async fn whole(&self, mut body: Body) -> Result<Bytes, String> {
        let mut held = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|e| e.to_string())?.into_data() else { continue };
            held.extend_from_slice(&data);
            if held.len() > MOST {
                return Err(format!("it has more than {MOST} bytes"));
            }
        }
        let text = std::str::from_utf8(&held).map_err(|_| "it is not UTF-8".to_owned())?;
        match self.message(text)? {
            Verdict::Pass => Ok(held.freeze()),
            Verdict::Instead(text) => Ok(Bytes::from(text)),
            Verdict::Withhold => Err("the server asks for what no rule lets it ask".to_owned()),
        }
    }

    /// What becomes of a message, or a batch of them.
    fn message(&self, text: &str) -> Result<Verdict, String> {
        let messages = match rpc::read(text.as_bytes()).reading {
            Reading::Is(messages) => messages,
            Reading::Not(why) | Reading::Untold(why) => return Err(why),
            Reading::Unread => return Err("it was not read".to_owned()),
        };
        for message in &messages {
            if let Message::Call(call) = message
                && let Err(refusal) = self.ask(|policy, ask| policy.asked_back(ask, call))
                && !self.overlooked(&refusal, call)?
            {
                return Ok(Verdict::Withhold);
            }
        }
        let offered = |tool: &str| self.ask(|policy, ask| policy.offers(ask, tool));
        Ok(tools::without(text, &offered).map_or(Verdict::Pass, Verdict::Instead))
    }

    /// Asks the policy that is in force now.
    fn ask<T>(&self, question: impl FnOnce(&creel_policy::Policy, &Request<'_>) -> T) -> T {
        let now = self.exit.setting.policy.load();
        let connect = Connect { host: &self.flow.host, port: self.flow.port, caller: &self.flow.caller };
        question(&now.policy, &Request { connect, method: self.method.as_str(), path: &self.path })
    }

    /// Records a refused request of the server; whether the policy only observes.
    fn overlooked(&self, refusal: &Refusal, call: &Call) -> Result<bool, String> {
        let connect = Connect { host: &self.flow.host, port: self.flow.port, caller: &self.flow.caller };
        let overlooked = self.exit.setting.policy.load().policy.overlook(&connect, refusal).is_some();
        self.exit
            .record_refusal(&self.flow, refusal, Some(self.asked()), overlooked)
            .map_err(|e| format!("{call}: {e}"))?;
        Ok(overlooked)
    }
}

/// A stream of events, each judged before it is handed on.
struct Stream {
    inner: Body,
    events: Events,
    answers: Answers,
    over: bool,
}

impl Stream {
    fn feed(&mut self, bytes: Option<&[u8]>) -> Result<Bytes, BoxError> {
        let Self { events, answers, .. } = self;
        let mut failed = None;
        let mut judge = |data: &str| match data.is_empty() {
            true => Verdict::Pass,
            false => answers.message(data).unwrap_or_else(|why| {
                failed.get_or_insert(why);
                Verdict::Withhold
            }),
        };
        let out = match bytes {
            Some(bytes) => events.feed(bytes, &mut judge),
            None => events.finish(&mut judge),
        };
        if let Some(why) = failed {
            answers.record(&of_form(&answers.flow, format!("an event of the server was withheld: {why}")))?;
        }
        out.map(Bytes::from).map_err(|e| Unjudged(e.to_string()).into())
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.over {
            let out = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.feed(Some(&data)),
                    Err(_) => continue,
                },
                Some(Err(e)) => Err(e),
                None => {
                    self.over = true;
                    self.feed(None)
                }
            };
            match out {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(e) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(e)));
                }
            }
        }
        Poll::Ready(None)
    }
}

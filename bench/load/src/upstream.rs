//! What the upstream answers: small bodies, large bodies, model calls, and who was seen.

use crate::server::DRIPPED;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

static SEEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
static ZEROS: [u8; 1 << 16] = [b'z'; 1 << 16];
const SMALL: &str = "{\"ok\":true,\"note\":\"a small answer of about a hundred bytes, as interfaces give them all day long\"}";
const CHOICE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":"an answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}}"#;

/// Answers one request.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Parts>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(size) = path.strip_prefix("/bytes/") {
        return Ok(of("application/octet-stream", Parts::zeros(size.parse().unwrap_or(0))));
    }
    if let Some(who) = path.strip_prefix("/who/") {
        let name = who.split('/').next().unwrap_or_default().to_owned();
        if let Ok(mut seen) = SEEN.lock() {
            *seen.entry(name).or_default() += 1;
        }
    }
    if path.ends_with("/chat/completions") {
        return Ok(model(request).await);
    }
    Ok(of(
        "application/json",
        match path.as_str() {
            "/seen" => Parts::whole(SEEN.lock().map(|seen| format!("{seen:?}")).unwrap_or_default()),
            "/dripped" => Parts::whole(DRIPPED.load(Ordering::SeqCst).to_string()),
            _ => Parts::whole(SMALL),
        },
    ))
}

async fn model(request: Request<Incoming>) -> Response<Parts> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    if !text.contains("\"stream\":true") {
        return of("application/json", Parts::whole(CHOICE));
    }
    let (events, pause) =
        if text.contains("bulk") { (20_000, Duration::ZERO) } else { (20, Duration::from_millis(5)) };
    of("text/event-stream", Parts::events(events, pause))
}

fn of(kind: &'static str, body: Parts) -> Response<Parts> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

/// A body in parts that are ready, but for one pause after the first.
pub struct Parts {
    parts: VecDeque<Bytes>,
    size: Option<u64>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    started: bool,
}

impl Parts {
    fn whole(text: impl Into<Bytes>) -> Self {
        let part = text.into();
        let size = Some(part.len() as u64);
        Self { parts: VecDeque::from([part]), size, pause: None, started: false }
    }

    fn zeros(size: usize) -> Self {
        let mut parts: VecDeque<Bytes> = vec![Bytes::from_static(&ZEROS); size / ZEROS.len()].into();
        parts.push_back(Bytes::from_static(&ZEROS[..size % ZEROS.len()]));
        Self { parts, size: Some(size as u64), pause: None, started: false }
    }

    fn events(count: usize, pause: Duration) -> Self {
        let event = Bytes::from_static(b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" some words of a stream\"},\"finish_reason\":null}]}\n\n");
        let end = Bytes::from_static(b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}\n\ndata: [DONE]\n\n");
        let mut parts: VecDeque<Bytes> = vec![event; count].into();
        parts.push_back(end);
        let pause = (!pause.is_zero()).then(|| Box::pin(tokio::time::sleep(pause)));
        Self { parts, size: None, pause, started: false }
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let first = !std::mem::replace(&mut self.started, true);
        if let Some(pause) = self.pause.as_mut().filter(|_| !first) {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(self.parts.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map(SizeHint::with_exact).unwrap_or_default()
    }
}

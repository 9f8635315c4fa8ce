//! Takes a request's body in, as far as it has to be read, and gives it on whole.

use super::graphql;
use super::push::{self, Push};
use super::rpc::{self, Rpc};
use bytes::{Bytes, BytesMut};
use creel_net::BoxError;
use creel_policy::{Contents, Reading, Reads};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{Method, request};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The most of a body that is held while it is read.
pub const MOST: usize = 4 << 20;
/// How long it may take to arrive.
const WITHIN: Duration = Duration::from_secs(30);

/// What was found in a request.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub said: Contents,
    /// The ids of JSON-RPC requests, and whether they came as a batch.
    pub rpc: (Vec<serde_json::Value>, bool),
    /// What a push of git must be answered.
    pub push: Push,
}

/// A body of which the beginning, or all, was read ahead.
#[derive(Debug)]
pub(crate) struct Ahead {
    first: Bytes,
    rest: Option<Incoming>,
}

/// What a body was taken for, and how much of it is there.
struct Taken {
    first: Bytes,
    rest: Option<Incoming>,
    whole: bool,
}

/// Reads what the rules ask for. The body that comes back has every byte that arrived.
pub(crate) async fn read(head: &request::Parts, body: Incoming, reads: &Reads) -> (Found, Ahead) {
    if !reads.rpc && !reads.graphql && !reads.git {
        return (Found::default(), Ahead { first: Bytes::new(), rest: Some(body) });
    }
    if let Some(why) = unreadable(&head.headers) {
        return (untold(why), Ahead { first: Bytes::new(), rest: Some(body) });
    }
    let is_push = reads.git && head.uri.path().ends_with("/git-receive-pack");
    let only_denies = reads.only_denies;
    let enough = move |held: &[u8]| match is_push {
        true => push::read(held).is_some(),
        false => only_denies && held.iter().any(|b| !b.is_ascii_whitespace()) && !rpc::may_be_json(held),
    };
    let Taken { first, rest, whole } = match tokio::time::timeout(WITHIN, take(body, enough)).await {
        Ok(Ok(taken)) => taken,
        Ok(Err(e)) => return (untold(&format!("the body broke off: {e}")), Ahead::none()),
        Err(_) => return (untold("the body did not arrive in time"), Ahead::none()),
    };
    let mut found = match whole || is_push || !rpc::may_be_json(&first) {
        true => told(head, &first, reads),
        false => untold(&format!("the body has more than {MOST} bytes")),
    };
    if is_push {
        found.push = push::read(&first).unwrap_or_default();
        found.said.git = match &found.push.reading {
            Reading::Unread => Reading::Untold("a push of git: its commands are not whole".to_owned()),
            reading => reading.clone(),
        };
    }
    (found, Ahead { first, rest })
}

/// Nobody can say what it is, whatever was asked for.
fn untold(why: &str) -> Found {
    let reading = || Reading::Untold(why.to_owned());
    let said = Contents { rpc: reading(), graphql: reading(), git: reading(), ..Contents::default() };
    Found { said, ..Found::default() }
}

/// A body that is whole, or is surely not JSON.
fn told(head: &request::Parts, bytes: &[u8], reads: &Reads) -> Found {
    let bare = matches!(head.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
    let Rpc { reading, ids, batch } = if reads.rpc { rpc::read(bytes) } else { Rpc::default() };
    let rpc = match reading {
        _ if bare && bytes.is_empty() => Reading::Is(Vec::new()),
        Reading::Is(_) if bare => Reading::Untold(format!("{} with messages in its body", head.method)),
        reading => reading,
    };
    let graphql = match graphql_elsewhere(head) {
        Some(why) => Reading::Untold(why.to_owned()),
        None => graphql::read(bytes),
    };
    let git = Reading::Not("it is not a push of git".to_owned());
    let graphql = if reads.graphql { graphql } else { Reading::Unread };
    Found {
        said: Contents { rpc, graphql, git, ..Contents::default() },
        rpc: (ids, batch),
        push: Push::default(),
    }
}

/// Whether some servers would look for GraphQL elsewhere than in a body of JSON.
fn graphql_elsewhere(head: &request::Parts) -> Option<&'static str> {
    let mut keys = head.uri.query().into_iter().flat_map(|query| query.split(['&', ';']));
    if keys.any(|pair| {
        pair.split('=')
            .next()
            .is_some_and(|key| key.eq_ignore_ascii_case("query") || key.contains(['%', '+']))
    }) {
        return Some("GraphQL: a document may be in the query of the URL");
    }
    let kind = head.headers.get(CONTENT_TYPE)?.to_str().unwrap_or("form").to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default();
    let plain = kind.ends_with("json") || !(kind.contains("graphql") || kind.contains("form"));
    (!plain).then_some("GraphQL: the body may be one, and not as JSON")
}

/// Why nobody can say what is in the body.
fn unreadable(headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Some("the body is compressed");
    }
    if headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
        return Some("Content-Type appears twice");
    }
    let kind = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("charset=?").to_ascii_lowercase();
    let (_, charset) = kind.split_once("charset")?;
    let charset = charset.trim_start_matches(['=', ' ', '"', '\t']);
    (!charset.starts_with("utf-8")).then_some("the body is in another encoding than UTF-8")
}

/// Reads a body to its end, to [`MOST`] bytes, or until that is enough.
async fn take(mut body: Incoming, enough: impl Fn(&[u8]) -> bool) -> Result<Taken, BoxError> {
    let mut held = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are no part of what was judged, and end here.
        let Ok(data) = frame?.into_data() else { continue };
        held.extend_from_slice(&data);
        if held.len() > MOST || enough(&held) {
            return Ok(Taken { first: held.freeze(), rest: Some(body), whole: false });
        }
    }
    Ok(Taken { first: held.freeze(), rest: None, whole: true })
}

impl Ahead {
    fn none() -> Self {
        Self { first: Bytes::new(), rest: None }
    }

    /// What has not been read yet.
    pub(crate) fn into_rest(self) -> Option<Incoming> {
        self.rest
    }
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx).map_err(Into::into),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.first.len() as u64;
        let Some(rest) = &self.rest else { return SizeHint::with_exact(held) };
        match rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest.saturating_add(held)),
            None => SizeHint::new(),
        }
    }
}

//! What the agent reads when it is refused, or when something broke.

use crate::identify::Flow;
use crate::inspect::push::{self, Push};
use bytes::Bytes;
use creel_net::{Body, body};
use creel_policy::{Layer, Reason, Refusal};
use creel_types::Generation;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Response, StatusCode};
use serde::Serialize;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// RFC 9457: the fields that every tool knows, then ours.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    error: &'a str,
    detail: String,
    #[serde(flatten)]
    refusal: Option<&'a Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// A refusal by policy: 403, or for gRPC its own way of saying so.
pub(crate) fn refused(refusal: &Refusal, generation: Generation, request: &HeaderMap) -> Response<Body> {
    refused_as(StatusCode::FORBIDDEN, refusal, generation, request)
}

/// The same with another status: 421 for a request that belongs on another connection.
pub(crate) fn refused_as(
    status: StatusCode,
    refusal: &Refusal,
    generation: Generation,
    request: &HeaderMap,
) -> Response<Body> {
    if is_grpc(request) {
        return grpc(&refusal.to_string());
    }
    if is_git(request) {
        return plain(status, refusal.to_string());
    }
    let problem = Problem {
        title: "refused by the sandbox's policy",
        status: status.as_u16(),
        error: "policy_denied",
        detail: refusal.to_string(),
        refusal: Some(refusal),
        generation: Some(generation.0),
    };
    json(status, &problem)
}

/// Something broke on the way: nobody refused.
pub(crate) fn trouble(status: StatusCode, detail: &str) -> Response<Body> {
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("error"),
        status: status.as_u16(),
        error: if status == StatusCode::BAD_REQUEST { "bad_request" } else { "unavailable" },
        detail: detail.to_owned(),
        refusal: None,
        generation: None,
    };
    json(status, &problem)
}

fn json(status: StatusCode, problem: &Problem<'_>) -> Response<Body> {
    let text = serde_json::to_vec_pretty(problem).unwrap_or_default();
    let mut response = Response::new(body::full(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
    response
}

/// The code of a refusal in an error of JSON-RPC: of those that servers may choose.
const RPC_CODE: i32 = -32003;

/// The same for JSON-RPC: an error for each request that was made, in a batch where they came in one. With no request
/// to answer (a notification, or what could not be read) it is an error without an id.
pub(crate) fn rpc(refusal: &Refusal, ids: &[serde_json::Value], batch: bool) -> Response<Body> {
    let said = |id: &serde_json::Value| {
        let error = serde_json::json!({ "code": RPC_CODE, "message": refusal.to_string(), "data": refusal });
        serde_json::json!({ "jsonrpc": "2.0", "id": id, "error": error })
    };
    let answer = match (ids, batch) {
        ([], _) => said(&serde_json::Value::Null),
        ([one], false) => said(one),
        (many, _) => many.iter().map(said).collect(),
    };
    let mut response = Response::new(body::full(answer.to_string()));
    if ids.is_empty() {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The same for GraphQL: an error without data, which every client shows.
pub(crate) fn graphql(refusal: &Refusal) -> Response<Body> {
    let extensions = serde_json::json!({ "code": "FORBIDDEN", "refusal": refusal });
    let error = serde_json::json!({ "message": refusal.to_string(), "extensions": extensions });
    let mut response = Response::new(body::full(serde_json::json!({ "errors": [error] }).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The same for a push of git: each reference was rejected, and why.
pub(crate) fn push(refusal: &Refusal, push: &Push) -> Response<Body> {
    let mut response = Response::new(body::full(push::answer(push, &refusal.to_string())));
    let kind = HeaderValue::from_static("application/x-git-receive-pack-result");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn is_grpc(request: &HeaderMap) -> bool {
    request.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Git shows its user the body of an error only when it is plain text (`remote: ...`).
fn is_git(request: &HeaderMap) -> bool {
    request.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"git/"))
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// PERMISSION_DENIED in a response without messages (gRPC over HTTP/2, "Trailers-Only").
fn grpc(message: &str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("7"));
    if let Ok(message) = HeaderValue::from_str(&percent(message)) {
        headers.insert("grpc-message", message);
    }
    response
}

fn percent(text: &str) -> String {
    let plain = |b: u8| matches!(b, 0x20..=0x7e) && b != b'%';
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A refusal that the proxy itself makes, about how something was asked and not about where to.
pub(crate) fn of_form(flow: &Flow, reason: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal {
        layer: Layer::Network,
        rule: None,
        reason: Reason::Protocol(reason.into()),
        compared: format!("{}:{}", flow.host, flow.port),
        nearest: None,
        suggestion: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_told_in_plain_text() {
        let mut headers = HeaderMap::new();
        assert!(!is_git(&headers));
        headers.insert(USER_AGENT, HeaderValue::from_static("git/2.47.3"));
        assert!(is_git(&headers));
        let response = plain(StatusCode::FORBIDDEN, "no".to_owned());
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.headers()[CONTENT_TYPE].as_bytes().starts_with(b"text/plain"));
    }

    #[test]
    fn a_grpc_message_is_one_line_of_ascii() {
        assert_eq!(percent("no: 100% \u{e9}\n"), "no: 100%25 %C3%A9%0A");
    }
}

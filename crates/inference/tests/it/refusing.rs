//! What is not passed on, and what the caller reads then.

use crate::played::{Played, backend, inference, models};
use crate::{Told, body, bytes, caller, host, post, run};
use creel_inference::{Models, Routes, Speaks, UpstreamError};
use http::{Method, Request, Response};
use serde_json::Value;
use std::sync::Arc;

fn nobody() -> Arc<Played> {
    Played::new(|| Ok(Response::new(body("{}"))))
}

#[track_caller]
fn check(name: &str, method: &str, path: &str, status: u16, shape: &[&str]) {
    let (upstream, told) = (nobody(), Told::default());
    let request = Request::builder().method(method).uri(path).body(body("{}")).unwrap();
    let (got, text) = run(async {
        let response = models(&upstream, &told).call(&host(name), &caller(), request).await;
        let status = response.status().as_u16();
        (status, bytes(response).await)
    });
    assert_eq!(got, status, "{method} {path}");
    assert!(upstream.untouched(), "{method} {path} went upstream");
    let error: Value = serde_json::from_slice(&text).unwrap();
    for pointer in shape {
        assert!(error.pointer(pointer).is_some_and(Value::is_string), "{pointer} is not in {error}");
    }
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("creel: "), "{message}");
    let call = told.only();
    assert!(call.refused.is_some() && call.backend.is_none(), "{call:?}");
    assert!(call.record(1, None).disposition.refusal().is_some());
}

#[test]
fn what_is_no_model_call_is_refused_in_the_callers_own_shape() {
    let openai = &["/error/message", "/error/type", "/error/code"];
    let anthropic = &["/type", "/error/type", "/error/message"];
    check("api.openai.com", "POST", "/v1/files", 404, openai);
    check("api.openai.com", "GET", "/v1/responses/resp_1", 404, openai);
    check("inference.local", "GET", "/v1/chat/completions", 405, openai);
    check("api.anthropic.com", "POST", "/api/event_logging/v2/batch", 404, anthropic);
    check("api.anthropic.com", "GET", "/v1/messages/batches", 404, anthropic);
}

#[test]
fn a_websocket_is_refused_so_that_the_client_falls_back() {
    // The second is what is left of the first when the fields of one hop are gone.
    for (name, value) in [("upgrade", "websocket"), ("sec-websocket-version", "13")] {
        let (upstream, told) = (nobody(), Told::default());
        let request = Request::get("/v1/responses").header(name, value).body(body("")).unwrap();
        let response =
            run(async { models(&upstream, &told).call(&host("api.openai.com"), &caller(), request).await });
        assert_eq!(response.status(), 426, "{name}");
        assert!(response.headers().contains_key("upgrade"));
        assert!(upstream.untouched());
    }
}

#[test]
fn an_upgrade_that_is_only_offered_is_ignored() {
    let (upstream, told) = (nobody(), Told::default());
    let mut request = post("/v1/messages", "{}");
    request.headers_mut().insert("upgrade", "h2c".parse().unwrap());
    let response = run(async { models(&upstream, &told).call(&inference(), &caller(), request).await });
    assert_eq!(response.status(), 200);
    assert!(!upstream.take().0.headers.contains_key("upgrade"));
}

#[test]
fn a_look_whether_anybody_is_there_is_answered_here_and_is_no_call() {
    for (method, path) in [(Method::HEAD, "/"), (Method::GET, "/"), (Method::GET, "/api/hello")] {
        let (upstream, told) = (nobody(), Told::default());
        let request = Request::builder().method(method).uri(path).body(body("")).unwrap();
        let response = run(async { models(&upstream, &told).call(&inference(), &caller(), request).await });
        assert_eq!(response.status(), 200);
        assert!(upstream.untouched() && told.none());
    }
}

#[test]
fn a_backend_that_does_not_speak_the_api_is_said_not_to() {
    let (upstream, told) = (nobody(), Told::default());
    let routes = Routes::to(backend("http://b", Speaks::OpenAi), None);
    let models = Models::new(routes, Arc::<Played>::clone(&upstream), told.hook());
    let text = run(async {
        let response = models.call(&inference(), &caller(), post("/v1/messages", "{}")).await;
        assert_eq!(response.status(), 404);
        bytes(response).await
    });
    assert!(String::from_utf8_lossy(&text).contains("does not speak the Anthropic API"), "{text:?}");
    assert!(upstream.untouched());
}

#[test]
fn a_backend_that_fails_is_an_error_that_clients_retry_or_show() {
    let reason = || "tcp connect 10.0.0.1:80: timed out".to_owned();
    for (error, status) in [
        (UpstreamError::Refused { reason: reason() }, 403),
        (UpstreamError::Unreachable { reason: reason() }, 502),
        (UpstreamError::TimedOut { reason: reason() }, 504),
    ] {
        let told = Told::default();
        let upstream = Played::new(move || Err(error.clone()));
        let response = run(async {
            models(&upstream, &told).call(&inference(), &caller(), post("/v1/messages", "{}")).await
        });
        assert_eq!(response.status(), status);
        let call = told.only();
        assert_eq!((call.status, call.complete), (Some(status), false));
        assert!(call.failure.unwrap().contains("timed out"));
    }
}

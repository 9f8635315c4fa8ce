//! Keys, paths and bytes on the way up and down.

use crate::played::{KEY, Played, inference, models};
use crate::{Told, body, bytes, caller, host, post, run};
use http::{Request, Response};

#[track_caller]
fn check(path: &str, upstream_path: &str, key_header: &str, key: &str) {
    let upstream = Played::new(|| Ok(Response::new(body("{}"))));
    let told = Told::default();
    // Odd spacing and a name twice: what is sent on is what was sent, not what it means.
    let json = "{ \"model\":\"a\", \"model\" : \"m\",\"stream\":false,\n\"x\":1e400}\n";
    run(async {
        bytes(models(&upstream, &told).call(&inference(), &caller(), post(path, json)).await).await
    });
    let (parts, body) = upstream.take();
    assert_eq!(body, json, "{path}");
    assert_eq!(parts.uri.to_string(), upstream_path, "{path}");
    assert_eq!(parts.headers[key_header], key, "{path}");
    assert_eq!(parts.headers["host"], "backend:8000", "{path}");
    assert!(!format!("{:?}", parts.headers).contains("sk-agent"), "{path}: {:?}", parts.headers);
    let call = told.only();
    assert_eq!((call.model.as_deref(), call.stream_asked), (Some("m"), Some(false)), "{path}");
    assert_eq!(call.bytes_up, json.len() as u64, "{path}");
}

#[test]
fn each_api_goes_to_its_path_with_the_operators_key_and_the_callers_bytes() {
    let bearer = format!("Bearer {KEY}");
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"] {
        check(path, path, "authorization", &bearer);
    }
    check("/chat/completions", "/v1/chat/completions", "authorization", &bearer);
    check("/v1/messages?beta=true", "/v1/messages?beta=true", "x-api-key", KEY);
    check("/v1/messages/count_tokens?key=sk-agent", "/v1/messages/count_tokens", "x-api-key", KEY);
}

#[test]
fn a_response_keeps_its_status_and_bytes_and_loses_the_key() {
    let upstream = Played::new(|| {
        let response = Response::builder().status(429).header("retry-after", "1").header("x-key", KEY);
        Ok(response.body(body("{\"error\":  {}}")).unwrap())
    });
    let told = Told::default();
    run(async {
        let response =
            models(&upstream, &told).call(&inference(), &caller(), post("/v1/messages", "{}")).await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(!response.headers().contains_key("x-key"));
        assert_eq!(bytes(response).await, "{\"error\":  {}}");
    });
    let call = told.only();
    assert_eq!((call.status, call.complete, call.failure), (Some(429), true, None));
    assert_eq!(call.tokens, creel_audit::Tokens::default());
}

/// What the caller has of a body with the key in it, in pieces, with `status`.
fn echoed(status: u16) -> (bytes::Bytes, String) {
    let json = format!("{{\"error\": \"bad key {KEY} or {KEY}\"}}");
    let upstream = Played::new(move || {
        let pieces: Vec<_> = json.as_bytes().chunks(3).map(bytes::Bytes::copy_from_slice).collect();
        let frames =
            pieces.into_iter().map(|piece| Ok::<_, creel_inference::BoxError>(http_body::Frame::data(piece)));
        let body =
            creel_inference::Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
        let response = Response::builder().status(status).header("content-length", json.len());
        Ok(response.body(body).unwrap())
    });
    let told = Told::default();
    run(async {
        let response =
            models(&upstream, &told).call(&inference(), &caller(), post("/v1/messages", "{}")).await;
        let length = response.headers()["content-length"].to_str().unwrap().to_owned();
        (bytes(response).await, length)
    })
}

#[test]
fn an_error_that_repeats_the_key_is_shown_without_it_and_a_success_is_not_touched() {
    let stars = "*".repeat(KEY.len());
    for status in [400, 401, 404, 500, 599] {
        let (body, length) = echoed(status);
        assert_eq!(body, format!("{{\"error\": \"bad key {stars} or {stars}\"}}"), "{status}");
        assert_eq!(length, body.len().to_string());
    }
    for status in [200, 201] {
        assert_eq!(echoed(status).0, format!("{{\"error\": \"bad key {KEY} or {KEY}\"}}"), "{status}");
    }
}

#[test]
fn trailers_lose_the_key_too() {
    let upstream = Played::new(|| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-key", KEY.parse().unwrap());
        trailers.insert("x-sum", "1".parse().unwrap());
        let frames = [http_body::Frame::data("{}".into()), http_body::Frame::trailers(trailers)];
        let frames = futures_util::stream::iter(frames.map(Ok::<_, creel_inference::BoxError>));
        Ok(Response::new(creel_inference::Body::new(http_body_util::StreamBody::new(frames))))
    });
    let told = Told::default();
    let trailers = run(async {
        let response =
            models(&upstream, &told).call(&inference(), &caller(), post("/v1/messages", "{}")).await;
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().trailers().unwrap().clone()
    });
    assert!(trailers.contains_key("x-sum") && !trailers.contains_key("x-key"));
}

#[test]
fn models_are_listed_in_the_callers_way() {
    for (name, version, header) in [
        ("api.openai.com", None, "authorization"),
        ("api.anthropic.com", None, "x-api-key"),
        ("inference.local", Some("2023-06-01"), "x-api-key"),
    ] {
        let upstream = Played::new(|| Ok(Response::new(body("{\"data\":[]}"))));
        let told = Told::default();
        let mut request = Request::get("/v1/models?limit=2").body(body("")).unwrap();
        if let Some(version) = version {
            request.headers_mut().insert("anthropic-version", version.parse().unwrap());
        }
        run(async { bytes(models(&upstream, &told).call(&host(name), &caller(), request).await).await });
        let (parts, _) = upstream.take();
        assert!(parts.headers.contains_key(header), "{name}: {:?}", parts.headers);
        assert_eq!(parts.uri.to_string(), "/v1/models?limit=2");
    }
}

#[test]
fn a_call_becomes_an_event_of_the_record() {
    let upstream = Played::new(|| {
        let json = r#"{"usage":{"prompt_tokens":100,"completion_tokens":20}}"#;
        Ok(Response::builder().header("content-type", "application/json").body(body(json)).unwrap())
    });
    let told = Told::default();
    let request = post("/v1/chat/completions", r#"{"model":"m"}"#);
    run(async { bytes(models(&upstream, &told).call(&inference(), &caller(), request).await).await });
    let event = told.only().record(3, Some("inference"));
    assert_eq!(event.program.unwrap().path, "/usr/bin/claude");
    assert_eq!((event.api.as_str(), event.backend.as_deref()), ("openai chat completions", Some("local")));
    assert_eq!((event.tokens.input, event.tokens.output), (Some(100), Some(20)));
    assert_eq!((event.generation, event.status, event.complete), (3, Some(200), true));
}

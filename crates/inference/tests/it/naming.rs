//! Where the policy names the model: what the backend is asked for, and what is refused.

use crate::mock_server::Dialled;
use crate::played::{Played, asking_for, backend, inference};
use crate::{Told, body, bytes, caller, post, run};
use bytes::Bytes;
use creel_inference::{Body, BoxError, Models, Routes, Speaks};
use futures_util::{StreamExt, stream};
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const CALLS: [&str; 7] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/responses/compact",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

fn answering() -> Arc<Played> {
    Played::new(|| Ok(Response::new(body("{ \"model\":\"said\"}"))))
}

/// `text` in pieces of these lengths, over and over, without a length.
fn chunked(text: &[u8], cuts: &[usize]) -> Body {
    let mut rest = Bytes::copy_from_slice(text);
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        pieces.push(Ok::<_, BoxError>(Frame::data(rest.split_to((*cut).min(rest.len())))));
    }
    Body::new(StreamBody::new(stream::iter(pieces)))
}

/// What reaches a backend that is to be asked for `model`, with what length.
fn asked(model: &str, path: &str, text: &[u8], cuts: Option<&[usize]>) -> (Bytes, Option<String>) {
    let (upstream, told) = (answering(), Told::default());
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
    if cuts.is_none() {
        request = request.header(header::CONTENT_LENGTH, text.len());
    }
    let sent = cuts.map_or_else(|| body(text.to_vec()), |cuts| chunked(text, cuts));
    run(async {
        let models = asking_for(Some(model), &upstream, &told);
        let response = models.call(&inference(), &caller(), request.body(sent).unwrap()).await;
        assert_eq!(response.status(), 200, "{path} {}", String::from_utf8_lossy(text));
        assert_eq!(bytes(response).await, "{ \"model\":\"said\"}");
    });
    let (parts, received) = upstream.take();
    let call = told.only();
    assert_eq!((call.model.as_deref(), call.refused.is_none()), (Some(model), true));
    assert_eq!(call.bytes_up, received.len() as u64);
    (received, parts.headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned()))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    for path in CALLS {
        let length = Some(expected.len().to_string());
        assert_eq!(
            asked("m", path, text.as_bytes(), None),
            (Bytes::copy_from_slice(expected.as_bytes()), length)
        );
        for cut in [1, 2, 5, 1000] {
            let (got, length) = asked("m", path, text.as_bytes(), Some(&[cut]));
            assert_eq!((&got[..], length), (expected.as_bytes(), None), "{path} by {cut}");
        }
    }
}

#[test]
fn the_backend_is_asked_for_the_model_that_the_policy_names() {
    check(r#"{ "model" : "gpt-5","x":1e400}"#, r#"{ "model" : "m","x":1e400}"#);
    check("{\"x\":[1, 2],\n\"mod\\u0065l\":\"\"}\n", "{\"x\":[1, 2],\n\"mod\\u0065l\":\"m\"}\n");
    let nested = r#"{"messages":[{"model":"n"}],"tools":[{"model":"n"}],"metadata":{"model":"n"},"model":"#;
    check(&format!("{nested}\"gpt\"}}"), &format!("{nested}\"m\"}}"));
    check(r#"{"model":"a\"b","stream":false}"#, r#"{"model":"m","stream":false}"#);
}

#[test]
fn a_caller_that_asks_for_it_already_keeps_its_bytes() {
    for text in [" {\"model\" :\"m\", \"x\":1}\n", r#"{"\u006dodel":"\u006d"}"#] {
        check(text, text);
    }
}

#[test]
fn where_the_policy_names_none_nothing_is_read() {
    let (upstream, told) = (answering(), Told::default());
    let text = r#"{"model":"a","model":"b"} and more"#;
    run(async {
        asking_for(None, &upstream, &told).call(&inference(), &caller(), post("/v1/messages", text)).await
    });
    assert_eq!(upstream.take().1, text);
}

#[test]
fn a_look_at_the_list_of_models_needs_none() {
    let (upstream, told) = (answering(), Told::default());
    let request = Request::get("/v1/models").body(body("")).unwrap();
    run(async { asking_for(Some("m"), &upstream, &told).call(&inference(), &caller(), request).await });
    assert!(upstream.take().1.is_empty());
}

/// What is answered to a request that must not reach the backend whole.
#[track_caller]
fn check_refused(path: &str, headers: &[(&str, &str)], sent: Body, status: u16, says: &str) {
    let (upstream, told) = (answering(), Told::default());
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (got, text) = run(async {
        let models = asking_for(Some("m"), &upstream, &told);
        let response = models.call(&inference(), &caller(), request.body(sent).unwrap()).await;
        (response.status().as_u16(), bytes(response).await)
    });
    let error: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(got, status, "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains(says), "{error}");
    assert_eq!(error["type"] == "error", path.starts_with("/v1/messages"), "{error}");
    assert!(upstream.untouched(), "{path} went upstream whole");
    let call = told.only();
    assert!(call.refused.is_some() && call.failure.is_none(), "{call:?}");
}

#[test]
fn what_names_no_model_or_more_than_one_is_refused() {
    for (text, says) in [
        ("", "not a whole JSON object"),
        ("[]", "not a whole JSON object"),
        ("{\"model\":\"m\"", "not a whole JSON object"),
        ("{\"model\":\"m\"} {}", "not a whole JSON object"),
        ("{}", "no `model`"),
        ("{\"model\":7}", "no `model`"),
        ("{\"x\":{\"model\":\"m\"}}", "no `model`"),
        ("{\"model\":\"m\",\"model\":\"m\"}", "twice"),
        ("{\"model\":\"m\",\"Model\":\"n\"}", "twice"),
    ] {
        for path in CALLS {
            check_refused(path, &[], body(text), 400, says);
            check_refused(path, &[], chunked(text.as_bytes(), &[1]), 400, says);
            check_refused(path, &[], chunked(text.as_bytes(), &[12, 1]), 400, says);
        }
    }
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    for header in [
        ("content-encoding", "gzip"),
        ("content-encoding", "identity, zstd"),
        ("content-type", "application/json; charset=utf-7"),
        ("content-type", "application/json; Charset = \"UTF-16\""),
    ] {
        for path in CALLS {
            check_refused(path, &[header], body(r#"{"model":"m"}"#), 415, "content-encoding");
        }
    }
}

#[test]
fn a_model_that_comes_too_late_is_refused() {
    let long = format!("{{\"x\":\"{}\",\"model\":\"m\"}}", "x".repeat(33 << 20));
    let sent = chunked(long.as_bytes(), &[1 << 20]);
    check_refused("/v1/messages", &[], sent, 413, "put `model` first");
    let first = format!("{{\"model\":\"n\",\"x\":\"{}\"}}", "x".repeat(33 << 20));
    let (got, _) = asked("m", "/v1/messages", first.as_bytes(), Some(&[1 << 20]));
    assert_eq!(got, first.replacen("\"n\"", "\"m\"", 1));
}

#[test]
fn a_request_that_breaks_off_is_told_of_and_goes_nowhere() {
    let (upstream, told) = (answering(), Told::default());
    let frames = [Ok(Frame::data(Bytes::from_static(b"{\"x\":"))), Err(BoxError::from("connection reset"))];
    let sent = Body::new(StreamBody::new(stream::iter(frames)));
    let request = Request::post("/v1/messages").body(sent).unwrap();
    let response =
        run(async { asking_for(Some("m"), &upstream, &told).call(&inference(), &caller(), request).await });
    assert_eq!(response.status(), 400);
    assert!(upstream.untouched());
    assert!(told.only().failure.unwrap().contains("connection reset"));
}

/// What a server receives on its connection of a request with a second model in a later piece, and what is answered.
fn sent_in_part(length: bool) -> (String, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let received = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut listener.accept().unwrap().0, &mut text).unwrap();
        text
    });
    let pieces = [r#"{"model":"n","x":1,"#, r#""model":"o"}"#];
    let mut request = Request::post("/v1/messages");
    if length {
        request = request.header(header::CONTENT_LENGTH, pieces.concat().len());
    }
    let frames = stream::iter(pieces).then(async |piece| {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    let request = request.body(Body::new(StreamBody::new(Box::pin(frames)))).unwrap();
    let routes = Routes::to(backend(&url, Speaks::Both), Some("m".to_owned()));
    let told = Told::default();
    let models = Models::new(routes, Arc::new(Dialled), told.hook());
    let status = run(async { models.call(&inference(), &caller(), request).await.status().as_u16() });
    let call = told.only();
    assert!(call.refused.is_some() && call.backend.is_some() && call.failure.is_none(), "{call:?}");
    (received.join().unwrap(), status)
}

#[test]
fn a_second_model_in_a_later_piece_never_makes_a_whole_request() {
    for length in [true, false] {
        let (received, status) = sent_in_part(length);
        assert_eq!(status, 400);
        assert!(received.contains(r#"{"model":"m","x":1,"#), "{received}");
        assert!(!received.contains("\"o\"") && !received.contains("\r\n0\r\n"), "{received}");
    }
}

fn object() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let name = prop::sample::select(vec!["model", "x", "messages", "q\"\\}", "é"]);
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[\"\\\\{}\\[\\]:, a\u{e9}\u{1f600}\n]{0,12}".prop_map(Value::from),
    ];
    let members = move |inner| {
        prop::collection::hash_map(name.clone(), inner, 0..5).prop_map(|map| {
            map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>()
        })
    };
    let value = leaf.prop_recursive(3, 32, 5, {
        let members = members.clone();
        move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                members(inner).prop_map(Value::from)
            ]
        }
    });
    members(value.boxed())
}

proptest! {
    #[test]
    fn in_any_pieces_one_value_is_exchanged_as_a_parser_would(
        mut object in object(),
        named in "[a-z\"\\\\é/😀]{0,12}",
        model in "[a-z\"\\\\é/😀]{1,12}",
        pretty: bool,
        cuts in prop::collection::vec(1..40_usize, 1..8),
    ) {
        object.insert("model".to_owned(), json!(named));
        let write = |value: &serde_json::Map<String, Value>| {
            if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
        };
        let text = write(&object);
        object.insert("model".to_owned(), json!(model));
        let expected = write(&object);
        let (got, _) = asked(&model, "/v1/responses", text.as_bytes(), Some(&cuts));
        prop_assert_eq!(&got[..], expected.as_bytes());
        let (got, length) = asked(&model, "/v1/responses", text.as_bytes(), None);
        prop_assert_eq!(&got[..], expected.as_bytes());
        prop_assert_eq!(length, Some(expected.len().to_string()));
    }
}

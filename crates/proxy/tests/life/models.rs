//! Model calls are handed over, and backends are reached.

use crate::servers;
use crate::stand::{Stand, ask, ask2, policy, speak1, whole};
use bytes::Bytes;
use creel_net::authority::Authority;
use creel_net::resolve::Resolver;
use creel_net::trust::Trust;
use creel_net::{Body, body};
use creel_policy::BaseUrl;
use creel_proxy::{CallContext, Called, Limits, Models, Outward, PolicyCell};
use creel_types::Generation;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

fn rules(backend: std::net::SocketAddr) -> String {
    format!(
        r#"
    - {{ name: web, to: [web.test] }}
inference:
  backends: [{{ name: local, base_url: "http://{backend}/v1", api: openai }}]
  models: {{ default: ["local/*"] }}
  capture: [provider.test]
"#
    )
}

/// Says what it was asked.
struct Parrot;

impl Models for Parrot {
    fn call<'a>(&'a self, request: Request<Body>, from: CallContext) -> Called<'a> {
        Box::pin(async move {
            let fields: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
            let text = format!("{} {} for {} {fields:?}", request.method(), request.uri(), from.host);
            Response::new(body::full(text))
        })
    }
}

#[tokio::test]
async fn a_model_host_is_answered_by_the_models_over_every_protocol() {
    let server = servers::http().await;
    let outside = Arc::new(Authority::new("outside").unwrap());
    let stand = Stand::with(&rules(server.addr), &[], outside, Some("/bin/a".into()), Arc::new(Parrot));
    let mut plain = speak1(stand.connect("inference.local", 80).await).await;
    let mut asked = ask("POST", "inference.local", "/v1//chat/completions?x=1");
    asked.headers_mut().insert("connection", "keep-alive, x-hop".parse().unwrap());
    asked.headers_mut().insert("x-hop", "1".parse().unwrap());
    let answer = whole(plain.send_request(asked).await.unwrap()).await;
    assert!(
        answer.text().starts_with("POST /v1/chat/completions?x=1 for inference.local"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("x-hop"), "{}", answer.text());
    let mut captured = stand.https2("provider.test").await;
    let asked = ask2("POST", "https://provider.test/v1/messages", b"{}");
    let answer = whole(captured.send_request(asked).await.unwrap()).await;
    assert!(answer.text().starts_with("POST /v1/messages for provider.test"), "{}", answer.text());
    assert_eq!(stand.notes.count("connection provider.test:443"), 1);
    assert_eq!(stand.notes.count("request POST"), 2);
    assert_eq!(server.connections(), 0);
}

fn outward(backend: std::net::SocketAddr) -> (Outward, BaseUrl, Arc<PolicyCell>) {
    let policy = policy(&rules(backend), &[]);
    let place = policy.backend("local").unwrap().base_url.clone();
    let cell = Arc::new(PolicyCell::new(Generation::FIRST, policy));
    let (trust, resolver) = (Arc::new(Trust::default()), Arc::new(Resolver::default()));
    (Outward::new(Arc::clone(&cell), trust, resolver, Limits::default()), place, cell)
}

fn post(body: Body) -> Request<Body> {
    Request::post("/v1/messages").body(body).unwrap()
}

async fn next(body: &mut Body) -> Option<Result<Bytes, creel_net::BoxError>> {
    Some(body.frame().await?.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn pieces_that_are_there_are_handed_on_in_one_and_nothing_waits_for_the_next() {
    let go = Arc::new(Notify::new());
    let gone = Arc::clone(&go);
    let server = servers::server(move |mut stream, _| {
        let go = Arc::clone(&gone);
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let words: String = (0..1000).map(|n| format!("3\r\n{n:03}\r\n")).collect();
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(format!("{head}{words}").as_bytes()).await.unwrap();
            go.notified().await;
            stream.write_all(b"4\r\nlast\r\n").await.unwrap();
            go.notified().await;
            stream.write_all(b"0\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
        }
    })
    .await;
    let (outward, place, _) = outward(server.addr);
    let mut body = outward.call(("local", &place), post(body::empty())).await.unwrap().into_body();
    let (mut words, mut pieces) = (Vec::new(), 0);
    while words.len() < 3000 {
        words.extend_from_slice(&next(&mut body).await.unwrap().unwrap());
        pieces += 1;
    }
    let expected: String = (0..1000).map(|n| format!("{n:03}")).collect();
    assert_eq!(String::from_utf8(words).unwrap(), expected);
    assert!(pieces < 20, "{pieces} pieces of 1000");
    go.notify_one();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "last");
    go.notify_one();
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn what_came_before_an_answer_broke_off_is_handed_on_before_the_error() {
    let server = servers::server(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n5\r\nef";
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let (outward, place, _) = outward(server.addr);
    let mut body = outward.call(("local", &place), post(body::empty())).await.unwrap().into_body();
    let mut words = Vec::new();
    let error = loop {
        match next(&mut body).await.unwrap() {
            Ok(more) => words.extend_from_slice(&more),
            Err(error) => break error,
        }
    };
    assert_eq!(words, b"abcdef", "{error}");
}

#[tokio::test]
async fn a_request_goes_up_to_its_end_while_nobody_reads_the_answer() {
    const LONG: usize = 16 << 20;
    let all = Arc::new(Notify::new());
    let read = Arc::clone(&all);
    let server = servers::server(move |mut stream, _| {
        let read = Arc::clone(&read);
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await.unwrap();
            let (mut seen, mut buffer) = (0, vec![0; 1 << 16]);
            while seen < LONG {
                seen += stream.read(&mut buffer).await.unwrap();
            }
            read.notify_one();
            stream.write_all(b"done").await.unwrap();
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    let (outward, place, _) = outward(server.addr);
    let frames =
        (0..LONG >> 14).map(|_| Ok::<_, creel_net::BoxError>(Frame::data(Bytes::from(vec![7; 1 << 14]))));
    let request = post(body::stream(futures_util::stream::iter(frames)));
    let mut body = outward.call(("local", &place), request).await.unwrap().into_body();
    all.notified().await;
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_to_the_end_is_not_used_again() {
    let server = servers::http().await;
    let (outward, place, _) = outward(server.addr);
    for n in 1..4 {
        let asked = Request::get("/slow").body(body::empty()).unwrap();
        let mut body = outward.call(("local", &place), asked).await.unwrap().into_body();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "0\n");
        drop(body);
        assert_eq!(server.connections(), n);
    }
}

#[tokio::test]
async fn a_backend_is_called_over_a_kept_connection_while_the_policy_stays() {
    let server = servers::http().await;
    let (outward, place, cell) = outward(server.addr);
    let call = async || {
        let request = Request::builder().uri("/v1/models").body(body::empty()).unwrap();
        let (parts, body) = outward.call(("local", &place), request).await.unwrap().into_parts();
        assert_eq!(parts.status, StatusCode::OK);
        body.collect().await.unwrap().to_bytes()
    };
    for _ in 0..3 {
        let said = call().await;
        let expected = format!("GET /v1/models HTTP/1.1\nhost: {}", server.addr);
        assert_eq!(String::from_utf8_lossy(&said), expected);
    }
    assert_eq!(server.connections(), 1);
    cell.swap(Generation::FIRST.next(), policy(&rules(server.addr), &[]));
    call().await;
    assert_eq!(server.connections(), 2, "a new policy is asked for a new connection");
    let none = outward.call(("other", &place), Request::new(body::empty())).await.unwrap_err();
    assert_eq!(none.to_string(), "no inference backend is called `other`");
}

#[tokio::test]
async fn a_call_goes_to_the_place_that_it_was_made_for_or_nowhere() {
    let (old, new) = (servers::http().await, servers::http().await);
    let (outward, place, cell) = outward(old.addr);
    cell.swap(Generation::FIRST.next(), policy(&rules(new.addr), &[]));
    let moved = outward.call(("local", &place), post(body::empty())).await.unwrap_err();
    assert_eq!(moved.to_string(), "backend `local` is another place since the policy changed; call again");
    assert_eq!((old.connections(), new.connections()), (0, 0));
}

/// The engine does not ask for more once it has all the bytes of a stated length.
#[tokio::test]
async fn an_answer_of_a_stated_length_is_over_with_its_last_byte() {
    let server = servers::http().await;
    let (outward, place, _) = outward(server.addr);
    let asked = Request::get("/v1/models").body(body::empty()).unwrap();
    let mut body = outward.call(("local", &place), asked).await.unwrap().into_body();
    let length = body.size_hint().exact().unwrap();
    let said = next(&mut body).await.unwrap().unwrap();
    assert_eq!((said.len() as u64, body.is_end_stream()), (length, true));
}

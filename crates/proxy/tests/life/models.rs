//! Model calls are handed over, and backends are reached.

use crate::servers;
use crate::stand::{Stand, ask, ask2, policy, speak1, whole};
use creel_net::authority::Authority;
use creel_net::resolve::Resolver;
use creel_net::trust::Trust;
use creel_net::{Body, body};
use creel_proxy::{CallContext, Called, Limits, Models, Outward, PolicyCell};
use creel_types::Generation;
use http::{Request, Response, StatusCode};
use std::sync::Arc;

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

#[tokio::test]
async fn a_backend_is_called_over_a_kept_connection_while_the_policy_stays() {
    let server = servers::http().await;
    let cell = Arc::new(PolicyCell::new(Generation::FIRST, policy(&rules(server.addr), &[])));
    let trust = Arc::new(Trust::default());
    let outward = Outward::new(Arc::clone(&cell), trust, Arc::new(Resolver::default()), Limits::default());
    let call = async || {
        let request = Request::builder().uri("/v1/models").body(body::empty()).unwrap();
        let (parts, body) = outward.call("local", request).await.unwrap().into_parts();
        assert_eq!(parts.status, StatusCode::OK);
        http_body_util::BodyExt::collect(body).await.unwrap().to_bytes()
    };
    for _ in 0..3 {
        let said = call().await;
        let expected = format!("GET /v1/models HTTP/1.1\nhost: {}", server.addr);
        assert_eq!(String::from_utf8_lossy(&said), expected);
        tokio::task::yield_now().await;
    }
    assert_eq!(server.connections(), 1);
    cell.swap(Generation::FIRST.next(), policy(&rules(server.addr), &[]));
    call().await;
    assert_eq!(server.connections(), 2, "a new policy is asked for a new connection");
    let none = outward.call("other", Request::new(body::empty())).await.unwrap_err();
    assert_eq!(none.to_string(), "no inference backend is called `other`");
}

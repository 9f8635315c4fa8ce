//! Requests on inspected connections.

use crate::servers;
use crate::stand::{Sent, Stand, ask, ask2, speak1, speak2, whole};
use creel_net::authority::{Authority, Protocols};
use creel_proxy::Limits;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RULES: &str = r#"
    - { name: api, to: [api.test], http: { allow: ["GET /ok/**", "* /echo", "POST /sum", "GET /large", "GET /trailers", "GET /socket"] } }
    - { name: plain, to: ["plain.test:80"], http: { allow: ["GET /ok/**"] } }
"#;

async fn stand(protocols: Protocols) -> (Stand, servers::Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "api.test", protocols).await;
    let plain = servers::http().await;
    let resolve = [("api.test", server.addr), ("plain.test", plain.addr)];
    (Stand::new(RULES, &resolve, outside), server)
}

#[tokio::test]
async fn an_allowed_request_arrives_in_canonical_form_and_a_denied_one_is_told_why() {
    let (stand, server) = stand(Protocols::Http).await;
    let mut agent = stand.https1("api.test").await;
    let denied = whole(agent.send_request(ask("POST", "api.test", "/ok/1")).await.unwrap()).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert_eq!(denied.headers["content-type"], "application/problem+json");
    for word in ["\"generation\": 1", "\"policy_denied\"", "POST", "suggestion"] {
        assert!(denied.text().contains(word), "{word} in {}", denied.text());
    }
    assert_eq!(server.connections(), 0, "nothing is dialled for what is denied");
    agent.ready().await.unwrap();
    let path = "/ok/./a/../b%7e//c?q=%2F";
    let allowed = whole(agent.send_request(ask("GET", "api.test", path)).await.unwrap()).await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert!(allowed.text().starts_with("GET /ok/b~/c?q=%2F HTTP/1.1\nhost: api.test"), "{}", allowed.text());
    for _ in 0..5 {
        agent.ready().await.unwrap();
        assert_eq!(agent.send_request(ask("GET", "api.test", "/ok/1")).await.unwrap().status(), 200);
    }
    assert_eq!(server.connections(), 1, "one connection outside is kept");
    assert_eq!(stand.notes.count("request GET api.test"), 6);
    assert_eq!(stand.notes.count("refused"), 1);
    assert_eq!(stand.notes.count("connection api.test:443 api inspect"), 1);
}

#[tokio::test]
async fn http2_goes_to_http2_and_to_http1() {
    for (protocols, version) in [(Protocols::Http, "HTTP/2.0"), (Protocols::Http1, "HTTP/1.1")] {
        let (stand, server) = stand(protocols).await;
        let agent = stand.https2("api.test").await;
        let many = (0..40).map(|n| {
            let mut agent = agent.clone();
            async move {
                agent.ready().await.unwrap();
                let asked = ask2("GET", &format!("https://api.test/ok/{n}"), b"");
                whole(agent.send_request(asked).await.unwrap()).await
            }
        });
        for (n, answer) in futures_util::future::join_all(many).await.iter().enumerate() {
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.text().contains(&format!("/ok/{n} {version}")), "{}", answer.text());
        }
        assert!(server.connections() <= 16, "{}", server.connections());
        let mut agent = agent;
        let denied = agent.send_request(ask2("DELETE", "https://api.test/ok/1", b"")).await.unwrap();
        assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn grpc_trailers_arrive_and_a_grpc_refusal_is_said_in_grpc() {
    let (stand, _server) = stand(Protocols::Http).await;
    let mut agent = stand.https2("api.test").await;
    let answer = agent.send_request(ask2("GET", "https://api.test/trailers", b"")).await.unwrap();
    let answer = whole(answer).await;
    assert_eq!(&answer.body[..], b"\0\0\0\0\x02hi");
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
    let mut asked = ask2("POST", "https://api.test/other.Service/Method", b"\0\0\0\0\0");
    asked.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    let refused = whole(agent.send_request(asked).await.unwrap()).await;
    assert_eq!(refused.status, StatusCode::OK);
    assert_eq!(refused.headers["grpc-status"], "7");
    assert!(refused.headers["grpc-message"].to_str().unwrap().contains("refused by network policy"));
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let (stand, _server) = stand(Protocols::Http).await;
    let large = vec![3; 10 << 20];
    let mut one = stand.https1("api.test").await;
    let mut up = ask("POST", "api.test", "/sum");
    *up.body_mut() = Sent::from(large.clone());
    assert_eq!(whole(one.send_request(up).await.unwrap()).await.text(), format!("{} {}", 10 << 20, 30 << 20));
    one.ready().await.unwrap();
    let down = whole(one.send_request(ask("GET", "api.test", "/large")).await.unwrap()).await;
    assert_eq!(down.body.len(), 10 << 20);
    let mut two = stand.https2("api.test").await;
    let mut echo = ask2("POST", "https://api.test/echo", b"");
    *echo.body_mut() = Sent::from(large.clone());
    assert_eq!(whole(two.send_request(echo).await.unwrap()).await.body, large);
}

#[tokio::test]
async fn a_websocket_is_spliced_after_its_request_was_allowed() {
    let (stand, _server) = stand(Protocols::Http).await;
    let upgrade = |path: &str| {
        let mut asked = ask("GET", "api.test", path);
        asked.headers_mut().insert("connection", "Upgrade".parse().unwrap());
        asked.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        asked
    };
    let mut agent = stand.https1("api.test").await;
    let denied = agent.send_request(upgrade("/other")).await.unwrap();
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    let mut agent = stand.https1("api.test").await;
    let response = agent.send_request(upgrade("/socket")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut socket = hyper_util::rt::TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for n in 0..10_u8 {
        socket.write_all(&[n; 1000]).await.unwrap();
        let mut back = [0; 1000];
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [n; 1000]);
    }
    assert!(!stand.swap("    - { name: none, to: [none.test] }\n").cut.is_empty());
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap_or(0), 0, "an upgraded connection is cut as well");
}

#[tokio::test]
async fn a_request_for_another_host_is_refused_on_every_kind_of_connection() {
    let (stand, server) = stand(Protocols::Http).await;
    let mut one = stand.https1("api.test").await;
    assert_eq!(one.send_request(ask("GET", "api.test", "/ok/1")).await.unwrap().status(), 200);
    one.ready().await.unwrap();
    for (host, path) in [
        ("other.test", "/ok/1"),
        ("api.test:444", "/ok/1"),
        ("api.test:65979", "/ok/1"),
        ("user@api.test", "/ok/1"),
        ("api.test", "https://other.test/ok/1"),
        ("api.test", "http://api.test/ok/1"),
    ] {
        let mut one = stand.https1("api.test").await;
        let answer = one.send_request(ask("GET", host, path)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
    }
    let kept = one.send_request(ask("GET", "other.test", "/ok/1")).await.unwrap();
    assert_eq!(kept.status(), StatusCode::MISDIRECTED_REQUEST);
    let mut two = stand.https2("api.test").await;
    let fronted = two.send_request(ask2("GET", "https://other.test/ok/1", b"")).await.unwrap();
    assert_eq!(fronted.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(server.connections(), 1);
    for same in ["API.test", "api.test.", "api.test:443"] {
        let mut one = stand.https1("api.test").await;
        let answer = whole(one.send_request(ask("GET", same, "/ok/1")).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{same}");
        assert!(answer.text().contains("\nhost: api.test"), "{}", answer.text());
    }
}

#[tokio::test]
async fn methods_that_tunnel_or_echo_and_paths_with_two_readings_are_refused() {
    let (stand, server) = stand(Protocols::Http).await;
    for (method, path, status) in [
        ("TRACE", "/ok/1", 403),
        ("OPTIONS", "*", 400),
        ("GET", "/ok/%2e%2e/%2e%2e/x", 400),
        ("GET", "/ok/a%2fb", 400),
        ("GET", "/ok/..;/x", 400),
        ("GET", "/ok/%zz", 400),
        ("get", "/ok/1", 400),
    ] {
        let mut agent = stand.https1("api.test").await;
        let answer = agent.send_request(ask(method, "api.test", path)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
    let mut agent = stand.https1("api.test").await;
    let connect = Request::builder()
        .method("CONNECT")
        .uri("api.test:443")
        .header("host", "api.test:443")
        .body(Sent::default())
        .unwrap();
    assert_eq!(agent.send_request(connect).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn http_without_tls_is_judged_the_same_way() {
    let (stand, _server) = stand(Protocols::Http).await;
    let mut agent = speak1(stand.connect("plain.test", 80).await).await;
    assert_eq!(agent.send_request(ask("GET", "plain.test", "/ok/1")).await.unwrap().status(), 200);
    agent.ready().await.unwrap();
    assert_eq!(agent.send_request(ask("GET", "plain.test", "/no")).await.unwrap().status(), 403);
    agent.ready().await.unwrap();
    let absolute = agent.send_request(ask("GET", "plain.test", "http://plain.test/ok/2")).await.unwrap();
    assert!(whole(absolute).await.text().starts_with("GET /ok/2 HTTP/1.1"));
    let mut h2c = ask("GET", "plain.test", "/ok/3");
    for (name, value) in
        [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]
    {
        h2c.headers_mut().insert(name, value.parse().unwrap());
    }
    agent.ready().await.unwrap();
    let answer = whole(agent.send_request(h2c).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.text().contains("h2c") && !answer.text().contains("upgrade"), "{}", answer.text());
}

#[tokio::test]
async fn what_nothing_admits_is_told_why_over_every_protocol() {
    let (stand, _server) = stand(Protocols::Http).await;
    let mut one = stand.https1("denied.test").await;
    let refused = whole(one.send_request(ask("GET", "denied.test", "/")).await.unwrap()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("denied.test"), "{}", refused.text());
    let mut two = stand.https2("denied.test").await;
    assert_eq!(two.send_request(ask2("GET", "https://denied.test/", b"")).await.unwrap().status(), 403);
    let mut plain = speak1(stand.connect("denied.test", 80).await).await;
    assert_eq!(plain.send_request(ask("GET", "denied.test", "/")).await.unwrap().status(), 403);
    let mut h2c = speak2(stand.connect("denied.test", 80).await).await;
    assert_eq!(h2c.send_request(ask2("GET", "http://denied.test/", b"")).await.unwrap().status(), 403);
    let mut addr =
        stand.secure(("192.0.2.9", 443), "192.0.2.9", &["http/1.1"]).await.map(speak1).unwrap().await;
    assert_eq!(addr.send_request(ask("GET", "192.0.2.9", "/")).await.unwrap().status(), 403);
    assert_eq!(stand.notes.count("refused"), 5);
}

#[tokio::test]
async fn nothing_is_admitted_that_cannot_be_recorded() {
    let (stand, server) = stand(Protocols::Http).await;
    let mut agent = stand.https1("api.test").await;
    stand.notes.full.store(true, Ordering::Relaxed);
    let answer = whole(agent.send_request(ask("GET", "api.test", "/ok/1")).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("the record cannot be written: disk full"), "{}", answer.text());
    assert!(stand.secure(("api.test", 443), "api.test", &["h2"]).await.is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn header_case_is_kept_from_http1_to_http1() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::listener().await;
    let rules = "    - { name: plain, to: [\"plain.test:80\"] }\n";
    let stand = Stand::new(rules, &[("plain.test", server.addr)], outside);
    let mut agent = stand.connect("plain.test", 80).await;
    let asked = "GET /a HTTP/1.1\r\nHOST: plain.test\r\nX-MiXed: 1\r\nConnection: X-Hop\r\nx-hop: 1\r\n\r\n";
    agent.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let n = agent.read(&mut answer).await.unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"));
    assert_eq!(server.heard(), "GET /a HTTP/1.1\r\nHOST: plain.test\r\nX-MiXed: 1\r\n\r\n");
}

#[tokio::test]
async fn a_body_waits_for_100_continue() {
    let (stand, _server) = stand(Protocols::Http).await;
    let mut agent = stand.secure(("api.test", 443), "api.test", &["http/1.1"]).await.unwrap();
    let head = "POST /sum HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    agent.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 512];
    let n = agent.read(&mut said).await.unwrap();
    assert!(
        said[..n].starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&said[..n])
    );
    agent.write_all(b"\x01\x02\x03").await.unwrap();
    let n = agent.read(&mut said).await.unwrap();
    assert!(String::from_utf8_lossy(&said[..n]).contains("200 OK"));
}

#[tokio::test]
async fn a_refusal_is_read_even_under_a_large_body() {
    let (stand, _server) = stand(Protocols::Http).await;
    let mut agent = stand.https1("denied.test").await;
    let mut asked = ask("POST", "denied.test", "/upload");
    *asked.body_mut() = Sent::from(vec![1; 2 << 20]);
    assert_eq!(agent.send_request(asked).await.unwrap().status(), StatusCode::FORBIDDEN);
    agent.ready().await.unwrap();
    assert_eq!(agent.send_request(ask("GET", "denied.test", "/")).await.unwrap().status(), 403);
}

/// The engine does so for HTTP/1.1 by itself.
#[tokio::test]
async fn an_idle_connection_of_http2_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "api.test", Protocols::Http).await;
    let limits = Limits { idle: Duration::from_millis(200), ..Limits::default() };
    let rules = r#"    - { name: api, to: [api.test], http: { allow: ["GET /**"] } }"#;
    let resolve = [("api.test", server.addr)];
    let agent = (Some("/usr/bin/agent".into()), Arc::new(creel_proxy::NoModels) as _);
    let stand = Stand::within(limits, rules, &resolve, outside, agent);
    let mut idle = stand.https2("api.test").await;
    let asked = ask2("GET", "https://api.test/ok", b"");
    assert_eq!(idle.send_request(asked).await.unwrap().status(), StatusCode::OK);
    let mut busy = stand.https2("api.test").await;
    let mut slow = busy.send_request(ask2("GET", "https://api.test/slow", b"")).await.unwrap();
    let closed = async {
        while stand.exit.connections() > 1 {
            slow.body_mut().frame().await.expect("it goes on").unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("the idle one is closed");
    for _ in 0..100 {
        slow.body_mut().frame().await.expect("it goes on").unwrap();
    }
    assert_eq!(stand.exit.connections(), 1);
}

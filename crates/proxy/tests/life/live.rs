//! Policy changes while connections live.

use crate::servers;
use crate::stand::{Stand, ask, ask2, speak1};
use creel_net::authority::{Authority, Protocols};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ALL: &str = r#"
    - { name: keep, to: [keep.test], http: { allow: ["GET /slow", "GET /ok/**"] } }
    - { name: db, to: ["db.test:5432"], raw: true }
    - { name: through, to: [through.test] }
"#;
const KEEP: &str = r#"
    - { name: keep, to: [keep.test], http: { allow: ["GET /slow"] } }
"#;
const LESS: &str = r#"
    - { name: keep, to: [keep.test], http: { allow: ["GET /ok/**"] } }
    - { name: db, to: ["db.test:5432"], raw: true }
"#;

async fn stand() -> Stand {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let keep = servers::https(&outside, "keep.test", Protocols::Http).await;
    let through = servers::https(&outside, "through.test", Protocols::Http).await;
    let db = servers::talker().await;
    let resolve = [("keep.test", keep.addr), ("db.test", db.addr), ("through.test", through.addr)];
    Stand::new(ALL, &resolve, outside)
}

/// Reads numbered lines from the stream until it has seen `lines` of them; they must be complete and in order.
async fn count(
    body: &mut hyper::body::Incoming,
    seen: &mut String,
    lines: usize,
) -> Result<(), hyper::Error> {
    while seen.lines().count() < lines {
        let frame = body.frame().await.expect("it never ends")?;
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    for (n, line) in seen.lines().enumerate() {
        assert_eq!(line, n.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn a_change_cuts_what_is_no_longer_allowed_and_nothing_else() {
    let stand = stand().await;
    let mut stream = stand.https1("keep.test").await;
    let mut body = stream.send_request(ask("GET", "keep.test", "/slow")).await.unwrap().into_body();
    let mut db = stand.connect("db.test", 5432).await;
    db.read_exact(&mut [0; 11]).await.unwrap();
    let through = stand.secure(("through.test", 443), "through.test", &["http/1.1"]).await.unwrap();
    let mut through = speak1(through).await;
    assert_eq!(through.send_request(ask("GET", "through.test", "/")).await.unwrap().status(), 200);
    let outcome = stand.swap(KEEP);
    assert_eq!((outcome.kept, outcome.cut.len()), (1, 2), "{outcome:?}");
    assert!(outcome.cut.iter().all(|cut| cut.request.is_none() && !cut.why.is_empty()));
    let end = db.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(db.write_all(b"x").await.is_err());
    assert!(through.send_request(ask("GET", "through.test", "/")).await.is_err());
    let mut seen = String::new();
    count(&mut body, &mut seen, 20).await.unwrap();
}

#[tokio::test]
async fn a_surviving_stream_loses_no_byte_over_a_hundred_changes() {
    let stand = stand().await;
    let mut one = stand.https1("keep.test").await;
    let mut slow = one.send_request(ask("GET", "keep.test", "/slow")).await.unwrap().into_body();
    let mut db = stand.connect("db.test", 5432).await;
    db.read_exact(&mut [0; 11]).await.unwrap();
    let mut seen = String::new();
    for n in 0..100_u8 {
        let outcome = stand.swap(ALL);
        assert_eq!((outcome.kept, outcome.cut.len()), (2, 0));
        count(&mut slow, &mut seen, usize::from(n) + 1).await.unwrap();
        db.write_all(&[n; 5000]).await.unwrap();
        let mut back = [0; 5000];
        db.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [n; 5000]);
    }
}

#[tokio::test]
async fn a_request_that_is_no_longer_allowed_is_cut_out_of_its_http2_connection() {
    let stand = stand().await;
    let mut agent = stand.https2("keep.test").await;
    let mut slow = agent.send_request(ask2("GET", "https://keep.test/slow", b"")).await.unwrap().into_body();
    let mut seen = String::new();
    count(&mut slow, &mut seen, 3).await.unwrap();
    let outcome = stand.swap(LESS);
    assert_eq!((outcome.kept, outcome.cut.len()), (1, 1), "{outcome:?}");
    assert_eq!(outcome.cut[0].request.as_deref(), Some("GET /slow"));
    assert!(count(&mut slow, &mut seen, 1000).await.is_err());
    let again = agent.send_request(ask2("GET", "https://keep.test/ok/1", b"")).await.unwrap();
    assert_eq!(again.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn a_request_that_is_no_longer_allowed_ends_its_http1_connection() {
    let stand = stand().await;
    let mut agent = stand.https1("keep.test").await;
    let mut slow = agent.send_request(ask("GET", "keep.test", "/slow")).await.unwrap().into_body();
    let mut seen = String::new();
    count(&mut slow, &mut seen, 3).await.unwrap();
    assert_eq!(stand.swap(LESS).cut.len(), 1);
    assert!(count(&mut slow, &mut seen, 1000).await.is_err());
}

#[tokio::test]
async fn a_refused_connection_that_is_kept_alive_is_asked_anew() {
    let stand = stand().await;
    let mut agent = stand.https2("through.test").await.clone();
    let _ = agent.ready().await;
    let mut denied = stand.https2("keep.test").await;
    assert_eq!(denied.send_request(ask2("GET", "https://keep.test/new", b"")).await.unwrap().status(), 403);
    stand.swap("    - { name: keep, to: [keep.test], http: { allow: [\"GET /new\"] } }\n");
    assert_eq!(denied.send_request(ask2("GET", "https://keep.test/new", b"")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_waiting_connection_is_small() {
    let stand = stand().await;
    let (stream, _other) = crate::stand::pair().await;
    let source = stream.peer_addr().unwrap();
    let serving = Arc::clone(&stand.exit).connection(stream, source, source);
    assert!(size_of_val(&serving) < 4096, "{}", size_of_val(&serving));
}

//! Requests that two programs read differently: what goes out is read in one way.

use crate::servers;
use crate::stand::{Stand, ask2};
use creel_net::authority::{Authority, Protocols};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends `bytes` and gives what was answered, and what the server outside heard.
async fn send(bytes: &str) -> (String, String) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::listener().await;
    let rules = "    - { name: web, to: [\"web.test:80\"], http: { allow: [\"* /ok/**\"] } }\n";
    let stand = Stand::new(rules, &[("web.test", server.addr)], outside);
    let mut agent = stand.connect("web.test", 80).await;
    agent.write_all(bytes.as_bytes()).await.unwrap();
    agent.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), agent.read_to_end(&mut answer)).await;
    (String::from_utf8_lossy(&answer).into_owned(), server.heard())
}

#[tokio::test]
async fn what_has_two_readings_is_refused_and_nothing_goes_out() {
    for (name, head) in [
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked in a list", "Transfer-Encoding: gzip, chunked\r\n"),
        ("chunked misspelt", "Transfer-Encoding: xchunked\r\n"),
        ("chunked not last", "Transfer-Encoding: chunked, identity\r\n"),
        ("folded field", "X-A: 1\r\n folded\r\n"),
        ("space before colon", "Content-Length : 5\r\n"),
        ("space in name", "X A: 1\r\n"),
        ("plus in length", "Content-Length: +5\r\n"),
        ("minus in length", "Content-Length: -5\r\n"),
        ("hexadecimal length", "Content-Length: 0x5\r\n"),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("length list", "Content-Length: 5, 5\r\n"),
        ("NUL in value", "X-A: a\0b\r\n"),
        ("CR in value", "X-A: a\rb\r\n"),
        ("no name", ": 1\r\n"),
        ("host twice", "Host: web.test\r\n"),
    ] {
        let bytes = format!(
            "POST /ok/1 HTTP/1.1\r\nHost: web.test\r\n{head}\r\n0\r\n\r\nGET /no HTTP/1.1\r\nHost: web.test\r\n\r\n"
        );
        let (answer, heard) = send(&bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{name}: {answer}");
        assert!(!heard.contains("/no"), "{name}: {heard}");
        assert_eq!(heard, "", "{name}");
    }
}

/// The engine takes the chunks and drops the length, as RFC 9112 section 6.3 has it; what goes on has one reading.
#[tokio::test]
async fn chunks_win_over_a_length_and_the_connection_ends() {
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let bytes = format!(
            "POST /ok/1 HTTP/1.1\r\nHost: web.test\r\n{head}\r\n0\r\n\r\nGET /ok/2 HTTP/1.1\r\nHost: web.test\r\n\r\n"
        );
        let (answer, heard) = send(&bytes).await;
        assert!(!heard.to_ascii_lowercase().contains("content-length"), "{heard}");
        assert_eq!(heard.matches("HTTP/1.1").count(), 1, "{heard}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn each_pipelined_request_is_judged() {
    let two = "GET /ok/1 HTTP/1.1\r\nHost: web.test\r\n\r\nGET /no HTTP/1.1\r\nHost: web.test\r\n\r\n";
    let (answer, heard) = send(two).await;
    assert!(answer.contains("200 OK") && answer.contains("403 Forbidden"), "{answer}");
    assert_eq!(heard.matches("HTTP/1.1").count(), 1, "{heard}");
}

#[tokio::test]
async fn what_is_tolerated_is_sent_on_in_its_one_form() {
    for (name, bytes, expected) in [
        (
            "bare line feeds",
            "GET /ok/1 HTTP/1.1\nHost: web.test\nX-A: 1\n\n",
            "GET /ok/1 HTTP/1.1\r\nHost: web.test\r\nX-A: 1\r\n\r\n",
        ),
        (
            "chunk extensions",
            "POST /ok/1 HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
            "POST /ok/1 HTTP/1.1\r\nHost: web.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
    ] {
        let (_, heard) = send(bytes).await;
        assert_eq!(heard.to_ascii_lowercase(), expected.to_ascii_lowercase(), "{name}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_no_number_ends_the_connection() {
    for size in ["-1", "0x3", "3 3", "fffffffffffffffff"] {
        let head = "POST /ok/1 HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (_, heard) =
            send(&format!("{head}{size}\r\nabc\r\n0\r\n\r\nGET /no HTTP/1.1\r\nHost: web.test\r\n\r\n"))
                .await;
        assert!(!heard.contains("abc") && !heard.contains("/no"), "{size}: {heard}");
    }
}

#[tokio::test]
async fn a_body_in_chunks_arrives_whatever_the_method_is() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::http().await;
    let rules = "    - { name: web, to: [\"web.test:80\"], http: { allow: [\"* /sum\"] } }\n";
    let stand = Stand::new(rules, &[("web.test", server.addr)], outside);
    for method in ["GET", "POST", "DELETE"] {
        let mut agent = stand.connect("web.test", 80).await;
        let head = format!("{method} /sum HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n");
        let body = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        agent.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        agent.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("3 294"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn two_lengths_are_refused_over_http2_too() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "web.test", Protocols::Http1).await;
    let rules = "    - { name: web, to: [web.test], http: { allow: [\"* /sum\"] } }\n";
    let stand = Stand::new(rules, &[("web.test", server.addr)], outside);
    let mut agent = stand.https2("web.test").await;
    let mut twice = ask2("POST", "https://web.test/sum", b"abc");
    twice.headers_mut().append("content-length", "3".parse().unwrap());
    twice.headers_mut().append("content-length", "3".parse().unwrap());
    assert_eq!(agent.send_request(twice).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(server.connections(), 0);
}

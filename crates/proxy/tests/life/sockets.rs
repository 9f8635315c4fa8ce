//! WebSockets whose messages are judged.

use crate::servers::{self, Server};
use crate::stand::{Stand, ask, speak1};
use creel_net::authority::{Authority, Protocols};
use creel_proxy::inspect::frames;
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RULES: &str = r#"
    - { name: chat, to: [chat.test], http: { allow: ["GET /socket"] }, websocket: { allow: ["say *", ping], deny: ["*secret*"] } }
    - { name: free, to: [free.test], http: { allow: ["GET /socket"] } }
"#;

type Socket = TokioIo<hyper::upgrade::Upgraded>;

async fn stand() -> (Stand, Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "chat.test", Protocols::Http1).await;
    let free = servers::https(&outside, "free.test", Protocols::Http1).await;
    let resolve = [("chat.test", server.addr), ("free.test", free.addr)];
    (Stand::new(RULES, &resolve, outside), server)
}

fn upgrade(host: &str, path: &str) -> Request<crate::stand::Sent> {
    let mut asked = ask("GET", host, path);
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", "permessage-deflate"),
    ] {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    asked
}

/// A WebSocket to a server that echoes bytes, frames and all.
async fn open(stand: &Stand, host: &str) -> Socket {
    let mut agent = speak1(stand.secure((host, 443), host, &["http/1.1"]).await.unwrap()).await;
    let response = agent.send_request(upgrade(host, "/socket")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

fn text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

async fn read_all(socket: &mut Socket) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the socket was closed");
    all
}

#[tokio::test]
async fn a_socket_without_rules_for_messages_passes_every_byte() {
    let (stand, _server) = stand().await;
    let mut socket = open(&stand, "free.test").await;
    socket.write_all(b"any bytes").await.unwrap();
    let mut back = [0; 9];
    socket.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"any bytes");
}

// The server of these tests echoes masked frames, which no server may send: the other end is a talker of its own.
async fn talking() -> (Stand, Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let host = creel_types::Host::Name(creel_types::HostName::new("chat.test").unwrap());
    let config = outside.server(&host, Protocols::Http1).unwrap();
    let server = servers::server(move |stream, heard| {
        let config = Arc::clone(&config);
        async move {
            let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await else { return };
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_exact(&mut byte).await.is_err() {
                    return;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            assert!(!head.contains("permessage-deflate"), "compression is not offered: {head}");
            let more =
                if head.contains("x-odd") { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Says hello, then answers each read with one text.
            let _ = stream.write_all(b"\x81\x05hello").await;
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                heard.lock().unwrap().extend_from_slice(&buffer[..n]);
                let _ = stream.write_all(b"\x81\x02ok").await;
            }
        }
    })
    .await;
    (Stand::new(RULES, &[("chat.test", server.addr), ("free.test", server.addr)], outside), server)
}

async fn hello(socket: &mut Socket) {
    let mut hello = [0; 7];
    socket.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"\x81\x05hello");
}

async fn said(socket: &mut Socket, bytes: &[u8]) {
    socket.write_all(bytes).await.unwrap();
    let mut back = [0; 4];
    socket.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x81\x02ok");
}

/// Waits until the server has heard exactly this, and then the close of one that goes away.
async fn heard_then_gone(server: &Server, before: &[u8]) {
    let want = [before, &frames::close(1001, "", true)].concat();
    for _ in 0..500 {
        if *server.heard.lock().unwrap() == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*server.heard.lock().unwrap(), want, "the server is told to close, and no more");
}

#[tokio::test]
async fn allowed_texts_and_pings_pass_and_a_refused_text_closes_the_socket_with_a_reason() {
    let (stand, server) = talking().await;
    let mut socket = open(&stand, "chat.test").await;
    hello(&mut socket).await;
    said(&mut socket, &text("say hello")).await;
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    said(&mut socket, &ping).await;
    let before = server.heard.lock().unwrap().clone();
    socket.write_all(&text("say the SECRET")).await.unwrap();
    let last = read_all(&mut socket).await;
    assert_eq!(&last[..4], &[0x88, last[1], 0x03, 0xf0], "close 1008: {last:?}");
    let why = String::from_utf8_lossy(&last[4..]).into_owned();
    assert_eq!(why, "refused by network policy: `deny: *secret*` takes what the request says");
    heard_then_gone(&server, &before).await;
    assert_eq!(stand.notes.count("refused chat.test:443 Some((\"GET\", \"/socket\"))"), 1);
}

#[tokio::test]
async fn a_text_in_parts_is_judged_whole_before_any_of_it_goes_out() {
    let (stand, server) = talking().await;
    let mut socket = open(&stand, "chat.test").await;
    hello(&mut socket).await;
    let first = [&[0x01, 0x80 | 7, 0, 0, 0, 0][..], b"say sec"].concat();
    socket.write_all(&first).await.unwrap();
    said(&mut socket, &[0x89, 0x80, 0, 0, 0, 0]).await;
    assert!(!server.heard().contains("say"), "the first part waits for the last");
    socket.write_all(&[&[0x80, 0x80 | 3, 0, 0, 0, 0][..], b"ret"].concat()).await.unwrap();
    assert_eq!(read_all(&mut socket).await[2..4], [0x03, 0xf0]);
    assert!(!server.heard().contains("say"));
}

#[tokio::test]
async fn what_is_not_as_agreed_closes_the_socket() {
    for bytes in [&b"\x81\x01x"[..], b"\xc1\x80\0\0\0\0", b"\x82\x81\0\0\0\0x", b"GET / HTTP/1.1\r\n\r\n"] {
        let (stand, server) = talking().await;
        let mut socket = open(&stand, "chat.test").await;
        hello(&mut socket).await;
        socket.write_all(bytes).await.unwrap();
        let last = read_all(&mut socket).await;
        assert_eq!(last[0], 0x88, "{bytes:?}");
        heard_then_gone(&server, b"").await;
    }
}

#[tokio::test]
async fn only_a_websocket_is_opened_and_only_without_extensions() {
    let (stand, _server) = talking().await;
    for (name, value) in [("upgrade", "other"), ("sec-websocket-version", "12"), ("connection", "close")] {
        let mut agent = stand.https1("chat.test").await;
        let mut asked = upgrade("chat.test", "/socket");
        asked.headers_mut().insert(name, value.parse().unwrap());
        let refused = agent.send_request(asked).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let mut agent = stand.https1("chat.test").await;
    let mut asked = upgrade("chat.test", "/socket");
    asked.headers_mut().insert("x-odd", "1".parse().unwrap());
    assert_eq!(agent.send_request(asked).await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_new_policy_judges_the_next_message_of_an_open_socket() {
    let (stand, server) = talking().await;
    let mut socket = open(&stand, "chat.test").await;
    hello(&mut socket).await;
    said(&mut socket, &text("say hello")).await;
    let kept = stand.swap("    - { name: chat, to: [chat.test], websocket: { allow: [\"other *\"] } }\n");
    assert_eq!((kept.kept, kept.cut.len()), (1, 0), "{kept:?}");
    let before = server.heard();
    socket.write_all(&text("say more")).await.unwrap();
    assert_eq!(read_all(&mut socket).await[2..4], [0x03, 0xf0]);
    assert!(!server.heard()[before.len()..].contains("more"));
}

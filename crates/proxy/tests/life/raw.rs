//! Bytes that are neither TLS nor HTTP.

use crate::servers;
use crate::stand::Stand;
use creel_net::authority::Authority;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RULES: &str = r#"
    - { name: db, to: ["db.test:5432"], raw: true }
    - { name: web, to: [web.test] }
"#;

async fn stand() -> (Stand, servers::Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::talker().await;
    (Stand::new(RULES, &[("db.test", server.addr), ("web.test", server.addr)], outside), server)
}

#[tokio::test]
async fn a_raw_rule_lets_the_server_speak_first_and_each_side_finish_by_itself() {
    let (stand, _server) = stand().await;
    let mut agent = stand.connect("db.test", 5432).await;
    let mut hello = [0; 11];
    agent.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"220 hello\r\n");
    agent.write_all(&[9; 300_000]).await.unwrap();
    agent.shutdown().await.unwrap();
    let mut rest = Vec::new();
    agent.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, vec![9; 300_000]);
}

#[tokio::test]
async fn other_bytes_without_a_raw_rule_are_reset() {
    let (stand, server) = stand().await;
    for (host, port) in [("web.test", 443), ("denied.test", 5432), ("192.0.2.1", 22)] {
        let mut agent = stand.connect(host, port).await;
        agent.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        let end = agent.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{host}");
    }
    assert_eq!((server.connections(), stand.notes.count("refused")), (0, 3));
}

#[tokio::test]
async fn a_silent_client_that_nothing_admits_is_reset_soon() {
    let (stand, _server) = stand().await;
    let began = Instant::now();
    let mut agent = stand.connect("denied.test", 25).await;
    let end = agent.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!((100..2000).contains(&(began.elapsed().as_millis() as u64)), "{:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_millis(100));
}

#[tokio::test]
async fn a_name_that_leads_to_loopback_is_refused_unless_the_operator_said_so() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::talker().await;
    // `localhost` is resolved from the hosts file, and is not a public address.
    let rules = "    - { name: local, to: [\"localhost:5432\"], raw: true }\n";
    let stand = Stand::new(rules, &[], outside);
    let mut agent = stand.connect("localhost", server.addr.port()).await;
    assert!(agent.read(&mut [0; 8]).await.is_err());
    let mut agent = stand.connect("localhost", 5432).await;
    assert!(agent.read(&mut [0; 8]).await.is_err());
    assert_eq!(server.connections(), 0);
    let lines = stand.notes.lines.lock().unwrap().join("\n");
    assert!(lines.contains("the address is"), "{lines}");
}

#[tokio::test]
async fn a_policy_that_only_observes_lets_other_bytes_through_and_writes_them_down() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::talker().await;
    let rules = "    - { name: web, to: [web.test] }\nmode: observe\n";
    let stand = Stand::new(rules, &[("db.test", server.addr)], outside);
    let mut agent = stand.connect("db.test", 5432).await;
    let mut hello = [0; 11];
    agent.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"220 hello\r\n");
    assert_eq!((stand.notes.count("connection db.test:5432"), stand.notes.count("refused")), (1, 2));
}

#[tokio::test]
async fn an_accepted_connection_was_going_to_its_own_address() {
    let (stand, _server) = stand().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&stand.exit).serve_tcp(listener, creel_net::original::Capture::Transparent));
    let mut agent = tokio::net::TcpSocket::new_v4().unwrap().connect(addr).await.unwrap();
    agent
        .write_all(format!("GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    agent.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains(&addr.to_string()), "{answer}");
}

//! The sandbox's resolver.

use crate::stand::Stand;
use creel_net::authority::Authority;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, (kind >> 8) as u8, kind as u8, 0, 1]);
    bytes
}

fn stand() -> Stand {
    let rules = "    - { name: web, to: [web.test] }\n";
    Stand::new(rules, &[], Arc::new(Authority::new("outside").unwrap()))
}

#[tokio::test]
async fn every_name_has_an_address_of_its_own_over_udp() {
    let stand = stand();
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(Arc::clone(&stand.exit).serve_dns(server.into()));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(addr).await.unwrap();
    let ask = async |name: &str, kind: u16| {
        client.send(&question(name, kind)).await.unwrap();
        let mut reply = vec![0; 1500];
        let n = client.recv(&mut reply).await.unwrap();
        reply.truncate(n);
        reply
    };
    let a = ask("web.test", 1).await;
    assert_eq!((a[3] & 15, a[7]), (0, 1));
    assert_eq!(a[a.len() - 4], 28);
    assert_eq!(
        stand.exit.names().name(<[u8; 4]>::try_from(&a[a.len() - 4..]).unwrap().into()).unwrap().as_str(),
        "web.test"
    );
    let denied = ask("secret-data.evil.test", 1).await;
    assert_eq!((denied[3] & 15, denied[7]), (0, 1), "a refusal is told at the connection");
    for (name, kind, code) in [
        ("web.test", 16, 0),
        ("web.test", 65, 0),
        ("use-application-dns.net", 1, 3),
        ("9.9.9.9.in-addr.arpa", 12, 3),
    ] {
        let reply = ask(name, kind).await;
        assert_eq!((reply[3] & 15, reply[7]), (code, 0), "{name} {kind}");
    }
    assert!(ask("localhost", 1).await.ends_with(&[127, 0, 0, 1]));
    assert_eq!(stand.notes.count("question"), 7);
}

#[tokio::test]
async fn the_same_resolver_answers_over_tcp_at_any_address() {
    let stand = stand();
    let mut agent = stand.connect("8.8.8.8", 53).await;
    for _ in 0..2 {
        let question = question("web.test", 28);
        agent.write_all(&[&(question.len() as u16).to_be_bytes(), &question[..]].concat()).await.unwrap();
        let len = agent.read_u16().await.unwrap();
        let mut reply = vec![0; usize::from(len)];
        agent.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply[reply.len() - 16..reply.len() - 14], &[0x3f, 0xfe]);
    }
}

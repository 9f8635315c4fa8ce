//! TLS that is passed through, and TLS that is not what it claims.

use crate::servers;
use crate::stand::{Stand, ask, secure, speak1, whole};
use creel_net::authority::{Authority, Protocols};
use http::StatusCode;
use std::path::PathBuf;
use std::sync::Arc;

const RULES: &str = r#"
    - { name: through, to: [through.test] }
    - { name: api, to: [api.test], http: { allow: ["GET /**"] } }
    - { name: by-curl, to: [curl.test], from: [/usr/bin/curl] }
    - { name: bare, to: [bare.test] }
"#;

async fn stand(program: Option<PathBuf>) -> (Stand, servers::Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "through.test", Protocols::Http).await;
    let resolve = [("through.test", server.addr), ("api.test", server.addr), ("curl.test", server.addr)];
    (Stand::with(RULES, &resolve, outside, program, Arc::new(creel_proxy::NoModels)), server)
}

#[tokio::test]
async fn what_needs_no_look_is_passed_through_with_the_servers_own_certificate() {
    let (stand, _server) = stand(Some("/usr/bin/agent".into())).await;
    let stream = stand.connect("through.test", 443).await;
    let stream = secure(stream, "through.test", &["http/1.1"], &[&stand.outside]).await.unwrap();
    let mut agent = speak1(stream).await;
    let answer = agent.send_request(ask("GET", "through.test", "/any//thing")).await.unwrap();
    assert!(whole(answer).await.text().starts_with("GET /any//thing HTTP/1.1"), "no byte is changed");
    drop(agent);
    assert_eq!(stand.notes.count("connection through.test:443 through pass-through"), 1);
    for _ in 0..100 {
        if stand.notes.count("ended through.test:443") == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the end is not recorded: {:?}", stand.notes.lines.lock().unwrap());
}

#[tokio::test]
async fn a_server_name_other_than_the_admitted_one_is_refused_and_can_read_why() {
    let (stand, server) = stand(Some("/usr/bin/agent".into())).await;
    for host in ["through.test", "api.test"] {
        let stream = stand.secure((host, 443), "other.test", &["http/1.1"]).await.unwrap();
        let mut agent = speak1(stream).await;
        let answer = whole(agent.send_request(ask("GET", "other.test", "/")).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
        assert!(answer.text().contains("the TLS server name is other.test"), "{}", answer.text());
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_with_a_trailing_claim_but_no_server_name_is_refused() {
    let (stand, server) = stand(Some("/usr/bin/agent".into())).await;
    // An address as the name to verify: the client sends no server name.
    assert!(stand.secure(("through.test", 443), "192.0.2.1", &[]).await.is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_claimed_to_be_an_admitted_name_is_still_an_address() {
    let (stand, server) = stand(Some("/usr/bin/agent".into())).await;
    let stream = stand.secure(("192.0.2.1", 443), "api.test", &["http/1.1"]).await.unwrap();
    let mut agent = speak1(stream).await;
    let answer = agent.send_request(ask("GET", "api.test", "/")).await.unwrap();
    assert!(matches!(answer.status(), StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_connection_of_an_unknown_program_is_refused_where_a_rule_asks() {
    for (program, status) in [(None, 403), (Some("/usr/bin/wget".into()), 403)] {
        let (stand, _server) = stand(program).await;
        let stream = stand.secure(("curl.test", 443), "curl.test", &["http/1.1"]).await.unwrap();
        let mut agent = speak1(stream).await;
        let answer = agent.send_request(ask("GET", "curl.test", "/")).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_a_bad_gateway() {
    let (stand, _server) = stand(Some("/usr/bin/agent".into())).await;
    let mut agent = stand.https1("api.test").await;
    let answer = whole(agent.send_request(ask("GET", "api.test", "/")).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.text().contains("TLS with api.test"), "{}", answer.text());
}

/// A client that always sends the decoy of an encrypted hello, as browsers do.
async fn decoy(
    stand: &Stand,
    host: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let suite = rustls::crypto::aws_lc_rs::hpke::ALL_SUPPORTED_SUITES[0];
    let (key, _) = suite.generate_key_pair().unwrap();
    let mode = rustls::client::EchMode::Grease(rustls::client::EchGreaseConfig::new(suite, key));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(stand.inside.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_ech(mode)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = stand.connect(host, 443).await;
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(host.to_owned().try_into().unwrap(), stream)
        .await
}

#[tokio::test]
async fn what_may_hide_another_name_is_opened_and_not_passed_through() {
    let (stand, server) = stand(Some("/usr/bin/agent".into())).await;
    let mut agent = speak1(decoy(&stand, "through.test").await.unwrap()).await;
    let answer = agent.send_request(ask("GET", "through.test", "/a")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut agent = speak1(decoy(&stand, "through.test").await.unwrap()).await;
    let fronted = agent.send_request(ask("GET", "other.test", "/a")).await.unwrap();
    assert_eq!((fronted.status(), server.connections()), (StatusCode::MISDIRECTED_REQUEST, 1));
}

//! GraphQL and git through inspected connections.

use crate::servers::{self, Server};
use crate::stand::{Sent, Stand, ask, speak1, whole};
use bytes::Bytes;
use creel_net::authority::Authority;
use serde_json::Value;
use std::sync::Arc;

const RULES: &str = r#"
    - { name: api, to: ["api.test:80"], graphql: { allow: ["query *", "mutation create*"], deny: ["* createToken"] } }
    - { name: all, to: ["guarded.test:80"], http: { allow: ["* /**"] } }
    - { name: guard, to: ["guarded.test:80"], graphql: { deny: ["mutation *"] } }
    - { name: forge, to: ["forge.test:80"], git: { push: [{ repository: acme/app, refs: ["refs/heads/agent/*"] }] } }
"#;

async fn stand() -> (Stand, Server) {
    let server = servers::listener().await;
    let resolve = ["api.test", "guarded.test", "forge.test"].map(|name| (name, server.addr));
    (Stand::new(RULES, &resolve, Arc::new(Authority::new("outside").unwrap())), server)
}

/// What is answered, and whether anything reached the server.
async fn post(host: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Vec<u8>, bool) {
    let (stand, server) = stand().await;
    let mut request = ask("POST", host, path);
    request.headers_mut().insert("content-type", kind.parse().unwrap());
    *request.body_mut() = Sent::from(Bytes::copy_from_slice(body));
    let mut agent = speak1(stand.connect(host, 80).await).await;
    let answer = whole(agent.send_request(request).await.unwrap()).await;
    (answer.status.as_u16(), answer.body.to_vec(), server.connections() > 0)
}

#[tokio::test]
async fn an_operation_goes_when_all_its_root_fields_may() {
    for (body, goes) in [
        (r#"{"query":"{ viewer { login } }"}"#, true),
        (
            r#"{"query":"mutation M($x: X!) { createIssue(input: $x) { id } }","variables":{"x":1},"operationName":"M"}"#,
            true,
        ),
        (r#"[{"query":"{ a }"},{"query":"{ b }"}]"#, true),
        (r#"{"query":"mutation { createIssue { id } deleteRepo { id } }"}"#, false),
        (r#"{"query":"mutation { createIssue: deleteRepo { id } }"}"#, false),
        (r#"{"query":"query A { a } mutation B { deleteRepo { id } }","operationName":"A"}"#, false),
        (r#"{"query":"mutation { ...F } fragment F on Mutation { createToken { t } }"}"#, false),
        (r#"[{"query":"{ a }"},{"query":"mutation { deleteRepo { id } }"}]"#, false),
        (r#"{"query":"{ a }","Query":"mutation { deleteRepo { id } }"}"#, false),
        (r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#, false),
    ] {
        let (status, answer, reached) =
            post("api.test", "/graphql", "application/json", body.as_bytes()).await;
        assert_eq!((status, reached), (200, goes), "{body}");
        if !goes {
            let said: Value = serde_json::from_slice(&answer).unwrap();
            assert!(said["errors"][0]["message"].as_str().unwrap().starts_with("refused by"), "{said}");
        }
    }
    let elsewhere = post(
        "api.test",
        "/graphql?query=mutation%7BdeleteRepo%7D",
        "application/json",
        br#"{"query":"{a}"}"#,
    )
    .await;
    assert!(!elsewhere.2, "some servers prefer the query of the URL");
}

#[tokio::test]
async fn a_guard_takes_what_it_denies_and_what_it_cannot_read() {
    for (kind, body, goes) in [
        ("application/json", &br#"{"query":"{ a }"}"#[..], true),
        ("application/json", br#"{"other":1}"#, true),
        ("application/octet-stream", b"bytes", true),
        ("application/json", br#"{"query":"mutation { a }"}"#, false),
        ("application/json", br#"{"query":"mutation { a }","query":"{ a }"}"#, false),
        ("application/graphql", b"mutation { a }", false),
        ("application/x-www-form-urlencoded", b"query=mutation%20%7Ba%7D", false),
        ("multipart/form-data; boundary=x", b"--x", false),
    ] {
        let (_, _, reached) = post("guarded.test", "/x", kind, body).await;
        assert_eq!(reached, goes, "{kind}: {}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn a_push_goes_when_all_its_references_may_and_is_answered_in_gits_words() {
    let command = |reference: &str, caps: &str| {
        let text = format!("{:040x} {:040x} {reference}{caps}", 0, 1);
        format!("{:04x}{text}", text.len() + 4)
    };
    let caps = "\0report-status side-band-64k";
    let allowed = format!("{}0000PACK", command("refs/heads/agent/1", caps));
    let refused =
        format!("{}{}0000PACK", command("refs/heads/agent/1", caps), command("refs/heads/main", ""));
    let path = "/acme/app.git/git-receive-pack";
    let kind = "application/x-git-receive-pack-request";
    assert!(post("forge.test", path, kind, allowed.as_bytes()).await.2);
    assert!(post("forge.test", path, kind, b"0000").await.2, "git asks with nothing first");
    let (status, answer, reached) = post("forge.test", path, kind, refused.as_bytes()).await;
    assert_eq!((status, reached), (200, false));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    for part in [
        "ng refs/heads/main refused by",
        "ng refs/heads/agent/1 refused by",
        "\u{2}refused by network policy",
    ] {
        assert!(answer.contains(part), "{part} in {answer:?}");
    }
    for body in ["", "00", "0050", "0001", "PACK", "003f"] {
        assert!(!post("forge.test", path, kind, body.as_bytes()).await.2, "{body:?}");
    }
    assert!(!post("forge.test", "/acme/other.git/git-receive-pack", kind, allowed.as_bytes()).await.2);
}

//! What an agent and its operator read when something is refused.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Policy, Refusal};
use creel_types::Caller;
use support::{caller, connect, policy, request};

fn world() -> Policy {
    policy(
        "version: 1
network:
  deny: [\"*.paste.com\"]
  rules:
    - name: github
      to: [api.github.com]
      from: [/usr/bin/gh]
      http: { allow: [\"GET /repos/**\"], deny: [\"* /repos/*/*/actions/**\"] }
    - { name: wide, to: [\"**.paste.com\", \"*.example.com\"] }
    - { name: db, to: [\"db.acme.dev:5432\"], raw: true }
",
    )
}

fn refused(host: &str, port: u16, program: &str) -> Refusal {
    connect(&world(), host, port, &caller(&[program])).unwrap_err()
}

#[test]
fn each_refusal_says_what_was_compared_and_what_would_allow_it() {
    let gh = caller(&["/usr/bin/gh"]);
    let asked = |line| request(&world(), line, "api.github.com", &gh).unwrap_err();
    let admitted = connect(&world(), "x.example.com", 443, &gh).unwrap();
    let mut loaded = gh.clone();
    loaded.chain[0].foreign_code = Some("/tmp/evil.so".into());
    let cases = [
        ("no rule", refused("evil.com", 443, "/usr/bin/curl")),
        ("a look-alike", refused("api.githob.com", 443, "/usr/bin/curl")),
        ("a wildcard of one label", refused("a.b.example.com", 443, "/usr/bin/curl")),
        ("an address", refused("1.2.3.4", 8080, "/usr/bin/curl")),
        ("denied", refused("x.paste.com", 443, "/usr/bin/curl")),
        ("another port", refused("db.acme.dev", 443, "/usr/bin/psql")),
        ("another program", refused("api.github.com", 443, "/usr/bin/curl")),
        ("unknown program", connect(&world(), "api.github.com", 443, &Caller::UNKNOWN).unwrap_err()),
        ("foreign code", connect(&world(), "api.github.com", 443, &loaded).unwrap_err()),
        ("another method", asked("POST /repos/a/b")),
        ("another path", asked("GET /user")),
        ("a denied request", asked("GET /repos/a/b/actions/runs")),
        ("a private address", world().permit(&admitted, "10.0.0.1".parse().unwrap()).unwrap_err()),
        ("a metadata service", world().permit(&admitted, "169.254.169.254".parse().unwrap()).unwrap_err()),
        ("unreadable", connect(&Policy::refuse_all("p.yaml:3:1"), "a.com", 443, &gh).unwrap_err()),
    ];
    let shown: Vec<String> = cases.iter().map(|(name, refusal)| format!("== {name}\n{refusal}\n")).collect();
    insta::assert_snapshot!("refusals", shown.join("\n"));
}

#[test]
fn a_refusal_is_data_too() {
    let json = serde_json::to_string_pretty(&refused("db.acme.dev", 443, "/usr/bin/psql")).unwrap();
    insta::assert_snapshot!("refusal_as_json", json);
}

//! `creel policy test`: cases, and what none of them exercises.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::Cases;
use support::{document, operator, studied};

const POLICY: &str = "version: 1
include: [preset:base]
filesystem: { read: [/data], hide: [\"./**/.env\"] }
process: { exec: { deny: [/usr/bin/sudo, /usr/bin/su] } }
network:
  deny: [evil.github.com]
  rules:
    - { name: github, to: [\"*.github.com\"], from: [/usr/bin/gh], http: { allow: [\"GET /**\", \"POST /x\"], deny: [\"* /y\"] } }
    - { name: unused, to: [a.com] }
";

const CASES: &str = "policy: [agent.yaml]
cases:
  - { ask: \"GET https://api.github.com/user\", from: [/usr/bin/gh], expect: allowed, rule: github }
  - { ask: \"GET https://api.github.com/y\", from: [/usr/bin/gh], expect: refused, rule: github }
  - { ask: \"GET https://evil.github.com/\", expect: refused, rule: network.deny }
  - { ask: \"read ./a/.env\", expect: refused }
  - { ask: \"exec /usr/bin/sudo ls\", expect: refused, rule: process.exec.deny }
  - ask: GET https://api.github.com/user
    from: [/usr/bin/curl]
    expect: allowed
  - { ask: write /data/x, expect: refused, rule: unused }
  - { ask: \"GET /user\", expect: refused }
";

#[test]
fn each_case_is_told_and_so_is_what_none_exercises() {
    let (policy, places) = studied(POLICY);
    let cases = Cases::read(&document(CASES)).unwrap();
    assert_eq!(cases.policy, ["agent.yaml"]);
    let report = cases.run(&policy, &places, &operator());
    assert!(!report.is_met());
    insta::assert_snapshot!("cases", report.to_string());
    let first = Cases { cases: cases.cases[..5].to_vec(), ..cases };
    assert!(first.run(&policy, &places, &operator()).is_met());
}

#[test]
fn what_is_no_document_of_cases_is_an_error_with_its_place() {
    let broken = "cases:\n  - { ask: \"GET https://a.com\", expect: allow }\n  - { expect: refused, form: x }\npolice: [a]\n";
    insta::assert_snapshot!("broken_cases", Cases::read(&document(broken)).unwrap_err().to_string());
}

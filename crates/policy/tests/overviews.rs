//! What `creel policy show` says: in words and as a table.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Overview, Policy, Risk};
use support::studied;

const WORLD: &str = "version: 1
name: world
include: [preset:base]
filesystem:
  read: [~/.gitconfig, { path: /data, optional: true }]
  write: [/srv/out]
  hide: [\"./**/.env\", /data/private, /srv/out/old]
  home: keep
process:
  limits: { cpus: 1.5, time: 8h }
  exec: { allow: [\"/usr/bin/*\", { run: /bin/sh -c *, from: [\"tree:/usr/bin/npm\"] }], deny: [/usr/bin/sudo] }
devices: { gpu: [0] }
credentials: [{ name: tracker, secret: \"env:TRACKER_TOKEN\" }]
network:
  deny: [\"*.paste.com\"]
  rules:
    - { name: github, to: [api.github.com], from: [/usr/bin/gh], http: { allow: [\"GET /**\", \"POST /x\"], deny: [\"* /y\"] } }
    - { name: guard, to: [\"**\"], http: { deny: [\"TRACE /**\"] } }
    - { name: pypi, to: [pypi.org, files.pythonhosted.org], http: { allow: [\"GET /**\"] } }
    - { name: wide, to: [\"**.paste.com\"] }
    - { name: issues, to: [tracker.acme.dev], credential: tracker }
    - { name: db, to: [\"db.acme.dev:5432\"], raw: true, addresses: [10.1.0.0/16] }
inference:
  backends: [{ name: acme, base_url: \"https://models.acme.dev/v1\", key: \"env:ACME_KEY\" }]
  models: { default: [\"acme/*\"] }
  capture: [api.openai.com]
";

fn overview(text: &str) -> Overview {
    let (policy, places) = studied(text);
    policy.overview(&places)
}

#[test]
fn everything_that_is_allowed_is_said_by_risk_and_with_its_place() {
    insta::assert_snapshot!("overview", overview(WORLD).to_string());
    let rows: Vec<String> = overview(WORLD).table().iter().map(|row| row.join(" | ")).collect();
    insta::assert_snapshot!("overview_table", rows.join("\n"));
}

#[test]
fn a_policy_that_allows_nothing_says_so() {
    insta::assert_snapshot!(
        "overview_of_nothing",
        overview("version: 1\nfilesystem: { workspace: { access: none } }\n").to_string()
    );
    assert!(overview("version: 1\nmode: observe\n").to_string().contains("ONLY OBSERVES"));
    let unreadable = Policy::refuse_all("torn").overview(&Default::default());
    assert_eq!(unreadable.groups.len(), Risk::ALL.len());
}

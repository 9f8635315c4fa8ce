//! `creel policy prove --never`: what holds, and the example where it does not.
#![allow(missing_docs, clippy::unwrap_used)]
mod interpreter;
mod support;

use creel_policy::{Claim, Document, Places, Policy, Proof, Verdict, compile_with_places};
use interpreter::any;
use interpreter::pattern;
use interpreter::spelling;
use interpreter::written::Written;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{document, operator, studied};

const WORLD: &str = "version: 1
filesystem: { read: [~/.gitconfig, /data], write: [/srv/out], hide: [\"./**/.env\", /data/private] }
process: { exec: { allow: [\"/usr/bin/*\", { run: /bin/sh, from: [/usr/bin/npm] }], deny: [/usr/bin/sudo, \"/usr/bin/git push **\"] } }
network:
  deny: [evil.acme.dev]
  rules:
    - { name: acme, to: [\"*.acme.dev\"], http: { allow: [\"GET /**\", \"POST /v1/**\"], deny: [\"* /v1/admin/**\"] } }
    - { name: github, to: [api.github.com], from: [/usr/bin/gh], http: { allow: [\"GET /**\", \"PATCH /x\"] } }
    - { name: db, to: [\"db.acme.com:5432\"], raw: true, addresses: [10.1.0.0/16] }
";

fn prove(text: &str, claim: &str) -> Proof {
    let (policy, places) = studied(text);
    let claim = Claim::parse(claim, &operator()).unwrap_or_else(|error| panic!("{error}"));
    policy.prove(&places, &claim).unwrap()
}

#[test]
fn a_claim_holds_or_there_is_a_witness() {
    let claims = [
        ("DELETE to any host but db.acme.com", true),
        ("DELETE to any host", false),
        ("POST to any host but *.acme.dev, db.acme.com", true),
        ("POST to any host but api.acme.dev, db.acme.com", false),
        ("* /v1/admin/** to *.acme.dev", true),
        ("* to evil.acme.dev", true),
        ("PATCH to api.github.com", false),
        ("PATCH to api.github.com from /usr/bin/curl", true),
        ("connect to any host but *.acme.dev, api.github.com, db.acme.com", true),
        ("connect to any host but *.acme.dev:443, api.github.com:443", false),
        ("connect to any host at 10.0.0.0/8", false),
        ("connect to any host but db.acme.com at 10.0.0.0/8, 192.168.0.0/16, 127.0.0.0/8", true),
        ("connect to any host at 169.254.169.254", true),
        ("write /data", true),
        ("read /data/private", true),
        ("read /data", false),
        ("read /usr/bin", false),
        ("write /usr", true),
        ("read /etc/creel", true),
        ("write ~/.ssh", true),
        ("read ./**/.env", true),
        ("write ./**/*.rs", false),
        ("exec /usr/bin/sudo", true),
        ("exec /usr/bin/git push **", true),
        ("exec /usr/bin/git ** --force **", false),
        ("exec /bin/sh from /usr/bin/node", false),
        ("exec /bin/sh", false),
    ];
    let mut shown = String::new();
    for (claim, holds) in claims {
        let proof = prove(WORLD, claim);
        assert_eq!(proof.holds, holds, "{proof}");
        shown.push_str(&format!("{proof}\n"));
    }
    insta::assert_snapshot!("claims", shown);
}

#[test]
fn a_model_call_ends_at_its_backend() {
    let routed = "version: 1\ninference:\n  backends: [{ name: b, base_url: \"https://models.test/v1\" }]\n  models: { default: [\"b/*\"] }\n";
    let proof = prove(routed, "POST to any host");
    assert!(!proof.holds && proof.to_string().contains("models.test"), "{proof}");
    assert!(prove(routed, "POST to any host but models.test").holds);
    assert!(prove(routed, "DELETE to any host").holds);
}

#[test]
fn nothing_holds_of_a_policy_that_only_observes() {
    assert!(!prove("version: 1\nmode: observe\n", "POST to any host").holds);
    assert!(prove("version: 1\n", "POST to any host").holds);
}

#[test]
fn what_is_no_claim_says_what_one_is() {
    for text in [
        "",
        "POST",
        "POST any host",
        "post to any host",
        "POST to a..b",
        "connect to any host at x",
        "write x",
        "exec /x a**b",
    ] {
        let error = Claim::parse(text, &operator()).unwrap_err().to_string();
        assert!(error.contains("is not a claim"), "{text}: {error}");
    }
}

fn compiled(written: &Written) -> Option<(Policy, Places)> {
    let guard = written.guard();
    let load = |name: &str, _: &std::path::Path| {
        Ok(Document { name: name.to_owned(), text: guard.clone(), base: Default::default() })
    };
    compile_with_places(&[document(&written.yaml())], &operator(), &load).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_holds_is_never_seen_and_a_witness_is_allowed(
        written in any::policy(),
        (pattern, target) in (
            prop::sample::select(&["POST /**", "* /x/**", "GET /x", "DELETE /**"][..]),
            prop::sample::select(&["a.com:443", "*.a.com:443", "b.com:80", "**.com:443"][..]),
        ),
        asked in vec(any::asked(), 200),
    ) {
        let Some((policy, places)) = compiled(&Written { model: None, capture: Vec::new(), ..written.clone() }) else { return Ok(()) };
        let (method, path) = pattern.split_once(' ').unwrap();
        let claim = Claim::parse(&format!("{method} {path} to {target}"), &operator()).unwrap();
        let proof = policy.prove(&places, &claim).unwrap();
        if let Some(witness) = &proof.witness {
            prop_assert_eq!(witness.verdict, Verdict::Allowed);
        }
        for asked in asked {
            let (Some(host), Some((path, _))) = (spelling::host(&asked.host), spelling::path(&asked.path)) else { continue };
            let about = pattern::target(target, &host, asked.port) && pattern::request(pattern, &asked.method, &path, false);
            let written = Written { model: None, capture: Vec::new(), ..written.clone() };
            let allowed = written.connect(&host, asked.port, &asked.who).is_some()
                && written.request(&host, asked.port, &asked.who, (&asked.method, &path));
            prop_assert!(!(about && allowed && proof.holds), "{:?}\n{}\n{}", asked, proof, written.yaml());
        }
    }
}

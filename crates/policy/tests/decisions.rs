//! What rules mean: each with its near miss.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{
    Connect, Document, Handling, Mode, Operator, Policy, Reason, Resolution, canonical, compile,
};
use creel_types::{Caller, Host, HostName};
use std::net::IpAddr;
use support::{caller, connect, document, operator, policy, program, request, rules};

const NOBODY: Caller = Caller::UNKNOWN;

fn handling(policy: &Policy, host: &str, port: u16) -> Handling {
    connect(policy, host, port, &NOBODY).unwrap_or_else(|r| panic!("{host}:{port}: {r}")).handling()
}

fn reason(policy: &Policy, host: &str, port: u16, caller: &Caller) -> Reason {
    connect(policy, host, port, caller).err().unwrap_or_else(|| panic!("{host}:{port} was admitted")).reason
}

#[test]
fn a_host_is_admitted_on_the_port_that_is_said_and_443_when_none_is() {
    let p = rules("- { name: a, to: [a.com, \"b.com:80\", \"c.com:*\", \"**.d.com\"] }");
    for (host, port, admitted) in [
        ("a.com", 443, true),
        ("A.COM.", 443, true),
        ("a.com", 80, false),
        ("x.a.com", 443, false),
        ("b.com", 80, true),
        ("b.com", 443, false),
        ("c.com", 1, true),
        ("x.y.d.com", 443, true),
        ("d.com", 443, false),
    ] {
        assert_eq!(connect(&p, host, port, &NOBODY).is_ok(), admitted, "{host}:{port}");
    }
}

#[test]
fn how_a_connection_is_handled_follows_from_all_rules_that_match() {
    let p = rules(
        "- { name: plain, to: [plain.com, both.com, denied.com] }
- { name: http, to: [http.com, both.com], http: { allow: [\"GET /**\"] } }
- { name: narrow, to: [denied.com, raw-denied.com:1], http: { deny: [\"DELETE /**\"] } }
- { name: raw, to: [\"raw.com:1\", \"raw-denied.com:1\"], raw: true }",
    );
    assert_eq!(handling(&p, "plain.com", 443), Handling::PassThrough);
    assert_eq!(handling(&p, "http.com", 443), Handling::Inspect);
    assert_eq!(handling(&p, "both.com", 443), Handling::PassThrough);
    assert_eq!(handling(&p, "denied.com", 443), Handling::Inspect);
    assert_eq!(handling(&p, "raw.com", 1), Handling::Raw);
    assert_eq!(handling(&p, "raw-denied.com", 1), Handling::Inspect);
}

#[test]
fn requests_are_allowed_by_any_rule_and_denied_by_any_deny() {
    let p = rules(
        "- { name: read, to: [a.com], http: { allow: [\"GET /**\"], deny: [\"* /admin/**\"] } }
- { name: post, to: [a.com], http: { allow: [\"POST /items/*\"] } }",
    );
    for (line, allowed) in [
        ("GET /x", true),
        ("HEAD /x", true),
        ("POST /items/1", true),
        ("POST /items", false),
        ("PUT /x", false),
        ("GET /admin", false),
        ("GET /a/../admin/x", false),
        ("GET //admin", false),
        ("GET /ADMIN/", false),
        ("GET /%61dmin;x=1/y", false),
        ("GET /administrator", true),
    ] {
        assert_eq!(request(&p, line, "a.com", &NOBODY).is_ok(), allowed, "{line}");
    }
    assert!(request(&p, "GET /x", "b.com", &NOBODY).is_err());
}

#[test]
fn a_program_is_known_by_path_digest_or_ancestry_and_never_when_foreign_code_runs_in_it() {
    let digest = "ab".repeat(32);
    let p = rules(&format!(
        "- {{ name: git, to: [git.com], from: [/usr/bin/git] }}
- {{ name: glob, to: [glob.com], from: [\"/usr/lib/node/**\"] }}
- {{ name: tree, to: [tree.com], from: [\"tree:/usr/bin/npm\"] }}
- {{ name: digest, to: [digest.com], from: [\"sha256:{digest}\"] }}"
    ));
    let admits = |host: &str, caller: &Caller| connect(&p, host, 443, caller).is_ok();
    let git = caller(&["/usr/bin/git", "/bin/sh"]);
    assert!(admits("git.com", &git));
    assert!(!admits("git.com", &caller(&["/bin/sh", "/usr/bin/git"])));
    assert!(!admits("git.com", &NOBODY));
    assert!(admits("glob.com", &caller(&["/usr/lib/node/bin/node"])));
    assert!(admits("tree.com", &caller(&["/usr/bin/curl", "/usr/bin/npm"])));
    assert!(!admits("tree.com", &caller(&["/usr/bin/curl", "/bin/sh"])));
    let mut known = caller(&["/tmp/x"]);
    known.chain[0].digest = digest.parse().ok();
    assert!(admits("digest.com", &known));
    let mut loaded = git.clone();
    loaded.chain[0].foreign_code = Some("/tmp/evil.so".into());
    assert!(!admits("git.com", &loaded));
    assert!(p.wants_caller(&canonical::host("git.com").unwrap(), 443));
    assert!(!p.wants_caller(&canonical::host("other.com").unwrap(), 443));
}

#[test]
fn a_deny_for_a_program_holds_for_whoever_may_be_that_program() {
    let p = rules(
        "- { name: all, to: [a.com] }
- { name: not-curl, to: [a.com], from: [/usr/bin/curl], http: { deny: [\"DELETE /**\"] } }",
    );
    let delete = |caller: &Caller| request(&p, "DELETE /x", "a.com", caller).is_ok();
    assert!(!delete(&caller(&["/usr/bin/curl"])));
    assert!(!delete(&NOBODY));
    assert!(delete(&caller(&["/usr/bin/git"])));
    let mut odd = program("/usr/bin/git");
    odd.foreign_code = Some("/tmp/x.so".into());
    assert!(!delete(&Caller { chain: vec![odd] }));
}

fn permitted(policy: &Policy, host: &str, port: u16, addr: &str) -> bool {
    let admission = connect(policy, host, port, &NOBODY).unwrap();
    policy.permit(&admission, addr.parse().unwrap()).is_ok()
}

#[test]
fn an_allowed_name_that_resolves_to_a_private_address_is_denied_unless_its_rule_names_it() {
    let p = rules(
        "- { name: plain, to: [a.com] }
- { name: vpn, to: [b.com], addresses: [10.1.0.0/16] }
- { name: both, to: [c.com, \"10.2.0.1:443\"] }
- { name: any, to: [d.com, 0.0.0.0/0] }
- { name: meta, to: [e.com], addresses: [169.254.0.0/16] }",
    );
    for (host, addr, want) in [
        ("a.com", "1.1.1.1", true),
        ("a.com", "127.0.0.1", false),
        ("a.com", "10.1.0.1", false),
        ("a.com", "::ffff:10.1.0.1", false),
        ("a.com", "169.254.169.254", false),
        ("b.com", "10.1.0.1", true),
        ("b.com", "::ffff:10.1.0.1", true),
        ("b.com", "10.3.0.1", false),
        ("c.com", "10.2.0.1", true),
        ("d.com", "10.0.0.1", false),
        ("10.2.0.1", "10.2.0.1", true),
        ("10.2.0.1", "10.2.0.2", false),
        ("10.9.9.9", "10.9.9.9", false),
        ("e.com", "169.254.1.1", true),
        ("e.com", "169.254.169.254", false),
    ] {
        assert_eq!(permitted(&p, host, 443, addr), want, "{host} at {addr}");
    }
}

#[test]
fn the_operators_word_is_permission_for_that_name_and_address_alone() {
    let host = HostName::new("a.com").unwrap();
    let resolve =
        vec![Resolution { host: host.clone(), addr: IpAddr::from([127, 0, 0, 1]), port: Some(8443) }];
    let operator = Operator { resolve, ..operator() };
    let text = "version: 1\nnetwork: { rules: [{ name: a, to: [a.com, b.com] }] }\n";
    let p = compile(&[document(text)], &operator, &|_, _| Err(String::new())).unwrap();
    assert_eq!(p.resolution(&host, 443).unwrap().to_string(), "127.0.0.1:8443");
    let admission = connect(&p, "a.com", 443, &NOBODY).unwrap();
    let permit = p.permit(&admission, IpAddr::from([127, 0, 0, 1])).unwrap();
    assert_eq!((permit.addr().port(), permit.rule().as_str()), (8443, "a"));
    assert!(!permitted(&p, "a.com", 443, "127.0.0.2"));
    assert!(!permitted(&p, "b.com", 443, "127.0.0.1"));
}

const MODELS: &str = "version: 1
network: { deny: [bad.ai], rules: [{ name: other, to: [b.com] }] }
inference:
  backends: [{ name: local, base_url: \"http://127.0.0.1:8080/v1/\", api: openai }]
  models: { default: [local/llama] }
  capture: [api.ai, bad.ai]
";

#[test]
fn a_service_of_the_host_is_reached_where_a_rule_names_it_and_its_port() {
    let p = rules(
        "- { name: ollama, to: [\"host.internal:11434\"] }
- { name: wide, to: [\"**:80\", \"*.internal:81\"] }",
    );
    let host = HostName::new("host.internal").unwrap();
    assert_eq!(p.resolution(&host, 11434).unwrap().to_string(), "127.0.0.1:11434");
    for (port, led) in [(11434, true), (80, false), (81, false)] {
        assert_eq!(permitted(&p, "host.internal", port, "127.0.0.1"), led, "{port}");
    }
    assert!(!permitted(&p, "host.internal", 11434, "127.0.0.2"));
    assert!(!permitted(&p, "host.internal", 11434, "10.0.0.1"));
    assert_eq!(reason(&p, "host.internal", 443, &NOBODY), Reason::Port);
}

#[test]
fn model_hosts_end_at_the_router_and_are_never_dialled() {
    let p = policy(MODELS);
    assert_eq!(handling(&p, "api.ai", 443), Handling::Model);
    assert_eq!(handling(&p, "inference.local", 80), Handling::Model);
    assert_eq!(reason(&p, "bad.ai", 443, &NOBODY), Reason::Denied("bad.ai".to_owned()));
    let admission = connect(&p, "api.ai", 443, &NOBODY).unwrap();
    assert_eq!(p.permit(&admission, IpAddr::from([1, 1, 1, 1])).unwrap_err().reason, Reason::ModelOnly);
    assert!(connect(&rules("- { name: a, to: [b.com] }"), "inference.local", 443, &NOBODY).is_err());
}

#[test]
fn every_model_goes_to_the_default_route() {
    let p = policy(MODELS);
    for model in ["gpt-4o", "claude", ""] {
        let route = p.inference().route(model).expect("a route");
        assert_eq!(route.models[0].backend, "local", "{model}");
    }
}

#[test]
fn a_backend_may_be_private_and_never_a_metadata_service() {
    let p = policy(MODELS);
    let backend = p.backend("local").unwrap();
    assert_eq!(backend.base_url.to_string(), "http://127.0.0.1:8080/v1");
    assert!(p.permit_backend(backend, IpAddr::from([127, 0, 0, 1]), 8080).is_ok());
    for addr in ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "0.0.0.0"] {
        assert!(p.permit_backend(backend, addr.parse().unwrap(), 80).is_err(), "{addr}");
    }
}

#[test]
fn observe_overlooks_rules_and_never_addresses() {
    let p = policy("version: 1\nmode: observe\n");
    assert_eq!(p.mode(), Mode::Observe);
    let host = canonical::host("a.com").unwrap();
    let ask = Connect { host: &host, port: 443, caller: &NOBODY };
    let refusal = p.connect(&ask).unwrap_err();
    let admission = p.overlook(&ask, &refusal).unwrap();
    assert!(p.permit(&admission, IpAddr::from([1, 1, 1, 1])).is_ok());
    assert!(p.permit(&admission, IpAddr::from([10, 0, 0, 1])).is_err());
    assert!(policy("version: 1\n").overlook(&ask, &refusal).is_none());
}

#[test]
fn a_policy_that_cannot_be_read_refuses_everything_with_the_reason() {
    let p = Policy::refuse_all("line 3");
    assert_eq!(reason(&p, "a.com", 443, &NOBODY), Reason::Unreadable("line 3".to_owned()));
    assert!(request(&p, "GET /", "a.com", &NOBODY).is_err());
    assert!(p.filesystem().grants().is_empty());
}

#[test]
fn an_address_in_any_spelling_is_the_address_and_no_name() {
    let p = rules("- { name: a, to: [\"**\", 8.8.8.8] }");
    for text in ["8.8.8.8", "0x8.8.8.8", "134744072", "010.8.8.8", "::ffff:8.8.8.8"] {
        let host = canonical::host(text).unwrap();
        assert_eq!(host, Host::Addr(IpAddr::from([8, 8, 8, 8])), "{text}");
        assert!(connect(&p, text, 443, &NOBODY).is_ok(), "{text}");
    }
    assert!(connect(&p, "9.9.9.9", 443, &NOBODY).is_err());
}

#[test]
fn later_documents_add_and_their_scalars_win() {
    let base = "version: 1\nprocess: { limits: { processes: 5, memory: 1GiB } }\nnetwork: { rules: [{ name: a, to: [a.com, b.com] }] }\n";
    let text = "version: 1\ninclude: [./base.yaml]\nprocess: { limits: { processes: 9 } }\nnetwork: { deny: [b.com] }\n";
    let load = |name: &str, base_dir: &std::path::Path| {
        assert_eq!((name, base_dir), ("./base.yaml", std::path::Path::new("/etc/policies")));
        Ok(Document { name: "base.yaml".to_owned(), text: base.to_owned(), base: "/x".into() })
    };
    let p = compile(&[document(text)], &operator(), &load).unwrap();
    let limits = p.process().limits();
    assert_eq!((limits.processes, limits.memory.map(|m| m.0)), (Some(9), Some(1 << 30)));
    assert!(connect(&p, "a.com", 443, &NOBODY).is_ok());
    assert!(connect(&p, "b.com", 443, &NOBODY).is_err());
}

#[test]
fn an_included_document_cannot_turn_enforcement_off() {
    let load = |_: &str, _: &std::path::Path| {
        Ok(Document {
            name: "x.yaml".to_owned(),
            text: "version: 1\nmode: observe\n".to_owned(),
            base: "/x".into(),
        })
    };
    assert!(compile(&[document("version: 1\ninclude: [./x.yaml]\n")], &operator(), &load).is_err());
}

#[test]
fn an_included_document_may_deny_as_a_guard() {
    let guard = "version: 1\nnetwork: { deny: [\"**.paste.com\"] }\n";
    let load = |_: &str, _: &std::path::Path| {
        Ok(Document { name: "guard.yaml".to_owned(), text: guard.to_owned(), base: "/x".into() })
    };
    assert!(compile(&[document("version: 1\ninclude: [./guard.yaml]\n")], &operator(), &load).is_ok());
    assert!(compile(&[document(guard)], &operator(), &load).is_err());
}

#[test]
fn a_hostile_document_ends_in_errors_of_bounded_length() {
    let key = format!("version: 1\n{}: sk-1234567\n", "x_key".repeat(100_000));
    let many: String = (0..60_000).map(|i| format!("api_key{i}: sk-{i:07}\n")).collect();
    let flow: String = (0..60_000).map(|i| format!("k_token{i}: sk-{i:07}, ")).collect();
    for text in
        [key, many, format!("{{ {flow} }}"), "[".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)]
    {
        let errors = compile(&[document(&text)], &operator(), &|_, _| Err(String::new())).unwrap_err();
        assert!(errors.to_string().len() < 200_000);
    }
}

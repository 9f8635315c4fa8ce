//! The laws, as properties over many policies and questions.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Handling, Policy, canonical};
use creel_types::Caller;
use proptest::prelude::*;
use support::{caller, connect, request, try_compile};

const HOSTS: [&str; 6] = ["a.com", "x.a.com", "y.x.a.com", "b.com", "10.0.0.1", "8.8.8.8"];
const TARGETS: [&str; 9] =
    ["a.com", "*.a.com", "**.a.com", "b.com", "**", "10.0.0.0/8", "8.8.8.8", "a.com:*", "x.*.com"];
const LINES: [&str; 5] = ["GET /", "GET /x", "POST /x/y", "DELETE /x/y/z", "HEAD /x/"];
const PATTERNS: [&str; 6] = ["GET /**", "* /x/**", "POST /x/*", "DELETE /**", "GET /x", "* /**"];
const FORMS: [&str; 3] = ["", ", from: [/usr/bin/git]", ", from: [\"tree:/bin/sh\"]"];

#[derive(Debug, Clone)]
struct AnyRule {
    to: &'static str,
    from: &'static str,
    form: String,
}

fn any_rule() -> impl Strategy<Value = AnyRule> {
    let form = prop_oneof![
        Just(String::new()),
        Just(", raw: true".to_owned()),
        prop::sample::select(&PATTERNS[..]).prop_map(|p| format!(", http: {{ allow: [\"{p}\"] }}")),
        prop::sample::select(&PATTERNS[..]).prop_map(|p| format!(", http: {{ deny: [\"{p}\"] }}")),
    ];
    (prop::sample::select(&TARGETS[..]), prop::sample::select(&FORMS[..]), form)
        .prop_map(|(to, from, form)| AnyRule { to, from, form })
}

/// The policy, unless a deny in it denies nothing.
fn build(rules: &[(usize, &AnyRule)], deny: &[&str]) -> Option<Policy> {
    let mut text = String::from("version: 1\nnetwork:\n");
    if !deny.is_empty() {
        text.push_str(&format!("  deny: {deny:?}\n"));
    }
    text.push_str("  rules:\n");
    for (i, AnyRule { to, from, form }) in rules {
        text.push_str(&format!("    - {{ name: r{i}, to: [\"{to}\"]{from}{form} }}\n"));
    }
    try_compile(&text).ok()
}

/// Every answer that the policy gives to a fixed set of questions.
fn answers(policy: &Policy) -> Vec<Result<String, String>> {
    let callers = [Caller::UNKNOWN, caller(&["/usr/bin/git", "/bin/sh"]), caller(&["/usr/bin/curl"])];
    let mut all = Vec::new();
    for host in HOSTS {
        for caller in &callers {
            let said = connect(policy, host, 443, caller);
            all.push(said.map(|a| format!("{} {:?}", a.rule(), a.handling())).map_err(|r| r.to_string()));
            for line in LINES {
                let said = request(policy, line, host, caller);
                all.push(said.map(|rule| rule.to_string()).map_err(|r| r.to_string()));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rules_never_matters(rules in prop::collection::vec(any_rule(), 1..7), seed in any::<u64>()) {
        let written: Vec<(usize, &AnyRule)> = rules.iter().enumerate().collect();
        let mut shuffled = written.clone();
        shuffled.sort_by_key(|(i, _)| (*i as u64 + 1).wrapping_mul(seed | 1));
        let (one, other) = (build(&written, &[]), build(&shuffled, &[]));
        prop_assert_eq!(one.is_some(), other.is_some());
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!(answers(&one), answers(&other));
        }
    }

    #[test]
    fn a_deny_takes_away_and_never_adds(rules in prop::collection::vec(any_rule(), 1..7), deny in prop::sample::select(&TARGETS[..])) {
        let written: Vec<(usize, &AnyRule)> = rules.iter().enumerate().collect();
        if let (Some(before), Some(after)) = (build(&written, &[]), build(&written, &[deny])) {
            for (before, after) in answers(&before).iter().zip(answers(&after)) {
                prop_assert!(before.is_ok() || after.is_err());
            }
            let denied = creel_policy::pattern::HostPattern::new(deny.trim_end_matches(":*")).unwrap();
            for host in HOSTS.iter().filter(|h| denied.matches(&canonical::host(h).unwrap())) {
                prop_assert!(connect(&after, host, 443, &Caller::UNKNOWN).is_err());
            }
        }
    }

    #[test]
    fn one_more_allow_never_takes_away(rules in prop::collection::vec(any_rule(), 1..6), more in any_rule()) {
        prop_assume!(!more.form.contains("deny"));
        let written: Vec<(usize, &AnyRule)> = rules.iter().enumerate().collect();
        let mut longer = written.clone();
        longer.push((99, &more));
        if let (Some(before), Some(after)) = (build(&written, &[]), build(&longer, &[])) {
            for (before, after) in answers(&before).iter().zip(answers(&after)) {
                prop_assert!(before.is_err() || after.is_ok());
            }
        }
    }

    #[test]
    fn what_is_passed_through_allows_every_request(rules in prop::collection::vec(any_rule(), 1..7)) {
        let written: Vec<(usize, &AnyRule)> = rules.iter().enumerate().collect();
        let Some(policy) = build(&written, &[]) else { return Ok(()) };
        for host in HOSTS {
            for caller in [Caller::UNKNOWN, caller(&["/usr/bin/git"])] {
                let Ok(admission) = connect(&policy, host, 443, &caller) else { continue };
                if matches!(admission.handling(), Handling::PassThrough | Handling::Raw) {
                    for line in LINES {
                        prop_assert!(request(&policy, line, host, &caller).is_ok(), "{} {}", host, line);
                    }
                }
            }
        }
    }

    #[test]
    fn no_document_makes_the_compiler_panic(text in "(version: 1\n)?[a-z:{}\\[\\]\\-\"'*&!|>#%@ \n~,0-9./]{0,200}") {
        let _ = try_compile(&text).map_err(|errors| errors.to_string());
    }
}

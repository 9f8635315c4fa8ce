//! What `creel policy explain` says: one snapshot of every kind of answer.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Explanation, Question, Statement, Verdict};
use support::{operator, studied};

const WORLD: &str = "version: 1
name: world
include: [preset:base]
filesystem:
  read: [~/.gitconfig, /data]
  write: [/srv/out]
  hide: [\"./**/.env\", /data/private, /srv/out/old]
process:
  exec:
    allow: [\"/usr/bin/*\", \"/bin/sh -c *\"]
    deny: [/usr/bin/sudo, \"/usr/bin/git push **\"]
network:
  deny: [\"*.paste.com\"]
  rules:
    - name: github
      to: [api.github.com]
      from: [/usr/bin/gh]
      http:
        allow: [\"GET /repos/**\", \"POST /repos/*/*/issues\"]
        deny: [\"* /repos/*/*/actions/**\"]
    - { name: wide, to: [\"**.paste.com\", \"*.example.com\"] }
    - { name: db, to: [\"db.acme.dev:5432\"], raw: true, addresses: [10.1.0.0/16] }
inference:
  backends:
    - { name: acme, base_url: \"https://models.acme.dev/v1\", key: \"env:ACME_KEY\" }
  models: { default: [\"acme/*\"] }
  capture: [api.openai.com]
";

fn explained(text: &str, from: &[&str]) -> Explanation {
    let (policy, places) = studied(WORLD);
    let from: Vec<String> = from.iter().map(|&path| path.to_owned()).collect();
    let question = Question::parse(text, &from, &operator()).unwrap_or_else(|error| panic!("{error}"));
    policy.explain(&places, &question)
}

#[test]
fn each_answer_says_what_decides_it_what_came_near_and_what_would_change_it() {
    let gh: &[&str] = &["/usr/bin/gh", "/bin/bash"];
    let asked: &[(&str, &[&str])] = &[
        ("GET https://api.github.com/repos/a/b", gh),
        ("POST https://API.github.com/repos//a/./b/issues?q=1", gh),
        ("DELETE https://api.github.com/repos/a/b", gh),
        ("GET https://api.github.com/user", gh),
        ("GET https://api.github.com/repos/a/b/actions/runs", gh),
        ("GET https://api.github.com/repos/a/b", &["/usr/bin/curl"]),
        ("GET https://api.github.com/repos/a/b", &[]),
        ("GET https://api.githob.com/repos/a/b", gh),
        ("GET http://api.github.com/repos/a/b", &["/usr/bin/curl"]),
        ("GET https://x.paste.com/", gh),
        ("POST https://x.example.com/y", gh),
        ("GET https://a.b.example.com", gh),
        ("GET https://evil.test", gh),
        ("POST https://api.openai.com/v1/responses", gh),
        ("POST https://inference.local/v1/messages", gh),
        ("connect db.acme.dev:5432", gh),
        ("connect db.acme.dev:5432 at 10.1.2.3", gh),
        ("connect db.acme.dev:5432 at 10.2.0.1", gh),
        ("connect x.example.com at 169.254.169.254", gh),
        ("read ~/.gitconfig", &[]),
        ("read /data/a", &[]),
        ("write /data/a", &[]),
        ("read /data/private/x", &[]),
        ("write /srv/out/a", &[]),
        ("write /srv/out/old", &[]),
        ("read ./src/.env", &[]),
        ("write ./src/main.rs", &[]),
        ("read /srv/other", &[]),
        ("read ~/.ssh/id", &[]),
        ("read /usr/bin/git", &[]),
        ("write /usr/bin/git", &[]),
        ("read /etc/hosts", &[]),
        ("write /tmp/x", &[]),
        ("read /proc/1/mem", &[]),
        ("read ~/.config/creel/x", &[]),
        ("exec /usr/bin/git pull", &["/bin/sh"]),
        ("exec /usr/bin/git push origin", &["/bin/sh"]),
        ("exec /bin/sh -x", &[]),
        ("exec ./tool", &[]),
        ("model gpt-5", &[]),
    ];
    let shown: Vec<String> =
        asked.iter().map(|(text, from)| format!("$ {text}\n{}\n", explained(text, from))).collect();
    insta::assert_snapshot!("explanations", shown.join("\n"));
}

#[test]
fn an_explanation_is_data_too() {
    let told = explained("DELETE https://api.github.com/repos/a/b", &["/usr/bin/gh"]);
    insta::assert_snapshot!("explanation_as_json", serde_json::to_string_pretty(&told).unwrap());
}

#[test]
fn a_policy_without_a_layer_says_so() {
    let (policy, places) = studied("version: 1\n");
    for (text, verdict, why) in [
        ("exec /usr/bin/id", Verdict::Allowed, "says nothing of programs"),
        ("model x", Verdict::Refused, "routes no model calls"),
        ("GET https://a.com", Verdict::Refused, "no rule admits this host"),
    ] {
        let told = policy.explain(&places, &Question::parse(text, &[], &operator()).unwrap());
        assert!(told.verdict == verdict && told.why.contains(why), "{text}: {told}");
    }
}

#[test]
fn what_is_no_question_says_what_one_is() {
    for text in [
        "",
        "GET",
        "get https://a.com",
        "GET a.com",
        "GET ftp://a.com",
        "connect a.com:0",
        "connect a.com at x",
        "GET https://user@a.com/",
        "GET https://a.com/%2e%2e/..",
        "read x",
        "exec",
        "exec sha256:1",
        "read ../x",
    ] {
        let error = Question::parse(text, &[], &operator()).unwrap_err().to_string();
        assert!(error.contains("is not a question"), "{text}: {error}");
    }
}

#[test]
fn a_question_is_written_as_it_is_read() {
    for text in [
        "GET https://a.com/",
        "PUT http://a.com:8080/x?y=1",
        "connect a.com:22",
        "connect [::1]:443 at ::1",
        "read /x",
        "exec /usr/bin/git push",
        "model gpt-5",
    ] {
        let question = Question::parse(text, &[], &operator()).unwrap();
        assert_eq!(Question::parse(&question.to_string(), &[], &operator()).unwrap(), question, "{text}");
    }
}

#[test]
fn every_statement_of_a_policy_has_its_place() {
    let (_, places) = studied(WORLD);
    let line = |what: &Statement| places.of(what).map(|place| (place.file.clone(), place.line));
    assert_eq!(line(&Statement::Deny("*.paste.com".into())), Some(("policy.yaml".into(), 13)));
    assert_eq!(line(&Statement::Rule(creel_types::RuleId::new("github"))), Some(("policy.yaml".into(), 15)));
    assert_eq!(line(&Statement::Path("/home/u/work".into())), Some(("preset:base".into(), 4)));
    assert_eq!(line(&Statement::Hide("/home/u/work/**/.env".into())), Some(("policy.yaml".into(), 7)));
    assert_eq!(places.statements().count(), 20);
}

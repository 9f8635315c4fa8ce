//! Live change: all layers or none, while programs run.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Upstream, wait_until};
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

fn upstream_scene(rules: &str) -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test", "other.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let mut scene = scene.policy(&format!("network:\n  rules:\n{rules}")).with("--trust", ca);
    for name in ["api.test", "other.test"] {
        scene = scene.with("--resolve", format!("{name}={}", upstream.tls));
    }
    (scene, upstream)
}

const BOTH: &str = "    - { name: api, to: [api.test], http: { allow: [\"GET /**\"] } }\n    - { name: other, to: [other.test], http: { allow: [\"GET /**\"] } }";
const ONLY_API: &str = "    - { name: api, to: [api.test], http: { allow: [\"GET /**\"] } }";

#[test]
fn a_stream_that_stays_allowed_loses_nothing_and_one_that_is_not_is_cut_at_once() {
    let (scene, _upstream) = upstream_scene(BOTH);
    let script = "(curl -sSN https://api.test/slow/200 > api.txt; echo $? > api.code) & \
                  (curl -sSN https://other.test/slow/2000 > other.txt; echo $? > other.code) & wait";
    let running = scene.start(&["/bin/sh", "-c", script]);
    let file = |name: &str| fs::read_to_string(scene.workspace().join(name)).unwrap_or_default();
    wait_until("both streams to flow", || {
        file("api.txt").lines().count() > 3 && file("other.txt").lines().count() > 3
    });

    let narrow = scene.write_policy("narrow.yaml", &format!("network:\n  rules:\n{ONLY_API}"));
    let before = Instant::now();
    let shown = scene.verb(&["policy", "set", &scene.name, narrow.to_str().unwrap()]).ok();
    wait_until("the stream that is no longer allowed to be cut", || !file("other.code").is_empty());
    let took = before.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_ne!(file("other.code").trim(), "0");
    assert!(shown.stdout.contains("other.test"), "the answer names what was cut: {}", shown.stdout);
    for _ in 0..100 {
        scene.verb(&["policy", "set", &scene.name, narrow.to_str().unwrap()]).ok();
    }
    running.finish();
    let lines: Vec<String> = (0..200).map(|i| format!("line {i}")).collect();
    assert_eq!(file("api.txt").lines().collect::<Vec<_>>(), lines);
    assert_eq!(file("api.code").trim(), "0");
}

#[test]
fn a_policy_that_does_not_compile_changes_nothing() {
    let (scene, _upstream) = upstream_scene(BOTH);
    let _running = scene.start(&["sleep", "1000"]);
    let bad = scene.write_policy("bad.yaml", "network: { rules: [ { name: x, to: [] } ] }");
    let shown = scene.verb(&["policy", "set", &scene.name, bad.to_str().unwrap()]);
    assert_ne!(shown.code, 0);
    assert!(shown.stderr.contains("bad.yaml"), "{}", shown.stderr);
    let shown = scene.verb(&["policy", "get", &scene.name, "--json"]).ok();
    let answer: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(answer["generation"], 1);
}

#[test]
fn a_directory_is_granted_made_read_only_and_taken_away_while_the_program_runs() {
    let scene = Scene::new().policy("filesystem: { workspace: { path: ., access: write } }");
    let data = scene.outside().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("hello"), "hi").unwrap();
    let d = data.display();
    let script = format!(
        "while sleep 0.02; do cat {d}/hello >/dev/null 2>&1 && r=r || r=-; touch {d}/w 2>/dev/null && w=w || w=-; echo $r$w; done"
    );
    let mut running = scene.start(&["/bin/sh", "-c", &script]);
    let seen = watch(running.stdout());
    let last = |want: &str| {
        let want = want.to_owned();
        let seen = std::sync::Arc::clone(&seen);
        wait_until(&format!("to see {want}"), move || seen.lock().unwrap().lines().last() == Some(&want))
    };
    last("--");
    let set = |file: &str, list: &str| {
        let path = scene
            .write_policy(file, &format!("filesystem:\n  workspace: {{ path: ., access: write }}\n  {list}"));
        scene.verb(&["policy", "set", &scene.name, path.to_str().unwrap()]).ok()
    };
    set("grant.yaml", &format!("write: [\"{d}\"]"));
    last("rw");
    set("narrow.yaml", &format!("read: [\"{d}\"]"));
    last("r-");
    set("none.yaml", "");
    last("--");
}

#[test]
fn an_open_writer_refuses_the_change_whole_and_force_names_what_it_ends() {
    let scene = Scene::new();
    let data = scene.outside().join("data");
    fs::create_dir(&data).unwrap();
    let d = data.display();
    let scene =
        scene.policy(&format!("filesystem:\n  workspace: {{ path: ., access: write }}\n  write: [\"{d}\"]"));
    let script =
        format!("sh -c 'exec 3>{d}/open; sleep 1000' & echo started > ready; while sleep 1; do :; done");
    let _running = scene.start(&["/bin/sh", "-c", &script]);
    wait_until("the writer to have opened", || data.join("open").exists());
    let path = scene.write_policy(
        "narrow.yaml",
        &format!("filesystem:\n  workspace: {{ path: ., access: write }}\n  read: [\"{d}\"]"),
    );
    let policy = path.to_str().unwrap();
    let shown = scene.verb(&["policy", "set", &scene.name, policy]);
    assert_ne!(shown.code, 0);
    assert!(
        shown.stderr.contains("sleep") || shown.stderr.contains("sh"),
        "the holder is named: {}",
        shown.stderr
    );
    let got: serde_json::Value =
        serde_json::from_str(&scene.verb(&["policy", "get", &scene.name, "--json"]).ok().stdout).unwrap();
    assert_eq!(got["generation"], 1, "nothing changed");
    let shown = scene.verb(&["policy", "set", &scene.name, policy, "--force"]).ok();
    assert!(shown.stdout.contains("ended"), "{}", shown.stdout);
}

#[test]
fn what_follows_a_live_change_is_judged_by_the_new_policy() {
    let (scene, upstream) = upstream_scene(ONLY_API);
    let _running = scene.start(&["sleep", "1000"]);
    let curl = |url: &str| {
        scene
            .verb(&[
                "exec",
                "-T",
                &scene.name,
                "--",
                "curl",
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                url,
            ])
            .stdout
    };
    assert_eq!(curl("https://other.test/a"), "403");
    let both = scene.write_policy("both.yaml", &format!("network:\n  rules:\n{BOTH}"));
    scene.verb(&["policy", "set", &scene.name, both.to_str().unwrap()]).ok();
    assert_eq!(curl("https://other.test/b"), "200");
    assert_eq!(upstream.lines(), ["GET /b"]);
}

#[test]
fn limits_follow_a_live_change_and_are_only_lowered() {
    let scene = Scene::new().policy("process: { limits: { open_files: 256, processes: 128 } }");
    let running = scene.start(&[
        "/bin/sh",
        "-c",
        "while [ ! -e go ]; do sleep 0.05; done; ulimit -n > seen; sleep 1000",
    ]);
    let set = |file: &str, limits: &str| {
        let path = scene.write_policy(file, &format!("process: {{ limits: {{ {limits} }} }}"));
        scene.verb(&["policy", "set", &scene.name, path.to_str().unwrap()])
    };
    let raised = set("raised.yaml", "open_files: 512, processes: 128");
    assert!(raised.code != 0 && raised.stderr.contains("only be lowered"), "{raised:?}");
    set("lowered.yaml", "open_files: 64, processes: 32").ok();
    fs::write(scene.workspace().join("go"), "").unwrap();
    wait_until("the running shell to see its limit", || {
        fs::read_to_string(scene.workspace().join("seen")).is_ok_and(|seen| seen.trim() == "64")
    });
    let later = scene.verb(&["exec", "-T", &scene.name, "--", "/bin/sh", "-c", "ulimit -n"]).ok();
    assert_eq!(later.stdout.trim(), "64");
    set("timed.yaml", "open_files: 64, processes: 32, time: 1s").ok();
    let ended = running.finish();
    assert_eq!(ended.code, 124, "{ended:?}");
}

/// Gathers what a running sandbox writes.
fn watch(mut out: impl Read + Send + 'static) -> std::sync::Arc<std::sync::Mutex<String>> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let shared = std::sync::Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n) = out.read(&mut buffer) {
            if n == 0 {
                return;
            }
            shared.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
    seen
}

/// A call is held back by its caller until the policy has moved the backend of that name elsewhere: the key that the
/// call was given is the old place's.
#[test]
fn a_key_goes_to_no_other_place_when_its_backend_moves_under_a_call() {
    let (old, new) = (Upstream::start(&["old.test"]), Upstream::start(&["new.test"]));
    let at = |upstream: &Upstream, key: &str| {
        let backend = format!(
            "{{ name: acme, base_url: \"http://{}/v1\", key: \"{key}\", api: openai }}",
            upstream.plain
        );
        format!("inference:\n  backends:\n    - {backend}\n  models: {{ default: [acme/small] }}")
    };
    let scene = Scene::new().variable("OLD_KEY", "sk-of-the-old-place").policy(&at(&old, "env:OLD_KEY"));
    let running = scene.start(&["/usr/bin/env", "python3", "-c", HELD_BACK]);
    wait_until("the call to have begun", || scene.workspace().join("begun").exists());
    let moved = scene.write_policy("moved.yaml", &at(&new, "none"));
    scene.verb(&["policy", "set", &scene.name, moved.to_str().unwrap()]).ok();
    fs::write(scene.workspace().join("moved"), "").unwrap();
    let shown = running.finish();
    assert_eq!(new.seen(), [], "{shown:?}");
    assert!(shown.stdout.starts_with("HTTP/1.1 502"), "{shown:?}");
}

#[test]
fn a_call_is_recorded_with_the_policy_that_it_began_under() {
    let upstream = Upstream::start(&["models.test"]);
    let backend =
        format!("{{ name: acme, base_url: \"http://{}/v1\", key: none, api: openai }}", upstream.plain);
    let policy = format!("inference:\n  backends:\n    - {backend}\n  models: {{ default: [\"acme/*\"] }}");
    let scene = Scene::new().policy(&policy);
    let running = scene.start(&["/usr/bin/env", "python3", "-c", HELD_BACK]);
    wait_until("the call to have begun", || scene.workspace().join("begun").exists());
    let same = scene.write_policy("same.yaml", &policy);
    scene.verb(&["policy", "set", &scene.name, same.to_str().unwrap()]).ok();
    fs::write(scene.workspace().join("moved"), "").unwrap();
    let shown = running.finish();
    assert!(shown.stdout.starts_with("HTTP/1.1 200"), "{shown:?}");
    let events = scene.events();
    let calls: Vec<_> = events.iter().map(|e| &e["unmapped"]["creel"]["model_call"]).collect();
    let call = calls.iter().find(|call| !call.is_null()).expect("the call is there");
    assert_eq!(call["generation"], 1, "{call}");
    assert_eq!((&call["complete"], &call["failure"]), (&true.into(), &serde_json::Value::Null), "{call}");
}

/// A model call whose body waits for a file to appear.
const HELD_BACK: &str = r#"
import os, socket, time
body = b'{"messages":[],"model":"x"}'
s = socket.create_connection(("inference.local", 80))
head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: inference.local\r\ncontent-type: application/json\r\n"
s.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body[:10])
time.sleep(0.3)
open("begun", "w").close()
while not os.path.exists("moved"): time.sleep(0.02)
s.sendall(body[10:])
print(s.recv(4096).split(b"\r\n")[0].decode(), flush=True)
"#;

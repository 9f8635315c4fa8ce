//! The exit: the process outside that reads what comes from the network, confined, and bound to its warden.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Running, Scene, Upstream, holds, wait_until};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The process id of the exit of a sandbox that runs.
fn exit_of(running: &Running) -> u32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap();
    let is_exit =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c == "creel-exit\n");
    children.split_whitespace().find(is_exit).expect("the warden has an exit").parse().unwrap()
}

fn is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn sleepers(mark: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
    })
    .filter(|entry| fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm == "sleep\n"))
    .count()
}

#[test]
fn the_exit_has_no_capability_no_new_privilege_no_core_and_a_filter_and_cannot_be_inspected() {
    let scene = Scene::new();
    let running = scene.start(&["sleep", "1000"]);
    let exit = exit_of(&running);
    let status = fs::read_to_string(format!("/proc/{exit}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(':').trim().to_owned()
    };
    let mut want = vec![("CapPrm", "0000000000000000"), ("CapEff", "0000000000000000")];
    want.extend([("CapInh", "0000000000000000"), ("CapAmb", "0000000000000000")]);
    want.extend([("NoNewPrivs", "1"), ("Seccomp", "2")]);
    if rustix::process::getuid().is_root() {
        want.push(("CapBnd", "0000000000000000"));
    }
    for (name, value) in want {
        assert_eq!(field(name), value, "{name}");
    }
    let limits = fs::read_to_string(format!("/proc/{exit}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let data = limits.lines().find(|line| line.starts_with("Max data")).unwrap();
    assert_eq!(data.split_whitespace().filter(|word| *word == "2147483648").count(), 2, "{data}");
    // What cannot be inspected belongs to root, whoever runs it (`proc(5)`).
    assert_eq!(fs::metadata(format!("/proc/{exit}/environ")).unwrap().uid(), 0);
    drop(running);
    wait_until("the exit to be gone", || !is_there(exit));
}

/// Root may look at what cannot be inspected.
#[test]
fn the_exit_holds_the_networks_sockets_and_the_record_and_nothing_else() {
    if !rustix::process::getuid().is_root() {
        use std::io::Write;
        std::io::stderr().write_all(b"left out: the exit's descriptors, which only root may list\n").unwrap();
        return;
    }
    let scene = Scene::new();
    let running = scene.start(&["sleep", "1000"]);
    let exit = exit_of(&running);
    for entry in fs::read_dir(format!("/proc/{exit}/fd")).unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap();
        let text = target.to_string_lossy();
        let known = text.starts_with("socket:")
            || text == "/dev/null"
            || text == "anon_inode:[eventpoll]"
            || text == "anon_inode:[eventfd]"
            || target == scene.record();
        assert!(known, "{} is {text}", PathBuf::from(entry.file_name()).display());
    }
}

/// Users keep keys in their environment, and the exit begins as a copy of the warden, which has it.
#[test]
fn the_exit_has_no_copy_of_the_operators_environment() {
    if !rustix::process::getuid().is_root() {
        use std::io::Write;
        std::io::stderr().write_all(b"left out: the exit's memory, which only root may read\n").unwrap();
        return;
    }
    let secret = format!("deploy-token-{}-f00dcafe", std::process::id());
    let scene = Scene::new().variable("ACME_DEPLOY_TOKEN", &secret);
    let running = scene.start(&["sleep", "1000"]);
    assert!(holds(running.pid(), secret.as_bytes()), "the search finds nothing where there is something");
    let exit = exit_of(&running);
    assert!(!holds(exit, secret.as_bytes()), "in the exit's memory");
    assert!(
        !fs::read(format!("/proc/{exit}/environ"))
            .unwrap()
            .windows(secret.len())
            .any(|w| w == secret.as_bytes())
    );
}

#[test]
fn kill_9_of_the_exit_ends_everything() {
    let scene = Scene::new();
    let mark = format!("3000.{}", std::process::id());
    let running = scene.start(&["/bin/sh", "-c", &format!("setsid sleep {mark} & sleep {mark}")]);
    wait_until("the sleepers to run", || sleepers(&mark) >= 2);
    kill(exit_of(&running));
    let shown = running.finish();
    assert_eq!(shown.code, 125, "{shown:?}");
    assert!(shown.stderr.contains("exit ended before it"), "{shown:?}");
    wait_until("the sleepers to be gone", || sleepers(&mark) == 0);
    let listed = scene.verb(&["ps"]).ok().stdout;
    assert!(!listed.contains(&scene.name), "{listed}");
}

#[test]
fn kill_9_of_the_warden_ends_the_exit() {
    let scene = Scene::new();
    let mut running = scene.start(&["sleep", "1000"]);
    let exit = exit_of(&running);
    running.kill();
    wait_until("the exit to be gone", || !is_there(exit));
}

#[test]
fn what_only_the_warden_can_read_reaches_the_exit_at_a_live_change() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network: {}")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    let script = "until curl -sSf -m 5 https://api.test/x >/dev/null 2>&1; do sleep 0.1; done; echo through";
    let running = scene.start(&["/bin/sh", "-c", script]);
    let rules = "network:\n  rules:\n    - { name: api, to: [api.test], http: { allow: [\"GET /**\"] } }";
    scene.write_policy("included.yaml", rules);
    let including = scene.write_policy("including.yaml", "include: [./included.yaml]");
    scene.verb(&["policy", "set", &scene.name, including.to_str().unwrap()]).ok();
    assert!(running.finish().stdout.contains("through"));
}

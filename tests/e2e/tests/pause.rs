//! A sandbox held still, let go, and ended while it stands still.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Running, Scene, Shown, wait_until};
use std::fs;
use std::time::{Duration, Instant};

/// A command of two processes that count into a file each; new ones are forked all the time.
const COUNTING: &str =
    "count() { i=0; while :; do i=$((i+1)); echo $i > $1; sleep 0.002; done; }; count one & count two";

fn counting(scene: &Scene) -> Running {
    let running = scene.start(&["/bin/sh", "-c", COUNTING]);
    wait_until("both to count", || counts(scene).iter().all(|n| *n > 0));
    running
}

fn counts(scene: &Scene) -> [u64; 2] {
    ["one", "two"].map(|name| {
        let text = fs::read_to_string(scene.workspace().join(name)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    })
}

fn status(scene: &Scene) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(&scene.verb(&["ps", "--json"]).ok().stdout).unwrap();
    all.as_array().unwrap().iter().find(|s| s["name"] == scene.name.as_str()).unwrap().clone()
}

#[test]
fn what_is_paused_stands_still_and_what_is_resumed_goes_on() {
    let scene = Scene::new();
    let _running = counting(&scene);
    for _ in 0..20 {
        scene.verb(&["pause", &scene.name]).ok();
        let before = counts(&scene);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(counts(&scene), before, "something ran while all was paused");
        assert_eq!(status(&scene)["paused"], true);
        scene.verb(&["resume", &scene.name]).ok();
        wait_until("both to count on", || counts(&scene).iter().zip(before).all(|(now, then)| *now > then));
    }
    assert_eq!(status(&scene)["paused"], false);
    let record = fs::read_to_string(scene.record()).unwrap();
    for title in ["paused by its owner", "resumed by its owner"] {
        assert_eq!(record.lines().filter(|line| line.contains(title)).count(), 20, "{title}");
    }
}

#[test]
fn a_paused_sandbox_takes_no_command_and_says_what_to_do() {
    let scene = Scene::new();
    let _running = counting(&scene);
    let shown = scene.verb(&["resume", &scene.name]);
    assert!(shown.code == 125 && shown.stderr.contains("not paused"), "{}", shown.stderr);
    scene.verb(&["pause", &scene.name]).ok();
    let shown = scene.verb(&["exec", "-T", &scene.name, "--", "true"]);
    assert!(shown.code == 125 && shown.stderr.contains("resume"), "{} {}", shown.code, shown.stderr);
    let shown = scene.verb(&["pause", &scene.name]);
    assert!(shown.code == 125 && shown.stderr.contains("already"), "{}", shown.stderr);
}

/// Ends a paused sandbox in one way; nothing of it may be left.
fn check(end: impl FnOnce(&Scene, Running) -> Shown) -> Shown {
    let scene = Scene::new();
    let running = counting(&scene);
    let init = status(&scene)["init"].as_u64().unwrap();
    let inside = children(init);
    assert!(!inside.is_empty(), "the command is init's child");
    scene.verb(&["pause", &scene.name]).ok();
    let shown = end(&scene, running);
    wait_until("everything inside to be gone", || {
        inside.iter().chain([&init]).all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap())
    });
    shown
}

fn children(pid: u64) -> Vec<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[test]
fn a_paused_sandbox_is_stopped_at_once() {
    let shown = check(|scene, running| {
        let began = Instant::now();
        scene.verb(&["stop", "--now", &scene.name]).ok();
        assert!(began.elapsed() < Duration::from_secs(5), "a stop must not wait for what stands still");
        running.finish()
    });
    assert_eq!(shown.code, 137);
}

#[test]
fn a_paused_sandbox_is_asked_to_end_and_does() {
    let shown = check(|scene, running| {
        scene.verb(&["stop", &scene.name]).ok();
        running.finish()
    });
    assert_eq!(shown.code, 143);
}

#[test]
fn a_warden_killed_while_its_sandbox_is_paused_leaves_nothing() {
    check(|_, mut running| {
        running.kill();
        running.finish()
    });
}

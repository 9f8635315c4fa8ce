//! What must be impossible is tried before the command runs; `creel doctor --posture` shows it, and the record holds it.
#![allow(clippy::unwrap_used)]

use creel_e2e::Scene;
use serde_json::Value;
use std::fs;

/// A scene whose policy hides one file of the workspace, and makes another one and a directory read-only.
fn scene() -> (Scene, String) {
    let scene = Scene::new().policy("filesystem:\n  read: [./fixed, ./hooks]\n  hide: [./secret]\nprocess:\n  limits: { open_files: 512 }");
    for name in ["fixed", "secret"] {
        fs::write(scene.workspace().join(name), "x").unwrap();
    }
    fs::create_dir(scene.workspace().join("hooks")).unwrap();
    let policy = scene.outside().join("policy.yaml").display().to_string();
    (scene, policy)
}

fn doctor(scene: &Scene, policy: &str, more: &[&str]) -> creel_e2e::Shown {
    let workspace = scene.workspace().display().to_string();
    scene.verb(&[&["doctor", "--posture", "-p", policy, "-w", &workspace], more].concat())
}

/// The promise that contains these words.
fn promise<'a>(promises: &'a Value, words: &str) -> &'a Value {
    let mut all = promises.as_array().unwrap().iter();
    all.find(|one| one["promise"].as_str().unwrap().contains(words))
        .unwrap_or_else(|| panic!("{words}: {promises}"))
}

#[test]
fn doctor_tries_what_the_policy_forbids_and_prints_what_held() {
    let (scene, policy) = scene();
    let shown = doctor(&scene, &policy, &[]).ok();
    let (promises, verdict) = shown.stdout.trim_end().rsplit_once('\n').unwrap();
    assert!(promises.lines().all(|line| line.starts_with("ok  ")), "{shown:?}");
    assert!(verdict.ends_with("all hold"), "{shown:?}");
    let json: Value = serde_json::from_str(&doctor(&scene, &policy, &["--json"]).ok().stdout).unwrap();
    assert_eq!(json["holds"], true, "{json}");
    for (words, least) in [
        ("what is hidden cannot be read", 1),
        ("what is read-only cannot be written", 2),
        ("the warden's own files are not there", 2),
        ("no limit can be raised", 2),
        ("a TCP connection arrives at the warden", 1),
        ("no process outside is seen", 6),
        ("what reaches out of a sandbox", 50),
    ] {
        let tried = promise(&json["promises"], words)["tried"].as_u64().unwrap();
        assert!(tried >= least, "{words}: {tried} of at least {least}");
    }
}

#[test]
fn a_posture_that_was_only_asked_for_leaves_nothing_behind() {
    let (scene, policy) = scene();
    doctor(&scene, &policy, &[]).ok();
    let records = scene.verb(&["audit", "show"]);
    assert_ne!(records.code, 0, "there is no record: {records:?}");
    let trials = scene.outside().join("state/creel/trials");
    assert_eq!(fs::read_dir(&trials).map_or(0, Iterator::count), 0);
    let workspace: Vec<_> =
        fs::read_dir(scene.workspace()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(workspace.len(), 3, "{workspace:?}");
}

#[test]
fn the_record_lists_what_was_proven_and_nothing_of_the_trial_reaches_it() {
    let (scene, _) = scene();
    let shown = scene.sh("cat fixed; ls -a; ls -a /tmp").ok();
    assert_eq!(
        shown.stdout.split_whitespace().filter(|name| name.contains(".creel")).count(),
        0,
        "{shown:?}"
    );
    let events = scene.events();
    let start = events[0]["unmapped"]["creel"]["start"].clone();
    assert!(
        promise(&start["promises"], "what is hidden cannot be read")["tried"].as_u64().unwrap() >= 1,
        "{start}"
    );
    let network =
        events.iter().filter(|event| matches!(event["class_uid"].as_u64(), Some(4001..=4003))).count();
    assert_eq!(network, 0, "the connections of the trial are the jail's own: {events:#?}");
}

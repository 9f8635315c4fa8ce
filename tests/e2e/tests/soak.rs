//! Many starts and ends, half of them violent, and nothing left afterwards.
//!
//! `CREEL_SOAK` says how many cycles; the usual run has few, `./x soak` ten thousand.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, binary, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const USUAL: usize = 120;
const THREADS: usize = 4;

#[test]
fn nothing_is_left_after_many_starts_and_ends() {
    let cycles = std::env::var("CREEL_SOAK").map_or(USUAL, |n| n.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let before = Left::now(temporary.path());
    let (next, ended) = (AtomicUsize::new(0), [const { AtomicUsize::new(0) }; 4]);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let scene = Scene::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cycles {
                        return;
                    }
                    let how = number % ended.len();
                    cycle(&scene, how, number, temporary.path());
                    ended[how].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let mut left = Left::now(temporary.path());
    for _ in 0..100 {
        if left.since(&before).is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        left = Left::now(temporary.path());
    }
    assert!(left.since(&before).is_empty(), "ten seconds after the last end: {:#?}", left.since(&before));
    println!(
        "{cycles} cycles ({ended:?}: by themselves, warden killed, stopped, init killed): nothing is left"
    );
}

/// One life of a sandbox, ended in one of four ways at a moment that moves with the number.
fn cycle(scene: &Scene, how: usize, number: usize, temporary: &Path) {
    let mut command = Command::new(binary());
    command.args(["run", "-q", "-T", "--name", &scene.name, "--workspace"]).arg(scene.workspace());
    command.args(["--", if how == 0 { "true" } else { "sleep" }, "1000"]);
    command.env("XDG_STATE_HOME", scene.outside().join("state")).env("TMPDIR", temporary);
    let mut warden =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let moment = Duration::from_micros((number as u64).wrapping_mul(7919) % 45_000);
    match how {
        0 => assert!(warden.wait().unwrap().success()),
        1 => std::thread::sleep(moment),
        2 => wait_until("it to be stopped", || scene.verb(&["stop", "--now", &scene.name]).code == 0),
        _ => wait_until("its init to be killed", || {
            init(scene).is_some_and(|init| kill_process(init, Signal::KILL).is_ok())
        }),
    }
    if how == 1 {
        warden.kill().unwrap();
    }
    warden.wait().unwrap();
    if how == 1 {
        // Its name is free when its last process is gone.
        wait_until("the name to be free", || init(scene).is_none());
    }
}

fn init(scene: &Scene) -> Option<Pid> {
    let all: serde_json::Value = serde_json::from_str(&scene.verb(&["ps", "--json"]).stdout).ok()?;
    let own = all.as_array()?.iter().find(|s| s["name"] == scene.name.as_str())?;
    Pid::from_raw(own["init"].as_i64()?.try_into().ok()?)
}

/// What a sandbox can leave behind on a machine.
#[derive(Debug, Default)]
struct Left(BTreeSet<String>);

impl Left {
    fn now(temporary: &Path) -> Self {
        let mut found = BTreeSet::new();
        found.extend(processes().map(|pid| format!("process {pid}")));
        found.extend(groups().map(|dir| format!("control group {}", dir.display())));
        found.extend(entries(temporary).map(|path| format!("temporary file {}", path.display())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().map(|line| format!("mount {line}")));
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        let own = format!("@creel/{}/t{}-", rustix::process::getuid().as_raw(), std::process::id());
        found.extend(sockets.lines().filter(|line| line.contains(&own)).map(|line| format!("socket {line}")));
        Self(found)
    }

    fn since<'a>(&'a self, before: &'a Self) -> Vec<&'a String> {
        self.0.difference(&before.0).collect()
    }
}

/// Processes that run the binary under test. Namespaces and the mounts in them live as long as a process does.
fn processes() -> impl Iterator<Item = String> {
    let own = fs::canonicalize(binary()).unwrap();
    let all = entries(Path::new("/proc"));
    all.filter(move |dir| fs::read_link(dir.join("exe")).is_ok_and(|exe| exe == own))
        .map(|dir| dir.file_name().unwrap().to_string_lossy().into_owned())
}

/// Control groups of sandboxes in which nobody lives any more; they stand wherever this program's own do.
fn groups() -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = next.pop() {
        let inner = entries(&dir).filter(|path| path.is_dir() && !path.is_symlink());
        let named =
            |dir: &PathBuf| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("creel-"));
        let (own, others): (Vec<_>, Vec<_>) = inner.partition(named);
        found.extend(own);
        next.extend(others);
    }
    let empty =
        |dir: &PathBuf| fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty());
    found.into_iter().filter(empty)
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

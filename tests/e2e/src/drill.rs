//! Which faults are taken, and what is looked at after each.

use crate::stepper::{Fault, Harm, Walked, fitting, telling};
use crate::wait_until;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Steps of a role in the usual run.
const USUAL: usize = 24;
const THREADS: usize = 2;

/// At most so many steps, spread over all of them.
fn sample(steps: Vec<usize>) -> Vec<usize> {
    let most = std::env::var("CREEL_FAULTS").map_or(USUAL, |n| n.parse().unwrap());
    let every = steps.len().div_ceil(most).max(1);
    steps.into_iter().step_by(every).collect()
}

/// A fault at each step of these roles at which it makes a difference to be killed.
pub fn kills(calls: &BTreeMap<&'static str, Vec<i64>>, roles: &[&'static str], harm: Harm) -> Vec<Fault> {
    let of = |&role: &&'static str| {
        let steps = sample(telling(calls.get(role).map_or(&[][..], |calls| calls)));
        steps.into_iter().map(move |step| Fault { role, step, harm })
    };
    roles.iter().flat_map(of).collect()
}

/// A fault at each step of these roles that can fail.
pub fn failures(calls: &BTreeMap<&'static str, Vec<i64>>, roles: &[&'static str]) -> Vec<Fault> {
    let mut all = Vec::new();
    for &role in roles {
        let calls = calls.get(role).map_or(&[][..], |calls| calls);
        let steps = sample((0..calls.len()).filter(|&step| fitting(calls[step]).is_some()).collect());
        all.extend(steps.into_iter().map(|step| Fault { role, step, harm: Harm::Fail }));
    }
    all
}

/// Takes every fault in a place of its thread's own; tells all that went wrong, and how many struck.
#[allow(clippy::print_stdout)] // what it came to is for who reads the output of a test
pub fn sweep<P>(
    faults: &[Fault],
    place: impl Fn() -> P + Sync,
    one: impl Fn(&P, Fault) -> Result<bool, String> + Sync,
) {
    let (next, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let place = place();
                while let Some(&fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match one(&place, fault) {
                        Ok(true) => drop(struck.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => {}
                        Err(why) => wrong.lock().unwrap().push(format!("{fault:?}: {why}")),
                    }
                }
            });
        }
    });
    let (wrong, struck) = (wrong.into_inner().unwrap(), struck.into_inner());
    assert!(wrong.is_empty(), "{} of {} faults do harm:\n{}", wrong.len(), faults.len(), wrong.join("\n"));
    assert!(struck * 10 >= faults.len() * 8, "{struck} of {} faults struck", faults.len());
    println!("{struck} of {} faults struck; nothing is left, and nothing is weaker", faults.len());
}

/// A run without its calls.
pub struct Brief<'a>(pub &'a Walked);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Walked { struck, on, code, stdout, stderr, .. } = self.0;
        write!(f, "struck call {struck:?} on {on:?}, code {code}, stdout {stdout:?}, stderr {stderr:?}")
    }
}

/// Control groups of sandboxes in which nobody lives.
fn empty_groups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = next.pop() {
        for path in fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if !path.is_dir() || path.is_symlink() {
                continue;
            }
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("creel-")) {
                found.push(path);
            } else {
                next.push(path);
            }
        }
    }
    found.retain(|dir| fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty()));
    found
}

/// Does something, and fails when control groups or mounts are left ten seconds after it.
pub fn leaving_nothing(act: impl FnOnce()) {
    let (before, mounted) = (empty_groups(), mounts());
    act();
    wait_until("the control groups to be gone", || empty_groups().iter().all(|dir| before.contains(dir)));
    wait_until("the mounts to be gone", || mounts().iter().all(|line| mounted.contains(line)));
}

/// The host's mounts that could be of a sandbox or its scene; others come and go with other programs.
fn mounts() -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().filter(|line| line.contains("creel") || line.contains("/.tmp")).map(str::to_owned).collect()
}

//! Faults at every step of an apply: the workspace is as it was or as it was to be, whoever is killed and whichever
//! call fails.
//!
//! How many steps are taken is said in `faults.rs`.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))] // the tracer sets registers
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what it came to is for who reads it

use creel_e2e::Scene;
use creel_e2e::drill::{Brief, failures, kills, sweep};
use creel_e2e::stepper::{FIRST, FORK, Fault, Harm, Walk, Walked};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const FINISH: &str = "internal-finish";

/// Every path beneath with its mode and content, sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![dir.to_owned()];
    while let Some(at) = next.pop() {
        for path in fs::read_dir(&at).unwrap().flatten().map(|entry| entry.path()) {
            let meta = path.symlink_metadata().unwrap();
            let text = if meta.is_dir() { String::new() } else { fs::read_to_string(&path).unwrap() };
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.push(format!("{name} {:o} {text}", meta.permissions().mode()));
            if meta.is_dir() {
                next.push(path);
            }
        }
    }
    found.sort();
    found
}

struct Place {
    scene: Scene,
    before: Vec<String>,
    after: Vec<String>,
}

impl Place {
    /// A workspace in which changes of every kind wait to be applied.
    fn new() -> Self {
        let scene = Scene::new().policy("filesystem: { workspace: { path: ., access: review } }");
        for (name, text) in [("a", "1"), ("b", "1"), ("d/c", "1"), ("d/e/f", "1")] {
            let path = scene.workspace().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let before = tree(&scene.workspace());
        scene.sh("echo 2 >a; rm b; chmod 700 a; rm -r d/e; mkdir n n/m; echo 3 >n/m/o; echo 4 >d/c; echo 5 >d/p").ok();
        let mut place = Self { scene, before, after: Vec::new() };
        assert_eq!(place.tree(), place.before);
        place.scene.verb(&["apply", &place.scene.name]).ok();
        place.after = place.tree();
        assert_ne!(place.after, place.before);
        place.roll_back();
        place
    }

    fn tree(&self) -> Vec<String> {
        tree(&self.scene.workspace())
    }

    fn roll_back(&self) {
        self.scene.verb(&["rollback", &self.scene.name, "before-apply"]).ok();
        assert_eq!(self.tree(), self.before);
    }

    fn apply(&self, fault: Option<Fault>) -> Walked {
        let mut command = self.scene.creel();
        command.args(["apply", &self.scene.name]);
        Walk::start(command, fault, true, PATIENCE).finish()
    }

    /// Whether the fault struck, or what is wrong after it.
    fn judge(&self, fault: Fault) -> Result<bool, String> {
        let walked = self.apply(Some(fault));
        if fault.harm == Harm::KillAll {
            // Nobody is left to finish it but the next who comes.
            self.scene.verb(&["changes", "-l", &self.scene.name]);
        }
        let told = format!("{:?}", Brief(&walked));
        let tree = self.tree();
        let landed = tree == self.after;
        if landed {
            self.roll_back();
        } else if tree != self.before {
            return Err(format!("neither what it was nor what it was to be: {tree:#?}\n{told}"));
        }
        match () {
            () if !walked.left.is_empty() => Err(format!("left running: {:?}", walked.left)),
            () if !landed && walked.code == 0 => Err(format!("nothing landed, and nobody is told\n{told}")),
            () => Ok(walked.struck.is_some()),
        }
    }
}

fn measured() -> BTreeMap<&'static str, Vec<i64>> {
    let place = Place::new();
    let walked = place.apply(None);
    assert_eq!(walked.code, 0, "{:?}", Brief(&walked));
    assert_eq!(place.tree(), place.after);
    let counts: Vec<_> = walked.calls.iter().map(|(role, calls)| (role, calls.len())).collect();
    println!("system calls of an apply: {counts:?}");
    walked.calls
}

#[test]
fn whoever_is_killed_at_any_step_of_an_apply_it_is_whole_or_not_there() {
    let calls = measured();
    let mut faults = kills(&calls, &[FIRST, FORK, FINISH], Harm::Kill);
    faults.extend(kills(&calls, &[FIRST], Harm::KillAll));
    sweep(&faults, Place::new, Place::judge);
}

#[test]
fn a_call_that_fails_at_any_step_of_an_apply_lets_it_land_whole_or_not_at_all() {
    sweep(&failures(&measured(), &[FIRST, FORK, FINISH]), Place::new, Place::judge);
}

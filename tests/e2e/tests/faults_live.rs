//! Faults at every step of a live change and of a stop: the files of a sandbox are as the old policy says or as the new
//! one says, or the sandbox is over.
//!
//! How many steps are taken is said in `faults.rs`.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))] // the tracer sets registers
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what it came to is for who reads it

use creel_e2e::drill::{Brief, failures, kills, leaving_nothing, sweep};
use creel_e2e::stepper::{EXIT, FIRST, FORK, Fault, Harm, Walk, Walked};
use creel_e2e::{Scene, Shown, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Patience with a sandbox that should be over; a live one is stopped long before.
const PATIENCE: Duration = Duration::from_secs(30);
const MOUNTS: &str = "internal-mounts";
const ROLES: [&str; 4] = [FIRST, FORK, EXIT, MOUNTS];

/// What is seen from inside under the old policy, and under the new one.
const OLD: &str = "kept:r- gone:r- given:-- lent:-- narrowed:rw secret:r\n";
const NEW: &str = "kept:r- gone:-- given:r- lent:rw narrowed:r- secret:-\n";

struct Place {
    scene: Scene,
    new: PathBuf,
}

impl Place {
    fn new() -> Self {
        let scene = Scene::new();
        for name in ["kept", "gone", "given", "lent", "narrowed"] {
            fs::create_dir(scene.outside().join(name)).unwrap();
            fs::write(scene.outside().join(name).join("f"), "x").unwrap();
        }
        fs::write(scene.workspace().join("secret"), "x").unwrap();
        let at = |name: &str| scene.outside().join(name).display().to_string();
        let workspace = "filesystem:\n  workspace: { path: ., access: write }\n";
        let old =
            format!("{workspace}  read: [{}, {}]\n  write: [{}]\n", at("kept"), at("gone"), at("narrowed"));
        let new = format!(
            "{workspace}  read: [{}, {}, {}]\n  write: [{}]\n  hide: [./secret]\n",
            at("kept"),
            at("given"),
            at("narrowed"),
            at("lent")
        );
        let new = scene.write_policy("new.yaml", &new);
        Self { scene: scene.policy(&old), new }
    }

    /// A sandbox that runs under the tracer, which does not count yet.
    fn start(&self, fault: Option<Fault>) -> Result<Walk, String> {
        let mut command = self.scene.command();
        command.args(["/bin/sh", "-c", "while :; do sleep 1000; done"]);
        let walk = Walk::start(command, fault, false, PATIENCE);
        wait_until("the sandbox to run", || walk.is_over() || self.exec("echo up").stdout == "up\n");
        Ok(walk)
    }

    fn exec(&self, script: &str) -> Shown {
        self.scene.verb(&["exec", "-T", &self.scene.name, "--", "/bin/sh", "-c", script])
    }

    /// What is seen from inside; nothing when the sandbox is over, or ends meanwhile.
    fn seen(&self) -> String {
        let dir = self.scene.outside().display();
        let shown = self.exec(&format!(
            "for d in kept gone given lent narrowed; do [ -r {dir}/$d/f ] && r=r || r=-; \
             (echo x >{dir}/$d/w) 2>&-; printf '%s:%s%%s ' $d $r; done; \
             [ -s secret ] && echo secret:r || echo secret:-"
        ));
        if !shown.stdout.ends_with('\n') {
            return String::new();
        }
        // What is written where nothing is granted lands in the sandbox's own home; the host's files tell.
        ["kept", "gone", "given", "lent", "narrowed"].iter().fold(shown.stdout, |seen, name| {
            let written = fs::remove_file(self.scene.outside().join(name).join("w")).is_ok();
            seen.replacen("%s", if written { "w" } else { "-" }, 1)
        })
    }

    fn set(&self) -> Shown {
        self.scene.verb(&["policy", "set", &self.scene.name, self.new.to_str().unwrap()])
    }

    /// The generation that the sandbox says it has; 0 when it is over.
    fn generation(&self) -> u64 {
        let shown = self.scene.verb(&["policy", "get", &self.scene.name, "--json"]);
        let answer = serde_json::from_str::<serde_json::Value>(&shown.stdout).unwrap_or_default();
        answer["generation"].as_u64().unwrap_or(0)
    }

    /// What holds of the record and of what is left, once the sandbox is over.
    fn over(&self, walked: &Walked) -> Result<(), String> {
        let record = self.scene.record();
        let verified = creel_audit::verify(&record);
        let _ = fs::remove_dir_all(record.parent().unwrap());
        if !walked.left.is_empty() {
            return Err(format!("left running: {:?}", walked.left));
        }
        verified.map(drop).map_err(|error| format!("the record does not verify: {error}"))
    }

    /// One change under a fault.
    fn change(&self, fault: Option<Fault>) -> Result<Walked, String> {
        let walk = self.start(fault)?;
        walk.arm();
        let shown = self.set();
        let (seen, generation) = (self.seen(), self.generation());
        while !walk.is_over() && self.scene.verb(&["stop", "--now", &self.scene.name]).code != 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let walked = walk.finish();
        let told = format!("{shown:?}\n{:?}", Brief(&walked));
        self.over(&walked).map_err(|why| format!("{why}\n{told}"))?;
        match (&*seen, generation) {
            (OLD, 1) if shown.code != 0 => Ok(walked),
            (NEW, 2) if shown.code == 0 || !shown.stderr.is_empty() => Ok(walked),
            // It was over before anybody could ask.
            (OLD, 0) if shown.code != 0 && walked.struck.is_some() => Ok(walked),
            (NEW, 0) if shown.code == 0 && walked.struck.is_some() => Ok(walked),
            // Over, or about to be: nobody was let in to look.
            ("", _) if shown.code != 0 || walked.struck.is_some() => Ok(walked),
            _ => Err(format!("generation {generation} and {seen:?}\n{told}")),
        }
    }
}

fn measured() -> BTreeMap<&'static str, Vec<i64>> {
    let place = Place::new();
    let walk = place.start(None).unwrap();
    assert_eq!(place.seen(), OLD);
    walk.arm();
    let shown = place.set().ok();
    assert_eq!((place.seen().as_str(), place.generation()), (NEW, 2), "{shown:?}");
    place.scene.verb(&["stop", "--now", &place.scene.name]).ok();
    let walked = walk.finish();
    let counts: Vec<_> = walked.calls.iter().map(|(role, calls)| (role, calls.len())).collect();
    println!("system calls of a live change and a stop: {counts:?}");
    place.over(&walked).unwrap();
    walked.calls
}

#[test]
fn whoever_is_killed_at_any_step_of_a_live_change_it_is_whole_or_the_sandbox_is_over() {
    let faults = kills(&measured(), &ROLES, Harm::Kill);
    leaving_nothing(|| {
        sweep(&faults, Place::new, |place, fault| {
            place.change(Some(fault)).map(|walked| walked.struck.is_some())
        });
    });
}

#[test]
fn a_call_that_fails_at_any_step_of_a_live_change_leaves_the_old_policy_or_the_new_one() {
    let faults = failures(&measured(), &ROLES);
    leaving_nothing(|| {
        sweep(&faults, Place::new, |place, fault| {
            place.change(Some(fault)).map(|walked| walked.struck.is_some())
        });
    });
}

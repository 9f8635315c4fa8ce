//! A place in which a sandbox is disturbed, and a program inside that says which of its walls are missing.

use crate::Scene;
use crate::drill::Brief;
use crate::stepper::Walked;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A workspace with something to hide and to protect, a secret outside of it, and a place for temporary files.
pub struct Place {
    /// Its workspace and record.
    pub scene: Scene,
    temporary: tempfile::TempDir,
}

const POLICY: &str = "filesystem:\n  workspace: { path: ., access: write }\n  read: [./fixed]\n  hide: [./secret, \"./**/*.key\"]\n\
                      process:\n  limits: { processes: 64, open_files: 256, memory: 256MiB }\n";

/// Read-only, hidden by name, and hidden by a pattern.
const FILES: [&str; 3] = ["fixed", "secret", "deep/a.key"];

impl Place {
    /// Files, a policy and an empty directory.
    pub fn new() -> Self {
        let scene = Scene::new().policy(POLICY);
        fs::create_dir(scene.workspace().join("deep")).unwrap();
        for name in FILES {
            fs::write(scene.workspace().join(name), "x").unwrap();
        }
        fs::write(scene.outside().join("beside"), "x").unwrap();
        Self { scene, temporary: tempfile::tempdir().unwrap() }
    }

    /// A sandbox that runs a shell script.
    pub fn command(&self, script: &str) -> Command {
        let mut command = self.scene.command();
        command.args(["/bin/sh", "-c", script]).env("TMPDIR", self.temporary.path());
        command
    }

    /// A program of shell builtins that says which walls are missing, and leaves a mark that it ran.
    pub fn watchman(&self) -> String {
        let beside = self.scene.outside().join("beside");
        format!(
            "echo ran >ran; while read -r k v _; do case $k$v in \
               Cap*:0000000000000000|NoNewPrivs:1|Seccomp:2) ;; Cap*|NoNewPrivs:*|Seccomp:*) echo weak $k $v;; esac; \
             done </proc/self/status; \
             [ -e {} ] && echo weak beside; [ -s secret ] && echo weak secret; [ -s deep/a.key ] && echo weak key; \
             [ -s /etc/shadow ] && [ -r /etc/shadow ] && echo weak shadow; (echo y >fixed) 2>&- && echo weak fixed; \
             while read -r l; do case $l in Inter*|face*|lo:*) ;; *) echo weak net $l;; esac; done </proc/net/dev; \
             [ $(ulimit -n) -le 256 ] || echo weak descriptors; \
             [ -e /proc/{} ] && echo weak processes; echo done",
            beside.display(),
            std::process::id(),
        )
    }

    fn record(&self) -> PathBuf {
        self.scene.record()
    }

    /// What is wrong afterwards, whatever happened; and puts everything back for the next.
    pub fn judge(&self, walked: &Walked) -> Result<(), String> {
        let ran = fs::remove_file(self.scene.workspace().join("ran")).is_ok();
        let outcome =
            self.whole(walked, ran).map_err(|why| format!("{why}\n{walked:?}", walked = Brief(walked)));
        let _ = fs::remove_dir_all(self.record().parent().unwrap());
        outcome
    }

    fn whole(&self, walked: &Walked, ran: bool) -> Result<(), String> {
        if !walked.left.is_empty() {
            return Err(format!("left running: {:?}", walked.left));
        }
        let temporary: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().flatten().collect();
        if !temporary.is_empty() {
            return Err(format!("left in TMPDIR: {temporary:?}"));
        }
        let names = fs::read_to_string("/proc/net/unix").unwrap();
        let own = format!("@creel/{}/{}", rustix::process::getuid().as_raw(), self.scene.name);
        if names.lines().any(|line| line.ends_with(&own)) {
            return Err("its name is taken still".into());
        }
        for name in FILES {
            if fs::read_to_string(self.scene.workspace().join(name)).unwrap() != "x" {
                return Err(format!("{name} was changed"));
            }
        }
        if walked.stdout.contains("weak") {
            return Err("it ran with less than its policy says".into());
        }
        self.recorded(ran)
    }

    /// A record that verifies to its last line, and says that a command ran that did.
    fn recorded(&self, ran: bool) -> Result<(), String> {
        let length = fs::metadata(self.record()).map_or(0, |meta| meta.len());
        if length == 0 {
            return if ran { Err("it ran, and there is no record".into()) } else { Ok(()) };
        }
        match creel_audit::verify(&self.record()) {
            Ok(verified) if ran && verified.events == 0 => {
                Err("it ran, and the record does not say so".into())
            }
            Ok(_) => Ok(()),
            // A header that was not written to its end, before anything happened.
            Err(creel_audit::Broken { why: creel_audit::Why::Empty, .. }) if !ran => Ok(()),
            Err(error) => Err(format!("the record does not verify: {error}")),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

//! A scene: directories of its own, a policy, and the binary run in it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("CREEL_BIN")
        .map(PathBuf::from)
        .expect("CREEL_BIN names the binary under test: run ./x e2e")
}

/// Waits until `done` says so, for at most ten seconds.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited ten seconds for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A workspace, a record directory and a policy that live as long as the test.
pub struct Scene {
    dir: tempfile::TempDir,
    /// The sandbox's name, unique to this scene.
    pub name: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Scene {
    /// An empty workspace and no policy: the built-in one applies.
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let dir =
            tempfile::tempdir_in(std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from))
                .unwrap();
        for name in ["workspace", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            name: format!("t{}-{number}", std::process::id()),
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// With this policy (a YAML document without its `version` and `name`).
    pub fn policy(mut self, yaml: &str) -> Self {
        let path = self.write_policy("policy.yaml", yaml);
        self.arguments.extend(["--policy".into(), path.display().to_string()]);
        self
    }

    /// Writes a policy document without using it yet.
    pub fn write_policy(&self, file: &str, yaml: &str) -> PathBuf {
        let path = self.dir.path().join(file);
        fs::write(&path, format!("version: 1\nname: test\n{yaml}\n")).unwrap();
        path
    }

    /// With one more argument pair before `--`.
    pub fn with(mut self, option: &str, value: impl AsRef<Path>) -> Self {
        self.arguments.extend([option.into(), value.as_ref().display().to_string()]);
        self
    }

    /// With a variable in the operator's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A directory of the scene's own, outside the workspace.
    pub fn outside(&self) -> &Path {
        self.dir.path()
    }

    /// The workspace.
    pub fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    /// The record's file.
    pub fn record(&self) -> PathBuf {
        self.dir.path().join("record").join("record.jsonl")
    }

    /// The events of the record, as JSON.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.record()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.map(|line| line["event"].clone()).filter(|event| !event.is_null()).collect()
    }

    /// `creel run` with the scene's options, ready for the command.
    pub fn command(&self) -> Command {
        let mut command = self.creel();
        command.args(["run", "--name", &self.name, "-T"]);
        command.arg("--workspace").arg(self.workspace());
        command.arg("--record").arg(self.dir.path().join("record"));
        command.args(&self.arguments).arg("--");
        command
    }

    /// The binary with the scene's own state directory.
    pub fn creel(&self) -> Command {
        let mut command = Command::new(binary());
        command.env("XDG_STATE_HOME", self.dir.path().join("state")).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &[&str]) -> Shown {
        Shown::from(self.command().args(command).output().unwrap())
    }

    /// Runs a shell script to its end.
    pub fn sh(&self, script: &str) -> Shown {
        self.run(&["/bin/sh", "-c", script])
    }

    /// Runs a Python script to its end.
    pub fn python(&self, script: &str) -> Shown {
        self.run(&["/usr/bin/env", "python3", "-c", script])
    }

    /// Starts a command and goes on once the sandbox answers to its name.
    pub fn start(&self, command: &[&str]) -> Running {
        let child =
            self.command().args(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let running = Running { child: Some(child) };
        wait_until("the sandbox to answer `creel ps`", || {
            let shown = Shown::from(self.creel().args(["ps"]).output().unwrap());
            shown.stdout.lines().any(|line| line.split_whitespace().next() == Some(&self.name))
        });
        running
    }

    /// Another verb of the binary, to its end.
    pub fn verb(&self, arguments: &[&str]) -> Shown {
        Shown::from(self.creel().args(arguments).output().unwrap())
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// What a command showed.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Shown {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Shown {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A sandbox that runs in the background; ended when dropped.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    /// The warden's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits for its own end.
    pub fn finish(mut self) -> Shown {
        Shown::from(self.child.take().unwrap().wait_with_output().unwrap())
    }

    /// Its standard output, to be read while it runs.
    pub fn stdout(&mut self) -> impl Read + use<> {
        self.child.as_mut().unwrap().stdout.take().unwrap()
    }

    /// Kills the warden without any notice.
    pub fn kill(&mut self) {
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

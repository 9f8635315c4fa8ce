//! Roots other than the host's: what they hold, and what they must not reach.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, Upstream};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A scene with a static busybox as a root of its own.
struct Rooted {
    scene: Scene,
    root: PathBuf,
}

impl Rooted {
    fn new() -> Self {
        let scene = Scene::new();
        let root = scene.outside().join("root");
        for dir in ["bin", "app", "etc"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("busybox-static is installed: run ./x e2e"), root.join("bin/busybox"))
            .unwrap();
        for name in ["sh", "ls", "cat", "id", "pwd", "touch", "env", "wget"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::write(root.join("app/data"), "of the root\n").unwrap();
        Self { scene, root }
    }

    /// The root as a tar file.
    fn tar(&self) -> PathBuf {
        let file = self.scene.outside().join("root.tar.gz");
        let made = Command::new("tar").arg("-czf").arg(&file).arg("-C").arg(&self.root).arg(".").status();
        assert!(made.unwrap().success());
        file
    }

    fn creel(&self) -> Command {
        let mut command = self.scene.creel();
        command.env("XDG_DATA_HOME", self.scene.outside().join("data"));
        command
    }

    fn run(&self, root: &str, extra: &[&str], command: &[&str]) -> Shown {
        let mut creel = self.creel();
        creel.args(["run", "-T", "--root", root, "--workspace"]).arg(self.scene.workspace());
        let record = self.scene.outside().join("record");
        // A record is not written over.
        let _ = fs::remove_dir_all(&record);
        creel.arg("--record").arg(record).args(extra).arg("--").args(command);
        Shown::from(creel.output().unwrap())
    }

    fn sh(&self, root: &str, script: &str) -> Shown {
        self.run(root, &[], &["sh", "-c", script])
    }

    /// Each kind of root, as its text.
    fn kinds(&self) -> [String; 2] {
        [self.root.display().to_string(), format!("tar:{}", self.tar().display())]
    }
}

#[test]
fn a_command_sees_the_root_and_the_workspace_and_nothing_of_the_host() {
    let rooted = Rooted::new();
    fs::write(rooted.scene.workspace().join("mine"), "work\n").unwrap();
    for root in rooted.kinds() {
        let shown =
            rooted.sh(&root, "cat mine /app/data; echo new > made; ls /usr /lib 2>&1 | wc -l; ls /..").ok();
        assert!(shown.stdout.starts_with("work\nof the root\n"), "{root}: {}", shown.stdout);
        assert!(!shown.stdout.contains("root.tar"), "{}", shown.stdout);
        assert_eq!(fs::read_to_string(rooted.scene.workspace().join("made")).unwrap(), "new\n");
        // A host with its own root somewhere would show its file system here.
        let mounts = rooted.sh(&root, "cat /proc/self/mountinfo").ok().stdout;
        let roots: Vec<_> = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/")).collect();
        assert_eq!(roots.len(), 1, "{mounts}");
        assert!(roots[0].contains(" overlay "), "{mounts}");
    }
}

#[test]
fn a_root_is_not_written() {
    let rooted = Rooted::new();
    for root in rooted.kinds() {
        for path in ["/app/data", "/bin/new", "/etc/new", "/new", "/var/new", "/etc/resolv.conf"] {
            let shown = rooted.sh(&root, &format!("echo x > {path}"));
            assert!(![0, 125].contains(&shown.code), "{root} {path}: {}", shown.stderr);
        }
        rooted.sh(&root, "echo x > /tmp/f && echo x > /var/tmp/f && echo x > ~/f").ok();
    }
    assert_eq!(fs::read_to_string(rooted.root.join("app/data")).unwrap(), "of the root\n");
}

#[test]
fn a_link_in_a_root_leads_to_nothing_of_the_hosts() {
    let rooted = Rooted::new();
    let victim = rooted.scene.outside().join("victim");
    fs::create_dir_all(victim.join("ssl/certs")).unwrap();
    fs::write(victim.join("ssl/certs/ca-certificates.crt"), "SECRET OF THE HOST\n").unwrap();
    fs::write(victim.join("resolv.conf"), "untouched\n").unwrap();
    fs::remove_dir_all(rooted.root.join("etc")).unwrap();
    for name in ["etc", "var", "run", "tmp", "proc", "sys", "dev", "home"] {
        symlink(&victim, rooted.root.join(name)).unwrap();
    }
    for root in rooted.kinds() {
        // What the links lead to is not there; the sandbox has its own.
        let shown = rooted.sh(&root, "cat /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; ls /var /run");
        assert!(shown.stdout.contains("nameserver 127.0.0.1"), "{root}: {} {}", shown.stdout, shown.stderr);
        assert!(!shown.stdout.contains("SECRET"), "{root}: {}", shown.stdout);
        let mut names: Vec<_> = fs::read_dir(&victim).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["resolv.conf", "ssl"], "{root}");
        assert_eq!(fs::read_to_string(victim.join("resolv.conf")).unwrap(), "untouched\n");
    }
}

#[test]
fn a_sandbox_cannot_write_the_store() {
    let rooted = Rooted::new();
    let data = rooted.scene.outside().join("data");
    fs::create_dir_all(&data).unwrap();
    let policy = rooted.scene.write_policy(
        "store.yaml",
        &format!("filesystem:\n  workspace: {{ path: ., access: write }}\n  write: [{}]", data.display()),
    );
    let root = rooted.root.display().to_string();
    rooted.run(&format!("tar:{}", rooted.tar().display()), &[], &["sh", "-c", "true"]).ok();
    let shown = rooted.run(&root, &["--policy", policy.to_str().unwrap()], &["sh", "-c", "true"]);
    assert_eq!(shown.code, 125);
    assert!(shown.stderr.contains("images"), "{}", shown.stderr);
}

#[test]
fn images_are_listed_and_removed() {
    let rooted = Rooted::new();
    let name = format!("tar:{}", rooted.tar().display());
    let verb = |args: &[&str]| Shown::from(rooted.creel().args(args).output().unwrap());
    let id = verb(&["image", "pull", &name]).ok().stdout;
    assert!(id.starts_with("sha256:"), "{id}");
    assert!(verb(&["image", "ls"]).ok().stdout.contains(&name));
    let json: serde_json::Value =
        serde_json::from_str(&verb(&["image", "ls", "--json"]).ok().stdout).unwrap();
    assert_eq!(json[0]["id"].as_str(), Some(id.trim()));
    assert_eq!(json[0]["layers"], 1);
    verb(&["image", "rm", &name]).ok();
    assert_eq!(verb(&["image", "ls", "--json"]).ok().stdout.trim(), "[]");
    assert_eq!(verb(&["image", "rm", &name]).code, 125);
    verb(&["image", "prune"]).ok();
}

#[test]
fn a_root_without_a_command_needs_one() {
    let rooted = Rooted::new();
    let mut creel = rooted.creel();
    creel.args(["run", "-T", "--root"]).arg(&rooted.root).arg("-w").arg(rooted.scene.workspace());
    let shown = Shown::from(creel.output().unwrap());
    assert_eq!(shown.code, 125);
    assert!(shown.stderr.contains("no command"), "{}", shown.stderr);
    let missing = rooted.run("oci:/nonexistent/image", &[], &["true"]);
    assert_eq!(missing.code, 125);
    assert!(missing.stderr.contains("/nonexistent/image"), "{}", missing.stderr);
}

#[test]
fn the_record_says_what_a_sandbox_stood_on() {
    let rooted = Rooted::new();
    let name = format!("tar:{}", rooted.tar().display());
    rooted.sh(&name, "true").ok();
    let record = fs::read_to_string(rooted.scene.record()).unwrap();
    let line = record.lines().find(|line| line.contains("root tar:")).unwrap_or_default();
    assert!(line.contains("sha256:"), "{line}");
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_none_is_there_unasked() {
    let rooted = Rooted::new();
    let root = rooted.root.display().to_string();
    let policy = |text: &str| {
        let path = rooted.scene.write_policy("gpu.yaml", &format!("devices: {{ gpu: {text} }}"));
        path.display().to_string()
    };
    // No machine has a GPU of this number.
    let shown = rooted.run(&root, &["--policy", &policy("[4095]")], &["true"]);
    assert_eq!(shown.code, 125, "{}", shown.stderr);
    assert!(shown.stderr.contains("GPU"), "{}", shown.stderr);
    for text in ["none", "[0, 0]", "[]", "some", "[-1]", "3"] {
        let checked = Shown::from(rooted.creel().args(["policy", "check", &policy(text)]).output().unwrap());
        assert_eq!(checked.code == 0, text == "none", "{text}: {}{}", checked.stdout, checked.stderr);
    }
    let shown = rooted.run(&root, &["--policy", &policy("none")], &["ls", "/dev"]).ok();
    let names: Vec<_> = shown.stdout.split_whitespace().collect();
    assert_eq!(
        names,
        [
            "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero"
        ]
    );
}

#[test]
fn a_rule_knows_the_program_of_a_root() {
    let rooted = Rooted::new();
    let upstream = Upstream::start(&["api.test"]);
    let policy = rooted.scene.write_policy(
        "from.yaml",
        "network:\n  rules:\n    - { name: only, to: [\"api.test:80\"], from: [/bin/busybox], http: { allow: [\"GET /**\"] } }",
    );
    let resolve = format!("api.test={}", upstream.plain);
    let extra = ["--policy", policy.to_str().unwrap(), "--resolve", &resolve];
    let script =
        "wget -q -O - http://api.test/one; cp /bin/busybox /tmp/wget; /tmp/wget -q -O - http://api.test/two";
    for root in rooted.kinds() {
        let shown = rooted.run(&root, &extra, &["sh", "-c", script]);
        assert!(shown.stdout.contains("GET /one"), "{root}: {shown:?}");
    }
    assert_eq!(upstream.lines(), ["GET /one", "GET /one"]);
}

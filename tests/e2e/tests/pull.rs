//! Images from a registry.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Manner, Registry, Scene, Shown, digest, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Pulling {
    scene: Scene,
    registry: Registry,
    ca: PathBuf,
}

impl Pulling {
    fn from(manner: Manner) -> Self {
        let scene = Scene::new();
        let registry = Registry::start(manner, &layers(scene.outside()));
        let ca = registry.ca_file(scene.outside());
        Self { scene, registry, ca }
    }

    fn creel(&self) -> Command {
        let mut command = self.scene.creel();
        let none = self.scene.outside().join("auth.json");
        command.env("XDG_DATA_HOME", self.scene.outside().join("data")).env("REGISTRY_AUTH_FILE", none);
        command
    }

    /// What `docker login` would have left: base64 of `user:password`.
    fn log_in(&self, pair: &str) {
        let host = format!("localhost:{}", self.registry.addr.port());
        let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#);
        fs::write(self.scene.outside().join("auth.json"), text).unwrap();
    }

    fn pull(&self) -> Shown {
        let mut command = self.creel();
        command.args(["image", "pull", &self.registry.image(), "--trust"]).arg(&self.ca);
        Shown::from(command.output().unwrap())
    }

    fn count(&self, part: &str) -> usize {
        fs::read_dir(self.scene.outside().join("data/creel/images").join(part)).unwrap().count()
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let shown = self.pull();
        assert_eq!(shown.code, 125, "{}", shown.stdout);
        assert!(shown.stderr.contains(why), "{}", shown.stderr);
        assert_eq!((self.count("images"), self.count("refs"), self.count("tmp")), (0, 0, 0));
    }
}

/// A busybox, and over it a layer that hides a file of it; as they are sent, and the digests of what they are.
fn layers(dir: &Path) -> [(Vec<u8>, String); 2] {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].iter().find(|path| Path::new(path).exists());
    let low = dir.join("low");
    fs::create_dir_all(low.join("bin")).unwrap();
    fs::copy(busybox.expect("busybox-static is installed: run ./x e2e"), low.join("bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat", "echo"] {
        std::os::unix::fs::symlink("busybox", low.join("bin").join(name)).unwrap();
    }
    fs::write(low.join("hidden"), "x").unwrap();
    let high = dir.join("high");
    fs::create_dir_all(&high).unwrap();
    fs::write(high.join(".wh.hidden"), "").unwrap();
    fs::write(high.join("shown"), "of the upper layer\n").unwrap();
    [&low, &high].map(|dir| {
        let tar = |flags: &str| {
            let made = Command::new("tar")
                .args([flags, "-", "--sort=name", "-C"])
                .arg(dir)
                .arg(".")
                .output()
                .unwrap();
            assert!(made.status.success());
            made.stdout
        };
        (tar("-czf"), digest(&tar("-cf")))
    })
}

#[test]
fn an_image_is_pulled_once_and_run() {
    let pulling = Pulling::from(Manner::Open);
    let id = pulling.pull().ok().stdout;
    assert!(id.starts_with("sha256:"), "{id}");
    let before = pulling.registry.seen().len();
    let run = |extra: &[&str]| {
        let mut command = pulling.creel();
        let name = format!("docker://{}", pulling.registry.image());
        command.args(["run", "-T", "--root", &name, "-w"]).arg(pulling.scene.workspace()).args(extra);
        Shown::from(command.output().unwrap()).ok().stdout
    };
    assert_eq!(run(&[]), "from the image as y\n");
    assert_eq!(run(&["--", "cat", "/shown"]), "of the upper layer\n");
    assert_eq!(run(&["--", "sh", "-c", "ls -d /hidden 2>/dev/null; echo end"]), "end\n");
    // What is here is not asked for again.
    assert_eq!(pulling.registry.seen().len(), before);
    // Pulling again asks what the name stands for now, and brings no layer.
    assert_eq!(pulling.pull().ok().stdout, id);
    let again: Vec<_> = pulling.registry.seen()[before..].to_vec();
    assert!(
        again.iter().all(|(port, _, _)| *port == pulling.registry.addr.port()) || again.len() < 8,
        "{again:?}"
    );
}

#[test]
fn a_run_pulls_what_is_not_here() {
    let pulling = Pulling::from(Manner::Open);
    let mut command = pulling.creel();
    let name = format!("docker://{}", pulling.registry.image());
    command.args(["run", "-T", "--root", &name, "--trust"]).arg(&pulling.ca);
    command.arg("-w").arg(pulling.scene.workspace());
    assert_eq!(Shown::from(command.output().unwrap()).ok().stdout, "from the image as y\n");
}

#[test]
fn a_login_goes_to_the_server_that_asks_and_to_no_other() {
    for (manner, login) in [(Manner::Closed, "Bearer t0ken"), (Manner::Basic, "Basic YWRhOnMzY3JldA==")] {
        let pulling = Pulling::from(manner);
        pulling.refused("");
        pulling.log_in("d3Jvbmc6d3Jvbmc=");
        pulling.refused("");
        pulling.log_in("YWRhOnMzY3JldA==");
        pulling.pull().ok();
        let seen = pulling.registry.seen();
        let (here, there) = (pulling.registry.addr.port(), pulling.registry.elsewhere.port());
        assert!(seen.iter().any(|(port, _, with)| *port == here && with.as_deref() == Some(login)));
        let redirected: Vec<_> = seen.iter().filter(|(port, _, _)| *port == there).collect();
        assert!(!redirected.is_empty());
        assert!(redirected.iter().all(|(_, _, with)| with.is_none()), "{redirected:?}");
        let tokens = seen.iter().filter(|(_, path, _)| path.starts_with("/token"));
        for (_, path, _) in tokens {
            assert_eq!(path, "/token?scope=repository:test/image:pull&service=test");
        }
    }
}

#[test]
fn a_registry_that_lies_is_not_believed() {
    Pulling::from(Manner::Altering).refused("has the digest");
    Pulling::from(Manner::Longer).refused("sends more than");
    Pulling::from(Manner::Plain).refused("not https");
}

#[test]
fn a_registry_that_nobody_vouches_for_is_not_asked() {
    let pulling = Pulling::from(Manner::Open);
    let mut command = pulling.creel();
    command.args(["image", "pull", &pulling.registry.image()]);
    let shown = Shown::from(command.output().unwrap());
    assert_eq!(shown.code, 125);
    assert!(shown.stderr.contains("certificate"), "{}", shown.stderr);
    assert!(pulling.registry.seen().is_empty());
}

#[test]
fn what_the_registry_says_to_a_refusal_is_shown() {
    let pulling = Pulling::from(Manner::Open);
    let mut command = pulling.creel();
    let other = pulling.registry.image().replace("v1", "v2");
    command.args(["image", "pull", &other, "--trust"]).arg(&pulling.ca);
    let shown = Shown::from(command.output().unwrap());
    assert!(
        shown.stderr.contains("404") && shown.stderr.contains("no, says the registry"),
        "{}",
        shown.stderr
    );
}

#[test]
fn an_interrupted_pull_leaves_nothing() {
    for signal in ["-INT", "-KILL"] {
        let pulling = Pulling::from(Manner::Stalling);
        let mut command = pulling.creel();
        command.args(["image", "pull", &pulling.registry.image(), "--trust"]).arg(&pulling.ca);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let there = pulling.registry.elsewhere.port();
        // The configuration, then the first layer, which does not come.
        wait_until("the layer to be asked for", || {
            pulling.registry.seen().iter().filter(|(port, _, _)| *port == there).count() >= 2
        });
        let role = role_of(child.id());
        assert!(Command::new("kill").args([signal, &role]).status().unwrap().success());
        assert_ne!(child.wait().unwrap().code(), Some(0));
        if signal == "-INT" {
            assert_eq!(pulling.count("tmp"), 0);
        }
        assert_eq!((pulling.count("images"), pulling.count("refs")), (0, 0));
        // Whatever a kill left is gone with the next.
        let prune = Shown::from(pulling.creel().args(["image", "prune"]).output().unwrap());
        prune.ok();
        assert_eq!(pulling.count("tmp"), 0);
    }
}

/// The process that brings the image.
fn role_of(parent: u32) -> String {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(path).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

//! `creel run` as a person meets it: exit codes, what is seen, what is left behind.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, wait_until};
use std::fs;

#[test]
fn the_exit_code_is_the_commands() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        assert_eq!(Scene::new().sh(script).code, code, "{script}");
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let scene = Scene::new();
    assert_eq!(Scene::new().run(&["no-such-program"]).code, 127);
    fs::write(scene.workspace().join("data"), "not a program").unwrap();
    assert_eq!(scene.run(&["./data"]).code, 126);
}

#[test]
fn a_policy_that_cannot_be_read_is_creels_own_failure() {
    let scene = Scene::new().policy("netwrok: {}");
    let shown = scene.sh("echo ran");
    assert_eq!((shown.code, shown.stdout.as_str()), (125, ""));
    assert!(shown.stderr.contains("network"), "{}", shown.stderr);
}

#[test]
fn standard_streams_pass_through_unchanged() {
    let scene = Scene::new();
    let shown = scene.sh("printf 'out\\0put'; printf err >&2").ok();
    assert_eq!((shown.stdout.as_str(), shown.stderr.as_str()), ("out\0put", "err"));
}

#[test]
fn the_workspace_is_written_through_and_home_is_not_there() {
    let scene = Scene::new();
    fs::write(scene.outside().join("secret"), "s3cret").unwrap();
    let script = format!("pwd; echo hi > made; cat {}/secret; ls -A ~ | head", scene.outside().display());
    let shown = scene.sh(&script);
    assert_eq!(shown.stdout.lines().next(), Some(scene.workspace().to_str().unwrap()));
    assert!(!shown.stdout.contains("s3cret"), "{}", shown.stdout);
    assert_eq!(fs::read_to_string(scene.workspace().join("made")).unwrap(), "hi\n");
}

#[test]
fn files_made_inside_belong_to_the_one_who_ran_it() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    scene.sh("touch made && test \"$(stat -c %u made)\" = \"$(id -u)\"").ok();
    let uid = fs::metadata(scene.workspace().join("made")).unwrap().uid();
    assert_eq!(uid, rustix::process::getuid().as_raw());
}

#[test]
fn the_operators_secrets_are_not_in_the_environment() {
    let scene = Scene::new();
    let mut command = scene.command();
    command.env("OPENAI_API_KEY", "sk-secret").args(["/usr/bin/env"]);
    let shown = Shown::from(command.output().unwrap()).ok();
    assert!(!shown.stdout.contains("sk-secret"), "{}", shown.stdout);
    let mut command = scene.command();
    let shown = Shown::from(
        command
            .args(["/bin/sh", "-c", "cat /proc/*/environ /proc/*/cmdline"])
            .env("SECRET_X", "sk-secret")
            .output()
            .unwrap(),
    );
    assert!(!shown.stdout.contains("sk-secret"));
}

#[test]
fn a_variable_is_passed_on_when_it_is_named() {
    let scene = Scene::new();
    let mut command = scene.creel();
    command
        .env("WANTED", "1")
        .args(["run", "-T", "-e", "WANTED", "-e", "SET=2", "-w"])
        .arg(scene.workspace());
    let shown = Shown::from(command.args(["--", "/bin/sh", "-c", "echo $WANTED$SET"]).output().unwrap()).ok();
    assert_eq!(shown.stdout, "12\n");
}

#[test]
fn nothing_runs_on_after_the_command_ended() {
    let scene = Scene::new();
    let marker = format!("{}-orphan", scene.name);
    scene
        .sh(&format!(
            "(setsid sh -c 'exec -a {marker} sleep 1000' &) ; sh -c 'setsid sleep 1000.{0} &'; true",
            std::process::id()
        ))
        .ok();
    let sleep = format!("1000.{}", std::process::id());
    wait_until("the orphan to be gone", || {
        !processes().iter().any(|line| line.contains(&sleep) || line.contains(&marker))
    });
}

#[test]
fn kill_9_of_the_warden_ends_everything() {
    let scene = Scene::new();
    let mark = format!("2000.{}", std::process::id());
    let mut running = scene.start(&["/bin/sh", "-c", &format!("setsid sleep {mark} & sleep {mark}")]);
    wait_until("the sleepers to run", || processes().iter().filter(|l| l.contains(&mark)).count() >= 2);
    running.kill();
    wait_until("the sleepers to be gone", || !processes().iter().any(|line| line.contains(&mark)));
    let listed = scene.verb(&["ps"]).ok().stdout;
    assert!(!listed.contains(&scene.name), "{listed}");
}

#[test]
fn kill_9_of_the_warden_leaves_no_control_group() {
    let scene = Scene::new().policy("process: { limits: { processes: 64, memory: 1GiB, cpus: 1 } }");
    let before = groups();
    let mut running = scene.start(&["sleep", "1000"]);
    running.kill();
    wait_until("the control groups to be gone", || groups().difference(&before).count() == 0);
}

/// Every control group of ours, in all hierarchies. Other tests make and remove theirs meanwhile.
fn groups() -> std::collections::BTreeSet<std::path::PathBuf> {
    let mut found = std::collections::BTreeSet::new();
    let mut next = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                if entry.file_name().to_string_lossy().starts_with("creel-") {
                    found.insert(path.clone());
                }
                next.push(path);
            }
        }
    }
    found
}

#[test]
fn the_tour_goes_as_planned() {
    let scene = Scene::new();
    let shown = scene.verb(&["demo"]).ok().stdout;
    for line in [
        "ok       write into the workspace",
        "refused  read a file beside the workspace",
        "refused  plant a git hook",
        "refused  DELETE the same",
        "ok       ask a model at https://inference.local",
        "refused  find the key",
        "refused  GET  https://docs.demo.test/guide, which no rule names",
        "ok       GET  https://docs.demo.test/guide again",
        "the chain holds",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

#[test]
fn kill_9_of_the_sandboxs_init_ends_the_run_with_137() {
    let scene = Scene::new();
    let running = scene.start(&["sleep", "1000"]);
    let shown = scene.verb(&["ps", "--json"]).ok();
    let all: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let own = all.as_array().unwrap().iter().find(|s| s["name"] == scene.name.as_str()).unwrap();
    let init = i32::try_from(own["init"].as_u64().unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(init).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(running.finish().code, 137);
}

/// Init is inside and began as a clone of the warden, so it was cloned before there was any key.
#[test]
fn init_has_no_copy_of_the_wardens_keys() {
    if !rustix::process::getuid().is_root() {
        use std::io::Write;
        std::io::stderr().write_all(b"left out: init's memory, which only root may read\n").unwrap();
        return;
    }
    let scene = Scene::new();
    let running = scene.start(&["sleep", "1000"]);
    let shown = scene.verb(&["ps", "--json"]).ok();
    let all: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let own = all.as_array().unwrap().iter().find(|s| s["name"] == scene.name.as_str()).unwrap();
    assert!(holds_a_key(running.pid()), "the search finds no key where there is one");
    assert!(!holds_a_key(u32::try_from(own["init"].as_u64().unwrap()).unwrap()));
}

/// Whether the process has a private key of P-256 (PKCS #8, RFC 5208) in memory that it has written.
fn holds_a_key(pid: u32) -> bool {
    const BEGIN: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
    creel_e2e::holds(pid, BEGIN)
}

#[test]
fn stop_ends_it_and_exec_runs_beside_it() {
    let scene = Scene::new();
    let running = scene.start(&["sleep", "1000"]);
    let shown =
        scene.verb(&["exec", "-T", &scene.name, "--", "/bin/sh", "-c", "echo inside $CREEL_SANDBOX; exit 3"]);
    assert_eq!(
        (shown.code, shown.stdout.as_str()),
        (3, format!("inside {}\n", scene.name).as_str()),
        "{}",
        shown.stderr
    );
    scene.verb(&["stop", &scene.name]).ok();
    assert_ne!(running.finish().code, 0);
}

#[test]
fn two_sandboxes_of_one_name_are_refused() {
    let scene = Scene::new();
    let _running = scene.start(&["sleep", "1000"]);
    let shown = scene
        .creel()
        .args(["run", "-T", "--name", &scene.name, "-w"])
        .arg(scene.workspace())
        .args(["--", "true"])
        .output()
        .unwrap();
    let shown = Shown::from(shown);
    assert_eq!(shown.code, 125);
    assert!(shown.stderr.contains("running already"), "{}", shown.stderr);
}

#[test]
fn an_interactive_program_gets_a_terminal() {
    let scene = Scene::new();
    let mut command = scene.creel();
    command.args(["run", "-t", "-w"]).arg(scene.workspace());
    let shown = Shown::from(command.args(["--", "/bin/sh", "-c", "tty; stty size"]).output().unwrap()).ok();
    assert!(shown.stdout.contains("/dev/pts/"), "{}", shown.stdout);
    assert!(shown.stdout.contains("24 80"), "{}", shown.stdout);
}

#[test]
fn the_home_directory_and_the_root_are_no_workspaces() {
    let scene = Scene::new();
    let home = std::env::var("HOME").unwrap();
    for dir in [home.as_str(), "/"] {
        let shown = Shown::from(scene.creel().args(["run", "-T", "-w", dir, "--", "true"]).output().unwrap());
        assert_eq!(shown.code, 125, "{dir}");
        assert!(shown.stderr.contains("workspace"), "{}", shown.stderr);
    }
}

fn processes() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(line) = fs::read(entry.path().join("cmdline")) {
            lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    lines
}

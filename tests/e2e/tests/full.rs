//! Disk, descriptors, processes and memory that run out: a start says so or runs whole, what runs goes on or is refused
//! with a reason, and nothing is lost or left.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))] // the tracer sees what is left
#![allow(clippy::unwrap_used)]

use creel_e2e::drill::{Brief, leaving_nothing};
use creel_e2e::place::Place;
use creel_e2e::stepper::Walk;
use creel_e2e::{Scene, Shown, Upstream, wait_until};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A shell script whose words `$0` and `$@` are this command.
fn wrapped(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell
}

/// A shell script in a mount namespace of its own, in which it may mount.
fn apart(script: &str, command: &Command) -> Command {
    let root = rustix::process::getuid().is_root();
    let spaces: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let inner = wrapped(script, command);
    let mut outer = Command::new("unshare");
    outer.args(spaces).args(["--propagation", "private"]).arg(inner.get_program()).args(inner.get_args());
    outer.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    outer
}

fn mounted(size: &str, at: &Path) -> String {
    format!("mkdir -p {0} && mount -t tmpfs -o size={size} none {0} || exit 99;", at.display())
}

/// Starts with less and less of something: each start runs whole, or says why not and leaves nothing.
fn starve(limits: impl Iterator<Item = String>) {
    let place = Place::new();
    let (mut ran, mut refused) = (0, 0);
    leaving_nothing(|| {
        for limit in limits {
            let command = wrapped(
                &format!("{limit} || exit 99; exec \"$0\" \"$@\""),
                &place.command(&place.watchman()),
            );
            let walked = Walk::start(command, None, true, PATIENCE).finish();
            assert_ne!(walked.code, 99, "{limit} cannot be set: {:?}", Brief(&walked));
            place.judge(&walked).unwrap_or_else(|why| panic!("{limit}: {why}"));
            if walked.stdout == "done\n" && walked.code == 0 {
                ran += 1;
                continue;
            }
            refused += 1;
            // Whom a signal ended, as before `main` when there is no memory, the shell speaks for.
            let said = walked.code == -1 || walked.code != 0 && !walked.stderr.is_empty();
            assert!(said, "{limit}: {:?}", Brief(&walked));
        }
    });
    assert!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused: the limits are not where it matters");
}

#[test]
fn without_descriptors_a_start_says_so_and_leaves_nothing() {
    starve((4..48).step_by(2).chain([400]).map(|n| format!("ulimit -n {n}")));
}

#[test]
fn without_memory_a_start_says_so_and_leaves_nothing() {
    starve((8..72).step_by(4).chain([8192]).map(|n| format!("ulimit -v {}", n * 1024)));
}

#[test]
fn on_a_full_disk_nothing_starts() {
    let scene = Scene::new();
    let record = scene.record().parent().unwrap().to_owned();
    let mut command = scene.command();
    command.args(["echo", "ran"]);
    let script = format!(
        "{} cat /dev/zero >{}/filler 2>&-; exec \"$0\" \"$@\"",
        mounted("64k", &record),
        record.display()
    );
    let shown = Shown::from(apart(&script, &command).output().unwrap());
    assert_eq!((shown.code, shown.stdout.as_str()), (125, ""), "{shown:?}");
    assert!(shown.stderr.contains("record cannot be written"), "{shown:?}");
}

#[test]
fn when_the_disk_fills_nothing_more_is_admitted_it_is_said_and_the_record_holds_all_that_was() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /**\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    let (record, kept) = (scene.record().parent().unwrap().to_owned(), scene.outside().join("kept"));
    let mut command = scene.command();
    let ask = "for i in $(seq 120); do curl -sS -m 5 -o /dev/null -w '%{http_code}\\n' https://api.test/$i || echo refused; done";
    command.args(["/bin/sh", "-c", ask]);
    let script = format!(
        "{} \"$0\" \"$@\"; code=$?; cp {}/record.jsonl {}; exit $code",
        mounted("100k", &record),
        record.display(),
        kept.display()
    );
    let shown = Shown::from(apart(&script, &command).output().unwrap());
    let lines: Vec<&str> = shown.stdout.lines().collect();
    let first =
        lines.iter().position(|line| *line != "200").unwrap_or_else(|| panic!("never full: {shown:?}"));
    assert!(first > 3, "{shown:?}");
    assert!(lines[first..].iter().all(|line| *line != "200"), "{shown:?}");
    assert!(shown.stderr.contains("the record could not be finished"), "{shown:?}");
    creel_audit::verify(&kept).unwrap();
    let text = fs::read_to_string(&kept).unwrap();
    for line in upstream.lines() {
        let path = line.split(' ').nth(1).unwrap().to_owned();
        assert!(text.contains(&format!("\"{path}\"")), "{path} went out and is not in the record");
    }
}

#[test]
fn a_full_workspace_is_the_agents_affair_alone() {
    let scene = Scene::new().policy("filesystem: { workspace: { path: ., access: write } }");
    let workspace = scene.workspace();
    let mut command = scene.command();
    command.args([
        "/bin/sh",
        "-c",
        "head -c 1M /dev/zero >big || echo full; rm big; echo small >small && cat small; exit 3",
    ]);
    let script = format!("{} \"$0\" \"$@\"", mounted("256k", &workspace));
    let shown = Shown::from(apart(&script, &command).output().unwrap());
    assert_eq!((shown.code, shown.stdout.as_str()), (3, "full\nsmall\n"), "{shown:?}");
    assert!(creel_audit::verify(&scene.record()).unwrap().is_closed());
}

#[test]
fn an_apply_to_a_full_disk_changes_nothing_and_lands_when_there_is_room() {
    let scene = Scene::new().policy("filesystem: { workspace: { path: ., access: review } }");
    let workspace = scene.workspace();
    let mut command = scene.command();
    command.args(["/bin/sh", "-c", "echo 2 >a; head -c 600k /dev/zero >big; mkdir d; echo 3 >d/f"]);
    let script = format!(
        "{mount} cd {ws}; echo 1 >a; head -c 600k /dev/zero >filler; \"$0\" \"$@\" || exit 98; \
         echo changed: $(\"$0\" changes -l {name}); \
         \"$0\" apply {name} >&2 && echo applied || echo refused; ls -A {ws}; cat a; \
         rm filler; \"$0\" apply {name} >&2 && echo applied; ls -A {ws}; cat a d/f",
        mount = mounted("1m", &workspace),
        ws = workspace.display(),
        name = scene.name,
    );
    let shown = Shown::from(apart(&script, &command).output().unwrap());
    let (full, room) = ("refused\na\nfiller\n1\n", "applied\na\nbig\nd\n2\n3\n");
    assert!(shown.stdout.ends_with(&format!("{full}{room}")), "{shown:?}");
    assert!(shown.stderr.contains("No space left") || shown.stderr.contains("ENOSPC"), "{shown:?}");
}

/// What stands in for a machine on which nothing more can be opened: the soft limit of a process that runs.
fn descriptors(pid: u32, soft: &str) {
    let status = Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={soft}")]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_warden_and_an_exit_without_descriptors_refuse_and_are_well_again_afterwards() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let data = scene.outside().join("data");
    fs::create_dir(&data).unwrap();
    let rules = "network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /**\"] } }";
    let more = scene
        .write_policy("more.yaml", &format!("{rules}\nfilesystem: {{ read: [\"{}\"] }}", data.display()));
    let scene =
        scene.policy(rules).with("--trust", ca).with("--resolve", format!("api.test={}", upstream.tls));
    let running = scene.start(&["sleep", "1000"]);
    let patient = |arguments: &[&str]| {
        let mut command = Command::new("timeout");
        command.arg("20").arg(creel_e2e::binary()).args(arguments);
        Shown::from(command.env("XDG_STATE_HOME", scene.outside().join("state")).output().unwrap())
    };
    let get = || {
        let ask = "curl -sS -m 5 -o /dev/null -w '%{http_code}' https://api.test/x";
        patient(&["exec", "-T", &scene.name, "--", "/bin/sh", "-c", ask])
    };
    assert_eq!(get().ok().stdout, "200");
    let exit = children(running.pid()).into_iter().find(|pid| read(*pid, "comm") == "creel-exit\n").unwrap();
    for pid in [running.pid(), exit] {
        // The lowest number that is free: nothing more can be opened.
        let open = |number: &usize| fs::symlink_metadata(format!("/proc/{pid}/fd/{number}")).is_ok();
        descriptors(pid, &format!("{}:", (0..).find(|number| !open(number)).unwrap()));
        let shown = get();
        assert!(shown.stdout != "200" && ![0, 124].contains(&shown.code), "{pid}: {shown:?}");
        if pid == running.pid() {
            let set = patient(&["policy", "set", &scene.name, more.to_str().unwrap()]);
            assert!(set.stderr.contains("descriptors"), "{set:?}");
        }
        let hard = read(pid, "limits");
        let hard = hard.lines().find(|line| line.starts_with("Max open files")).unwrap();
        descriptors(pid, &format!("{}:", hard.split_whitespace().nth(4).unwrap()));
        wait_until("it to be well again", || get().stdout == "200");
    }
    scene.verb(&["policy", "set", &scene.name, more.to_str().unwrap()]).ok();
    scene.verb(&["stop", "--now", &scene.name]).ok();
    running.finish();
    assert!(creel_audit::verify(&scene.record()).unwrap().is_closed());
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

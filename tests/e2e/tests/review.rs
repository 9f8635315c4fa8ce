//! A workspace under review: nothing lands until a person applies it, and then all of it or nothing.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, wait_until};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const REVIEW: &str = "filesystem: { workspace: { path: ., access: review } }";

/// Files in the workspace, older than anything that a sandbox does.
fn with(files: &[(&str, &str)]) -> Scene {
    let scene = Scene::new().policy(REVIEW);
    for (path, text) in files {
        put(&scene.workspace().join(path), text);
    }
    scene
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every path beneath with its mode and content, sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![dir.to_owned()];
    while let Some(at) = next.pop() {
        for entry in fs::read_dir(&at).unwrap().flatten() {
            let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
            let what = if meta.is_dir() {
                next.push(path.clone());
                String::new()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let mode = meta.permissions().mode();
            found.push(format!("{} {mode:o} {what}", path.strip_prefix(dir).unwrap().display()));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_lands_until_it_is_applied() {
    let scene = with(&[("a", "one\n"), ("sub/b", "two\n"), ("sub/deep/c", "three\n")]);
    let before = tree(&scene.workspace());
    let script = "echo more >> a; rm sub/b; rm -rf sub/deep; mkdir sub/deep; echo y > sub/deep/y; echo n > n; \
        ln n n2; ln -s a l; chmod 600 a; cat a";
    let shown = scene.sh(script).ok();
    assert_eq!(shown.stdout, "one\nmore\n", "inside it is as if it had landed");
    assert!(shown.stderr.contains(&format!("creel apply {}", scene.name)), "{}", shown.stderr);
    assert_eq!(tree(&scene.workspace()), before);
    let shown = scene.verb(&["changes", &scene.name]).ok().stdout;
    for line in
        ["M a  mode 0644 -> 0600", "+more", "D sub/b", "D sub/deep/c", "A sub/deep/y", "A l", "  -> a"]
    {
        assert!(shown.lines().any(|l| l == line), "{line} is not in\n{shown}");
    }
    scene.verb(&["apply", &scene.name]).ok();
    let ws = scene.workspace();
    assert_eq!(fs::read_to_string(ws.join("a")).unwrap(), "one\nmore\n");
    assert!(!ws.join("sub/b").exists() && !ws.join("sub/deep/c").exists());
    assert_eq!(fs::metadata(ws.join("n")).unwrap().ino(), fs::metadata(ws.join("n2")).unwrap().ino());
    assert_eq!(fs::metadata(ws.join("a")).unwrap().permissions().mode() & 0o7777, 0o600);
    scene.verb(&["rollback", &scene.name, "before-apply"]).ok();
    assert_eq!(tree(&ws), before);
    scene.verb(&["discard", &scene.name]).ok();
    assert_eq!(tree(&ws), before);
    let shown = scene.verb(&["changes", &scene.name]);
    assert_eq!(shown.code, 1, "{}", shown.stderr);
}

#[test]
fn the_list_for_programs_has_digests_times_and_what_to_look_at_twice() {
    let scene = with(&[("a", "1")]);
    scene.sh("echo -n 2 > a; mkdir -p .git/hooks; echo x > .git/hooks/pre-commit; chmod 755 .git/hooks/pre-commit").ok();
    let all: serde_json::Value =
        serde_json::from_str(&scene.verb(&["changes", "--json", &scene.name]).ok().stdout).unwrap();
    let of =
        |path: &str| all["changes"].as_array().unwrap().iter().find(|c| c["path"] == path).unwrap().clone();
    let a = of("a");
    assert_eq!(a["change"], "modified");
    let two = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35";
    assert_eq!(a["after"]["sha256"], two);
    assert!(a["time"].as_str().unwrap().ends_with('Z') && a["program"].is_null(), "{a}");
    let hook = of(".git/hooks/pre-commit");
    assert!(hook["notes"].as_array().unwrap().len() == 2, "{hook}");
}

#[test]
fn a_sandbox_of_the_same_name_goes_on_with_what_waits() {
    let scene = with(&[("a", "1\n")]);
    scene.sh("echo 2 > a; echo b > b").ok();
    let shown = scene
        .creel()
        .args(["run", "-T", "--name", &scene.name, "-w"])
        .arg(scene.workspace())
        .arg("-p")
        .arg(scene.outside().join("policy.yaml"))
        .args(["--", "/bin/sh", "-c", "cat a b; rm b; echo c > c"])
        .output();
    let shown = Shown::from(shown.unwrap()).ok();
    assert_eq!(shown.stdout, "2\nb\n");
    assert!(shown.stderr.contains("goes on with 2 changes"), "{}", shown.stderr);
    assert_eq!(scene.verb(&["changes", "-l", &scene.name]).ok().stdout, "M a\nA c\n");
    let other = scene.outside().join("other");
    fs::create_dir(&other).unwrap();
    let shown = scene
        .creel()
        .args(["run", "-T", "--name", &scene.name, "-w"])
        .arg(&other)
        .arg("-p")
        .arg(scene.outside().join("policy.yaml"))
        .args(["--", "true"])
        .output()
        .unwrap();
    assert!(Shown::from(shown).stderr.contains("wait for review"));
}

#[test]
fn while_it_runs_changes_are_shown_and_kept_but_not_applied() {
    let scene = with(&[("a", "1\n")]);
    let running = scene.start(&["/bin/sh", "-c", "echo 2 > a; touch ready; sleep 1000"]);
    wait_until("the change", || scene.verb(&["changes", "-l", &scene.name]).stdout == "M a\nA ready\n");
    scene.verb(&["snapshot", &scene.name, "early"]).ok();
    for verb in ["apply", "discard", "rollback"] {
        let mut arguments = vec![verb, &scene.name];
        if verb == "rollback" {
            arguments.push("early");
        }
        let shown = scene.verb(&arguments);
        assert_eq!(shown.code, 1, "{verb}: {}", shown.stderr);
        assert!(shown.stderr.contains("creel stop"), "{}", shown.stderr);
    }
    scene.verb(&["exec", "-T", &scene.name, "--", "/bin/sh", "-c", "echo 3 > a"]).ok();
    scene.verb(&["stop", "--now", &scene.name]).ok();
    drop(running);
    scene.verb(&["rollback", &scene.name]).ok();
    assert!(scene.verb(&["changes", &scene.name]).ok().stdout.contains("+2"));
}

#[test]
fn review_and_back_is_no_live_change() {
    let scene = with(&[]);
    let _running = scene.start(&["sleep", "1000"]);
    let write = scene.write_policy("write.yaml", "filesystem: { workspace: { path: ., access: write } }");
    let shown = scene.verb(&["policy", "set", &scene.name, write.to_str().unwrap()]);
    assert_eq!(shown.code, 1);
    assert!(shown.stderr.contains("under review"), "{}", shown.stderr);
    let more = scene.write_policy("more.yaml", &format!("{REVIEW}\nmode: observe"));
    scene.verb(&["policy", "set", &scene.name, more.to_str().unwrap()]).ok();
}

#[test]
fn what_is_read_only_or_hidden_within_stays_so() {
    let files = [("fixed/f", "1"), ("secret/s", "s3cret"), ("deep/er/fixed/f", "1"), ("a", "1")];
    let scene = with(&files);
    let policy = "filesystem:\n  workspace: { path: ., access: review }\n  read: [./fixed, ./deep/er/fixed]\n  hide: [./secret]";
    scene.write_policy("policy.yaml", policy);
    let script = "echo x > fixed/f; echo x > fixed/new; mv fixed moved; rm -rf fixed; cat secret/s; rm -rf secret; \
        mv deep gone; mv deep/er deep/other; rm -rf deep; mkdir -p deep/er/fixed; echo x > deep/er/fixed/f; echo 2 > a; true";
    let shown = scene.sh(script);
    assert!(!shown.stdout.contains("s3cret"));
    let listed = scene.verb(&["changes", "-l", &scene.name]).ok().stdout;
    assert!(listed.contains("M a"), "{listed}");
    for line in listed.lines() {
        assert!(!line.contains("D ") && !line.contains("M fixed") && !line.contains("M deep"), "{listed}");
    }
    scene.verb(&["apply", &scene.name, "a"]).ok();
    for (path, text) in &files[..3] {
        assert_eq!(fs::read_to_string(scene.workspace().join(path)).unwrap(), *text, "{path}");
    }
}

#[test]
fn what_was_changed_in_the_workspace_meanwhile_is_merged_or_stops_it() {
    let base = "1\n2\n3\n4\n5\n6\n7\n8\n";
    let scene = with(&[("merges", base), ("clashes", base), ("new", "")]);
    fs::remove_file(scene.workspace().join("new")).unwrap();
    scene.sh("sed -i s/1/one/ merges; sed -i s/1/one/ clashes; echo agent > new").ok();
    put(&scene.workspace().join("merges"), &base.replace('8', "eight"));
    put(&scene.workspace().join("clashes"), &base.replace('1', "uno"));
    put(&scene.workspace().join("new"), "mine\n");
    let before = tree(&scene.workspace());
    let shown = scene.verb(&["apply", &scene.name]);
    assert_eq!(shown.code, 1, "{}", shown.stdout);
    assert!(shown.stderr.contains("clashes: changed in the workspace, too"), "{}", shown.stderr);
    assert!(shown.stderr.contains("new: made in the workspace, too"), "{}", shown.stderr);
    assert_eq!(tree(&scene.workspace()), before, "nothing was applied");
    let shown = scene.verb(&["apply", &scene.name, "merges"]).ok();
    assert!(shown.stdout.contains("(merged)"), "{}", shown.stdout);
    let merged = fs::read_to_string(scene.workspace().join("merges")).unwrap();
    assert_eq!(merged, base.replace('1', "one").replace('8', "eight"));
    scene.verb(&["apply", "--overwrite", &scene.name]).ok();
    assert_eq!(fs::read_to_string(scene.workspace().join("new")).unwrap(), "agent\n");
}

#[test]
fn devices_links_out_and_set_id_bits_do_no_harm() {
    let scene = with(&[("d/f", "1")]);
    let victim = scene.outside().join("victim");
    fs::create_dir(&victim).unwrap();
    put(&victim.join("f"), "theirs");
    let script = format!(
        "cp /bin/true tool; chmod 6755 tool; ln -s {0} out; mkfifo pipe; printf 'x' > \"$(printf 'odd\\033[2J\\nname')\"; \
         rm -rf d; ln -s {0} d; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"",
        victim.display()
    );
    scene.sh(&script).ok();
    let shown = scene.verb(&["changes", &scene.name]).ok().stdout;
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert!(shown.contains("leads out of the workspace") && shown.contains("never lands"), "{shown}");
    let shown = scene.verb(&["apply", &scene.name]);
    assert_eq!(shown.code, 1);
    assert!(shown.stderr.contains("pipe") && shown.stderr.contains("sock"), "{}", shown.stderr);
    scene.verb(&["apply", &scene.name, "tool", "out", "d"]).ok();
    let mode = fs::metadata(scene.workspace().join("tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert_eq!(fs::read_to_string(victim.join("f")).unwrap(), "theirs");
}

#[test]
fn killed_at_any_time_an_apply_is_whole_or_not_there() {
    let files: Vec<(String, String)> =
        (0..300).map(|n| (format!("d{}/f{n}", n % 7), format!("{n}\n"))).collect();
    let scene = with(&files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect::<Vec<_>>());
    scene.sh("for f in d*/f*; do echo changed > $f; done; rm -rf d3; mkdir -p new/deep; for i in 1 2 3 4 5; do echo $i > new/deep/$i; done").ok();
    let before = tree(&scene.workspace());
    let (mut whole, mut none, mut partly) = (0, 0, 0);
    // A little later each time, until it has come to its end by itself or by another's hand often enough.
    for attempt in 0u64.. {
        if whole == 10 {
            break;
        }
        let mut child = scene
            .creel()
            .args(["apply", &scene.name])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(attempt * 3));
        let _ = child.kill();
        child.wait().unwrap();
        // Nobody runs another command: what was begun is brought to its end without one.
        let journal = scene.outside().join("state/creel/reviews").join(&scene.name).join("journal.json");
        if journal.exists() {
            partly += 1;
        }
        wait_until("the end of what was interrupted", || !journal.exists());
        let now = tree(&scene.workspace());
        if now == before {
            none += 1;
            continue;
        }
        assert!(!now.iter().any(|line| line.starts_with("d3")), "{now:#?}");
        assert_eq!(now.iter().filter(|line| line.ends_with("changed\n")).count(), 257);
        assert!(now.iter().any(|line| line.starts_with("new/deep/5")));
        whole += 1;
        scene.verb(&["rollback", &scene.name, "before-apply"]).ok();
        assert_eq!(tree(&scene.workspace()), before);
    }
    assert!(none > 0 && partly > 0, "{whole} whole, {none} not there, {partly} were brought to their end");
}

#[test]
fn a_killed_sandbox_leaves_its_changes_to_be_reviewed() {
    let scene = with(&[("a", "1\n")]);
    let mut running = scene.start(&["/bin/sh", "-c", "echo 2 > a; touch ready; sleep 1000"]);
    wait_until("the change", || scene.verb(&["changes", "-l", &scene.name]).stdout == "M a\nA ready\n");
    running.kill();
    wait_until("the apply", || scene.verb(&["apply", &scene.name]).code == 0);
    assert_eq!(fs::read_to_string(scene.workspace().join("a")).unwrap(), "2\n");
}

#[test]
fn what_waits_and_what_became_of_it_is_recorded_with_digests() {
    let scene = with(&[("a", "1")]);
    scene.sh("printf 2 > a").ok();
    let two = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35";
    let run = fs::read_to_string(scene.record()).unwrap();
    assert!(run.contains("waits for review") && run.contains(two), "{run}");
    assert!(scene.verb(&["ps"]).ok().stderr.contains(&format!("1 change of {}", scene.name)));
    scene.verb(&["apply", &scene.name]).ok();
    let acts = scene.outside().join("state/creel/acts").join(&scene.name);
    let act = fs::read_dir(acts).unwrap().flatten().next().unwrap().path();
    let shown = fs::read_to_string(act.join("record.jsonl")).unwrap();
    assert!(shown.contains("apply by operator uid") && shown.contains(two), "{shown}");
    scene.verb(&["audit", "verify", act.to_str().unwrap()]).ok();
}

#[test]
fn git_works_on_a_view_and_what_it_did_lands_whole() {
    let scene = with(&[("dir/1", "1\n"), ("dir/2", "2\n")]);
    let git = |script: &str| {
        let set = "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=a@b.test \
            GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=a@b.test;";
        format!("{set} {script}")
    };
    let outside = |script: &str| {
        let mut command = std::process::Command::new("/bin/sh");
        Shown::from(command.current_dir(scene.workspace()).args(["-c", &git(script)]).output().unwrap())
            .ok()
            .stdout
    };
    outside("git init -q . && git add -A && git commit -qm one");
    std::thread::sleep(std::time::Duration::from_millis(20));
    scene.sh(&git("git checkout -q -b x && echo new > dir/1 && git commit -qam two && git gc -q && git rm -qr dir && git commit -qm three")).ok();
    assert_eq!(outside("git log --format=%s"), "one\n");
    scene.verb(&["apply", &scene.name]).ok();
    assert_eq!(outside("git fsck && git status --short && git log --format=%s"), "three\ntwo\none\n");
    scene.verb(&["rollback", &scene.name, "before-apply"]).ok();
    assert_eq!(outside("git fsck && git status --short && git log --format=%s"), "one\n");
}

#[test]
fn renaming_a_directory_of_the_workspace_is_refused_as_between_file_systems_and_mv_copies() {
    let scene = with(&[("dir/sub/f", "1")]);
    let script = "import os, errno\ntry:\n  os.rename('dir', 'moved')\nexcept OSError as e:\n  print(errno.errorcode[e.errno])\n\
        os.mkdir('own'); os.rename('own', 'mine'); print('own')\nos.system('mv dir moved')";
    assert_eq!(scene.python(script).ok().stdout, "EXDEV\nown\n");
    let listed = scene.verb(&["changes", "-l", &scene.name]).ok().stdout;
    assert!(listed.contains("D dir/sub/f") && listed.contains("A moved/sub/f"), "{listed}");
}

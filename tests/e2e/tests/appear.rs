//! Files that appear while a sandbox runs: hidden or granted as the policy says, whoever made them.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Running, Scene, wait_until};
use std::fs;
use std::path::Path;

const HIDE: &str = "filesystem: { workspace: { path: ., access: write }, hide: [\"./**/.env\", ./exact] }";

/// A sandbox that waits.
fn waiting(scene: &Scene) -> Running {
    scene.start(&["sleep", "1000"])
}

/// What a shell in the sandbox says.
fn inside(scene: &Scene, script: &str) -> String {
    let shown = scene.verb(&["exec", "-T", &scene.name, "--", "/bin/sh", "-c", script]);
    format!("{}{}", shown.stdout, shown.stderr)
}

/// Whether a program in the sandbox reads the file.
fn reads(scene: &Scene, path: &str) -> bool {
    inside(scene, &format!("cat '{path}'")).contains("SECRET")
}

/// Waits until a program in the sandbox can no longer read what is there for everybody else.
fn hidden(scene: &Scene, path: &str) {
    let outside = fs::read_to_string(scene.workspace().join(path)).unwrap();
    assert!(outside.contains("SECRET"), "{path}");
    wait_until(&format!("{path} to be hidden"), || !reads(scene, path));
}

fn policy_set(scene: &Scene, file: &str, yaml: &str) -> creel_e2e::Shown {
    let path = scene.write_policy(file, yaml);
    scene.verb(&["policy", "set", &scene.name, path.to_str().unwrap()])
}

#[test]
fn a_file_under_a_hidden_name_is_hidden_however_it_came() {
    let scene = Scene::new().policy(HIDE);
    let ws = scene.workspace();
    for dir in ["a/b", "../away/in"] {
        fs::create_dir_all(ws.join(dir)).unwrap();
    }
    let _running = waiting(&scene);
    let put = |path: &str| fs::write(ws.join(path), "SECRET").unwrap();
    let cases: [(&str, &str, &dyn Fn()); 8] = [
        ("written outside", "a/.env", &|| put("a/.env")),
        ("written inside", "a/b/.env", &|| drop(inside(&scene, "echo SECRET > a/b/.env"))),
        ("named by an exact path", "exact", &|| put("exact")),
        ("renamed outside", ".env", &|| {
            put("plain");
            fs::rename(ws.join("plain"), ws.join(".env")).unwrap();
        }),
        ("renamed inside", "c/.env", &|| drop(inside(&scene, "mkdir c; echo SECRET > c/x; mv c/x c/.env"))),
        ("a hard link", "d/.env", &|| {
            fs::create_dir(ws.join("d")).unwrap();
            put("d/other");
            fs::hard_link(ws.join("d/other"), ws.join("d/.env")).unwrap();
        }),
        ("in a directory that was moved here", "here/in/.env", &|| {
            put("../away/in/.env");
            fs::rename(ws.join("../away"), ws.join("here")).unwrap();
        }),
        ("replaced outside", "a/.env", &|| {
            put("a/new");
            fs::rename(ws.join("a/new"), ws.join("a/.env")).unwrap();
        }),
    ];
    for (what, path, act) in cases {
        act();
        eprintln!("{what}");
        hidden(&scene, path);
    }
    let found = scene.events().iter().filter(|e| e.to_string().contains("hidden as it appeared")).count();
    assert!(found > 0, "the record says so");
}

#[test]
fn a_mask_moves_along_and_a_change_of_the_policy_finds_it() {
    let scene = Scene::new().policy(HIDE);
    fs::create_dir(scene.workspace().join("a")).unwrap();
    let _running = waiting(&scene);
    fs::write(scene.workspace().join("a/.env"), "SECRET").unwrap();
    hidden(&scene, "a/.env");
    let moved = inside(&scene, "mv a/.env x; mv a b; ls");
    assert!(fs::exists(scene.workspace().join("b/.env")).unwrap(), "{moved}");
    hidden(&scene, "b/.env");
    policy_set(&scene, "plain.yaml", "filesystem: { workspace: { path: ., access: write } }").ok();
    assert!(reads(&scene, "b/.env"), "no longer hidden by the policy");
    policy_set(
        &scene,
        "again.yaml",
        "filesystem: { workspace: { path: ., access: write }, hide: [\"./**/.env\"] }",
    )
    .ok();
    assert!(!reads(&scene, "b/.env"), "hidden as soon as the policy is in force");
    fs::remove_file(scene.workspace().join("b/.env")).unwrap();
    policy_set(&scene, "last.yaml", "filesystem: { workspace: { path: ., access: write } }").ok();
}

#[test]
fn an_optional_path_is_granted_when_it_appears() {
    let scene = Scene::new();
    let (late, deep) = (scene.outside().join("late"), scene.outside().join("one/two"));
    let scene = scene.policy(&format!(
        "filesystem:\n  workspace: {{ path: ., access: write }}\n  read: [{{ path: \"{}\", optional: true }}]\n  write: [{{ path: \"{}\", optional: true }}]",
        late.display(), deep.display(),
    ));
    let _running = waiting(&scene);
    let see =
        |path: &Path| inside(&scene, &format!("cat {0}; cat {0}/file", path.display())).contains("HELLO");
    assert!(!see(&late) && !see(&deep));
    fs::write(scene.outside().join("made"), "HELLO").unwrap();
    fs::rename(scene.outside().join("made"), &late).unwrap();
    wait_until("the file to be granted", || see(&late));
    assert!(inside(&scene, &format!("echo x > {}", late.display())).contains("Read-only"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "HELLO").unwrap();
    wait_until("the directory to be granted", || see(&deep));
    inside(&scene, &format!("touch {}/made", deep.display()));
    assert!(deep.join("made").exists(), "it may be written");
}

#[test]
fn an_optional_path_that_a_sandbox_links_elsewhere_grants_nothing() {
    let scene = Scene::new().policy(
        "filesystem: { workspace: { path: ., access: write }, write: [{ path: ./late, optional: true }] }",
    );
    let victim = scene.outside().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "SECRET").unwrap();
    let _running = waiting(&scene);
    inside(&scene, &format!("ln -s {} late", victim.display()));
    inside(&scene, "ln -s nowhere late2; rm late; mkdir late; echo done > late/file");
    fs::write(scene.workspace().join("go"), "").unwrap();
    inside(&scene, &format!("mv late real; ln -s {} late", victim.display()));
    for _ in 0..20 {
        assert!(!reads(&scene, "late/file") && !reads(&scene, victim.join("file").to_str().unwrap()));
    }
}

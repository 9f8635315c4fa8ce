use super::*;
use std::fs;

struct Scene {
    _dir: tempfile::TempDir,
    top: PathBuf,
    seen: mpsc::Receiver<Sighting>,
    _watch: Watch,
}

fn scene(yaml: &str, before: &[&str]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    fs::create_dir(top.join("ws")).unwrap();
    for path in before {
        fs::create_dir_all(top.join(path)).unwrap();
    }
    let document = creel_api::control::Document {
        name: "test".into(),
        text: format!(
            "version: 1\nname: test\nfilesystem:\n{}\n",
            yaml.replace("TOP", top.to_str().unwrap())
        ),
        base: "/".into(),
    };
    let policy = crate::policies::compile(&[document], &top.join("ws"), &[]).expect("a valid policy");
    let wanted = Wanted::of(policy.filesystem(), &|path| !path.exists());
    let (to, seen) = channel();
    let watch = Watch::start(wanted, to).unwrap();
    Scene { _dir: dir, top, seen, _watch: watch }
}

impl Scene {
    /// Waits until this is said; the channel's own end is the failure.
    fn sees(&mut self, path: &str) {
        let path = self.top.join(path);
        while let Some(sighting) = self.seen.blocking_recv() {
            if matches!(&sighting, Sighting::Paths(paths) if paths.contains(&path)) {
                return;
            }
        }
        panic!("{} was never seen", path.display());
    }
}

const ENV: &str = "  hide: [\"./**/.env\"]";

#[test]
fn a_name_is_seen_however_it_came() {
    let mut scene = scene(ENV, &["ws/a", "away/in/deep"]);
    let at = |path: &str| scene.top.join(path);
    fs::write(at("ws/.env"), "").unwrap();
    fs::write(at("ws/a/other"), "").unwrap();
    fs::write(at("away/in/deep/.env"), "").unwrap();
    scene.sees("ws/.env");
    fs::rename(scene.top.join("ws/a/other"), scene.top.join("ws/a/.env")).unwrap();
    scene.sees("ws/a/.env");
    fs::hard_link(scene.top.join("ws/a/.env"), scene.top.join("ws/a/hard")).unwrap();
    fs::create_dir_all(scene.top.join("ws/new/er")).unwrap();
    fs::hard_link(scene.top.join("ws/a/hard"), scene.top.join("ws/new/er/.env")).unwrap();
    scene.sees("ws/new/er/.env");
    fs::rename(scene.top.join("away"), scene.top.join("ws/here")).unwrap();
    scene.sees("ws/here/in/deep/.env");
    fs::rename(scene.top.join("ws/here"), scene.top.join("ws/there")).unwrap();
    scene.sees("ws/there/in/deep/.env");
    fs::write(scene.top.join("ws/there/in/.env"), "").unwrap();
    scene.sees("ws/there/in/.env");
}

#[test]
fn a_missing_name_is_awaited_from_the_nearest_directory_above() {
    let mut scene = scene("  read: [{ path: \"TOP/one/two/three\", optional: true }]", &[]);
    fs::create_dir_all(scene.top.join("one/two")).unwrap();
    fs::write(scene.top.join("one/two/three"), "").unwrap();
    scene.sees("one/two/three");
}

#[test]
fn a_policy_with_nothing_to_wait_for_watches_nothing() {
    for (yaml, want) in [
        ("  read: [/usr]", true),
        ("  read: [{ path: /usr, optional: true }]", true),
        ("  hide: [/nowhere/granted]", true),
        ("  read: [{ path: /none, optional: true }]", false),
        (ENV, false),
        ("  hide: [./secret]", false),
    ] {
        let document = creel_api::control::Document {
            name: "test".into(),
            text: format!("version: 1\nname: test\nfilesystem:\n{yaml}\n"),
            base: "/".into(),
        };
        let policy = crate::policies::compile(&[document], Path::new("/srv"), &[]).expect("a valid policy");
        let wanted = Wanted::of(policy.filesystem(), &|path| !path.exists());
        assert_eq!(wanted.is_empty(), want, "{yaml}: {wanted:?}");
    }
}

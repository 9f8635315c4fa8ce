//! Directories that an agent closed to their owner, or opened, wrote and closed again: what lands there needs rights
//! that only the superuser always has. So these run without the capabilities that would hide it.

use super::interrupted::breaking_off_at;
use super::{Scene, put, tree};
use crate::{BEFORE_APPLY, Options, ReviewError};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Until it is dropped this thread is bound by the modes of files, also when it is the superuser's.
struct Bound(CapabilitySet);

impl Bound {
    fn new() -> Self {
        let mut sets = capabilities(None).unwrap();
        let before = sets.effective;
        sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, sets).unwrap();
        Self(before)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut sets = capabilities(None).unwrap();
        sets.effective = self.0;
        set_capabilities(None, sets).unwrap();
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A workspace with a directory that its owner may not write, in which the sandbox did something all the same.
fn beneath_a_closed_one(apart: bool, change: &dyn Fn(&Scene)) -> Scene {
    let files = [("a", "1"), ("closed/x", "1"), ("z", "1")];
    let mut scene = if apart { Scene::apart(&files) } else { Scene::new(&files) };
    mode(&scene.ws().join("closed"), 0o555);
    std::thread::sleep(std::time::Duration::from_millis(20));
    scene.write("a", "2");
    change(&scene);
    scene.write("z", "2");
    scene.end();
    scene
}

fn opened(scene: &Scene) {
    mode(&scene.ws().join("closed"), 0o755);
}

#[test]
fn what_cannot_land_takes_everything_back_and_the_review_goes_on() {
    let changes: [&dyn Fn(&Scene); 4] = [
        &|scene| {
            scene.write("closed/new", "n");
            mode(&scene.upper().join("closed"), 0o555);
        },
        &|scene| {
            scene.write("closed/x", "2");
            mode(&scene.upper().join("closed"), 0o555);
        },
        &|scene| {
            scene.delete("closed/x");
            mode(&scene.upper().join("closed"), 0o555);
        },
        &|scene| scene.delete("closed"),
    ];
    for (number, change) in changes.iter().enumerate() {
        for apart in [false, true] {
            let scene = beneath_a_closed_one(apart, change);
            let (before, waiting) = (tree(&scene.ws()), scene.listed());
            let bound = Bound::new();
            let done = scene.apply(&[]);
            assert!(matches!(done, Err(ReviewError::Hindered { .. })), "{number}: {done:?}");
            assert_eq!(tree(&scene.ws()), before, "{number}");
            assert_eq!(scene.review.recover().unwrap(), None, "{number}: nothing is left to be ended");
            assert_eq!(scene.listed(), waiting, "{number}");
            scene.apply(&["a"]).unwrap();
            drop(bound);
            opened(&scene);
            scene.review.discard().unwrap();
        }
    }
}

/// New directories that nobody may write, and the workspace itself closed.
fn closed_by_the_agent() -> Scene {
    let mut scene = Scene::new(&[("a", "1"), ("d/x", "1"), ("e/x", "1")]);
    scene.write("a", "2");
    scene.write("shut/deep/x", "1");
    scene.write("still/deep/x", "1");
    scene.write("d/new", "n");
    scene.write("e/new", "n");
    for (path, bits) in [
        ("shut/deep", 0o500),
        ("shut", 0o500),
        ("still/deep", 0o555),
        ("still", 0o555),
        ("d", 0o500),
        ("e", 0o755),
        ("", 0o555),
    ] {
        mode(&scene.upper().join(path), bits);
    }
    scene.end();
    scene
}

/// Everything with its modes; what is closed is opened.
fn seen(scene: &Scene) -> Vec<String> {
    let ws = scene.ws();
    let mut seen = Vec::new();
    for path in ["", "shut", "shut/deep", "still", "still/deep", "d", "e"] {
        let path = ws.join(path);
        if path.exists() {
            seen.push(
                format!("{} {:o}", path.display(), mode_of(&path)).replace(&*ws.to_string_lossy(), "."),
            );
            mode(&path, 0o755);
        }
    }
    seen.extend(tree(&ws).into_iter().map(|(path, what)| format!("{} {what}", path.display())));
    seen
}

#[test]
fn what_is_closed_lands_whole_or_not_at_all_wherever_it_is_broken_off() {
    let before = seen(&closed_by_the_agent());
    let whole = closed_by_the_agent();
    let bound = Bound::new();
    whole.apply(&[]).unwrap();
    let after = seen(&whole);
    drop(bound);
    assert_ne!(before, after);
    for number in 0.. {
        let scene = closed_by_the_agent();
        let bound = Bound::new();
        let done = scene.review.apply_until(&Options::default(), &mut breaking_off_at(number));
        scene.review.recover().unwrap();
        assert_eq!(scene.review.recover().unwrap(), None, "at act {number}");
        let now = seen(&scene);
        drop(bound);
        assert!(now == before || now == after, "at act {number}: {now:#?}");
        if done.is_ok() {
            assert_eq!(now, after);
            return;
        }
    }
}

#[test]
fn an_apply_of_what_is_closed_is_undone() {
    for paths in [&[][..], &["a", "shut", "still", "d/new"]] {
        let scene = closed_by_the_agent();
        let waiting = scene.listed();
        let bound = Bound::new();
        scene.apply(paths).unwrap();
        scene.review.rollback(Some(BEFORE_APPLY)).unwrap();
        drop(bound);
        assert_eq!(seen(&scene), seen(&closed_by_the_agent()), "{paths:?}");
        assert_eq!(scene.listed(), waiting, "{paths:?}");
    }
}

#[test]
fn what_is_too_deep_to_be_read_is_discarded() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let mut scene = Scene::apart(&[]);
    let mut dir: std::os::fd::OwnedFd = fs::File::open(scene.upper()).unwrap().into();
    for _ in 0..2_500 {
        mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = openat(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    drop(scene.lent.take());
    assert!(matches!(scene.review.changes(), Err(ReviewError::Strange { .. })));
    scene.review.discard().unwrap();
    assert!(scene.shelf().names().is_empty());
}

#[test]
fn directories_land_in_a_workspace_that_hands_its_group_on() {
    let mut scene = Scene::apart(&[("a", "1")]);
    mode(&scene.ws(), 0o2755);
    mode(&scene.upper(), 0o2755);
    scene.write("new/x", "1");
    scene.end();
    scene.apply(&[]).unwrap();
    assert_eq!(mode_of(&scene.ws().join("new")), 0o2755);
    scene.review.rollback(Some(BEFORE_APPLY)).unwrap();
    assert!(!scene.ws().join("new").exists());
}

#[test]
fn a_pipe_or_socket_of_the_workspace_that_went_does_not_stop_the_rest() {
    for apart in [false, true] {
        let files = [("a", "1"), ("b", "1")];
        let mut scene = if apart { Scene::apart(&files) } else { Scene::new(&files) };
        let _socket = std::os::unix::net::UnixListener::bind(scene.ws().join("socket")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        scene.delete("socket");
        scene.write("a", "2");
        scene.end();
        scene.apply(&[]).unwrap();
        assert!(!scene.ws().join("socket").exists());
        scene.review.rollback(Some(BEFORE_APPLY)).unwrap();
        assert_eq!(fs::read_to_string(scene.ws().join("a")).unwrap(), "1", "apart: {apart}");
        put(&scene.ws(), "b", "mine");
        assert!(scene.apply(&["a"]).is_ok());
    }
}

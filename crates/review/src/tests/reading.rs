//! What a layer says.

use super::Scene;
use crate::{Note, Paint};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn every_kind_of_change_is_seen_and_what_does_not_differ_is_none() {
    let scene = Scene::new(&[
        ("same", "x"),
        ("edited", "a\n"),
        ("mode", "x"),
        ("gone", "x"),
        ("dir/a", "1"),
        ("dir/b", "2"),
        ("tree/x", "1"),
        ("tree/y/z", "2"),
        ("to-dir", "x"),
        ("to-file/x", "1"),
    ]);
    scene.write("same", "x");
    scene.write("edited", "a\nb\n");
    scene.write("mode", "x");
    fs::set_permissions(scene.upper().join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    scene.delete("gone");
    scene.delete("dir/a");
    scene.delete("never-there");
    scene.replace("tree");
    scene.write("tree/new", "n");
    scene.write("to-dir/inside", "i");
    scene.write("to-file", "f");
    symlink("/etc/passwd", scene.upper().join("link")).unwrap();
    assert_eq!(
        scene.listed(),
        [
            "D dir/a",
            "M edited",
            "D gone",
            "A link",
            "m mode",
            "M to-dir/",
            "A to-dir/inside",
            "M to-file",
            "D to-file/x",
            "A tree/new",
            "D tree/x",
            "D tree/y/",
            "D tree/y/z",
        ]
    );
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let scene = Scene::new(&[("f", "aaaa")]);
    scene.write("f", "bbbb");
    let old = fs::metadata(scene.ws().join("f")).unwrap().modified().unwrap();
    fs::File::options().write(true).open(scene.upper().join("f")).unwrap().set_modified(old).unwrap();
    assert_eq!(scene.listed(), ["M f"]);
}

#[test]
fn what_should_be_looked_at_twice_is_said() {
    let scene = Scene::new(&[(".git/config", "")]);
    scene.write(".git/hooks/pre-commit", "#!/bin/sh\n");
    let hook = scene.upper().join(".git/hooks/pre-commit");
    fs::set_permissions(hook, fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../../out", scene.upper().join("out")).unwrap();
    let changes = scene.review.changes().unwrap();
    let notes: Vec<_> = changes.iter().flat_map(|change| change.notes.clone()).collect();
    assert!(matches!(notes[0], Note::TrustedLater(_)), "{notes:?}");
    assert!(notes.contains(&Note::SetId) && notes.contains(&Note::LeadsOut), "{notes:?}");
}

#[test]
fn nothing_that_an_agent_named_or_wrote_drives_the_terminal() {
    let scene = Scene::new(&[]);
    scene.write("a\x1b[2Jb\u{202e}c", "text \x1b]0;title\x07 \u{202e}\r more\n");
    symlink("\x1b[31mx", scene.upper().join("l")).unwrap();
    for change in scene.review.changes().unwrap() {
        let shown = scene.review.diff(&change, Paint::None).unwrap();
        assert!(!shown.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{shown:?}");
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_while_it_is_read_is_not_followed() {
    let scene = Scene::new(&[("d/e/f", "1")]);
    let secret = scene.dir.path().join("secret");
    fs::create_dir_all(secret.join("e")).unwrap();
    fs::write(secret.join("e/s"), "s3cret").unwrap();
    // What the walk saw as a directory of the workspace is a link out of it a moment later.
    let lower = crate::beneath::Root::open(&scene.ws()).unwrap();
    fs::rename(scene.ws().join("d"), scene.ws().join("d.old")).unwrap();
    symlink(&secret, scene.ws().join("d")).unwrap();
    assert!(lower.names(std::path::Path::new("d/e")).is_err());
    assert!(lower.stat(std::path::Path::new("d/e/s")).unwrap().is_none());
    assert!(fs::read_dir(scene.ws().join("d/e")).is_ok(), "the same lookup without protection follows it");
}

#[test]
fn a_renamed_file_is_not_taken_for_one_that_is_gone() {
    let scene = Scene::new(&[("old", "1")]);
    scene.write("new", "1");
    rustix::fs::setxattr(
        scene.upper().join("new"),
        "user.overlay.origin",
        b"",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    scene.delete("old");
    super::put(&scene.ws(), "mine", "m");
    let changes = scene.review.changes().unwrap();
    assert!(changes.iter().all(|change| change.moved.is_none()), "{changes:?}");
}

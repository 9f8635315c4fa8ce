//! What lands, and what does not.

use super::{Scene, put, tree};
use crate::{Choice, Moved, Options, ReviewError};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn links_modes_attributes_holes_and_odd_names_survive() {
    let mut scene = Scene::new(&[("kept", "k"), ("dir/x", "1")]);
    let up = scene.upper();
    scene.write("one", "shared");
    fs::hard_link(up.join("one"), up.join("two")).unwrap();
    fs::set_permissions(up.join("one"), fs::Permissions::from_mode(0o640)).unwrap();
    rustix::fs::setxattr(up.join("one"), "user.note", b"v", XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(up.join("one"), "user.overlay.overlay.x", b"", XattrFlags::empty()).unwrap();
    symlink("nowhere/at/all", up.join("link")).unwrap();
    fs::File::create(up.join("huge")).unwrap().set_len(1 << 40).unwrap();
    fs::write(up.join(std::ffi::OsStr::from_bytes(b"odd\xff\n%name")), "odd").unwrap();
    fs::create_dir(up.join("closed")).unwrap();
    fs::write(up.join("closed/in"), "in").unwrap();
    fs::set_permissions(up.join("closed/in"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(up.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    scene.end();
    scene.apply(&[]).unwrap();
    let ws = scene.ws();
    let meta = |name: &str| fs::symlink_metadata(ws.join(name)).unwrap();
    assert_eq!(meta("one").ino(), meta("two").ino());
    assert_eq!(meta("one").permissions().mode() & 0o7777, 0o640);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(ws.join("one"), "user.note", &mut value[..]), Ok(1));
    assert!(rustix::fs::getxattr(ws.join("one"), "user.overlay.overlay.x", &mut value[..]).is_err());
    assert_eq!(fs::read_link(ws.join("link")).unwrap().to_str(), Some("nowhere/at/all"));
    assert_eq!((meta("huge").size(), meta("huge").blocks() < 100), (1 << 40, true));
    assert_eq!(fs::read(ws.join(std::ffi::OsStr::from_bytes(b"odd\xff\n%name"))).unwrap(), b"odd");
    assert_eq!(meta("closed").permissions().mode() & 0o7777, 0o555);
    fs::set_permissions(ws.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(meta("closed/in").permissions().mode() & 0o7777, 0o000);
    assert!(scene.listed().is_empty());
}

#[test]
fn set_id_bits_do_not_land_and_devices_stop_the_whole() {
    let mut scene = Scene::new(&[]);
    scene.write("tool", "x");
    fs::set_permissions(scene.upper().join("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    rustix::fs::mknodat(CWD, scene.upper().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    scene.end();
    assert!(matches!(scene.apply(&[]), Err(ReviewError::Unfit(_))));
    assert!(tree(&scene.ws()).is_empty());
    scene.apply(&["tool"]).unwrap();
    let mode = fs::metadata(scene.ws().join("tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn a_parent_that_becomes_a_link_at_any_moment_leads_nothing_out_of_the_workspace() {
    for number in 0.. {
        let mut scene = Scene::new(&[("d/e/f", "1"), ("d/e/gone", "1")]);
        let out = scene.dir.path().join("out");
        put(&out, "e/f", "theirs");
        put(&out, "e/gone", "theirs");
        scene.write("d/e/f", "2");
        scene.write("d/e/new", "n");
        scene.delete("d/e/gone");
        scene.end();
        let (ws, mut count) = (scene.ws(), 0);
        let options = Options { choice: Choice::Overwrite, ..Options::default() };
        let _ = scene.review.apply_until(&options, &mut || {
            if count == number {
                fs::rename(ws.join("d"), ws.join("d.old")).unwrap();
                symlink(&out, ws.join("d")).unwrap();
            }
            count += 1;
            Ok(())
        });
        let _ = scene.review.recover();
        let theirs: Vec<_> = tree(&out).into_values().filter(|what| what.ends_with("theirs")).collect();
        assert_eq!((theirs.len(), tree(&out).len()), (2, 3), "at act {number}: {:?}", tree(&out));
        if count <= number {
            return;
        }
    }
}

#[test]
fn some_of_it_lands_and_the_rest_waits_as_before() {
    let mut scene = Scene::new(&[("t/x", "1"), ("t/y", "2"), ("a", "a"), ("b", "b")]);
    scene.replace("t");
    scene.write("t/new", "n");
    scene.write("t/other", "o");
    scene.write("a", "A");
    scene.delete("b");
    scene.write("deep/er/file", "f");
    scene.end();
    scene.apply(&["t/x", "t/new", "a", "deep/er"]).unwrap();
    assert_eq!(scene.listed(), ["D b", "A t/other", "D t/y"]);
    put(&scene.ws(), "t/mine", "m");
    assert_eq!(scene.listed(), ["D b", "A t/other", "D t/y"], "what came later is nobody's deletion");
    scene.apply(&[]).unwrap();
    let names: Vec<_> = tree(&scene.ws()).into_keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["a", "deep", "deep/er", "deep/er/file", "t", "t/mine", "t/new", "t/other"]);
}

#[test]
fn what_moved_underneath_is_merged_or_stops_the_whole() {
    let base = "1\n2\n3\n4\n5\n6\n7\n8\n";
    let cases: [(&str, &str, Option<&str>); 3] = [
        (
            "one\n2\n3\n4\n5\n6\n7\n8\n",
            "1\n2\n3\n4\n5\n6\n7\neight\n",
            Some("one\n2\n3\n4\n5\n6\n7\neight\n"),
        ),
        ("one\n2\n3\n4\n5\n6\n7\n8\n", "uno\n2\n3\n4\n5\n6\n7\n8\n", None),
        ("\0binary", "1\n2\n3\n4\n5\n6\n7\neight\n", None),
    ];
    for (theirs, ours, want) in cases {
        let mut scene = Scene::new(&[("f", base)]);
        scene.write("f", theirs);
        rustix::fs::setxattr(scene.upper().join("f"), "user.kept", b"k", XattrFlags::empty()).unwrap();
        scene.write("other", "o");
        scene.end();
        put(&scene.ws(), "f", ours);
        match (scene.apply(&[]), want) {
            (Ok(landed), Some(want)) => {
                assert_eq!(landed.merged, [std::path::PathBuf::from("f")]);
                assert_eq!(fs::read_to_string(scene.ws().join("f")).unwrap(), want);
                let mut value = [0; 8];
                let length = rustix::fs::getxattr(scene.ws().join("f"), "user.kept", &mut value[..]);
                assert_eq!(&value[..length.unwrap()], b"k");
            }
            (Err(ReviewError::Moved(paths)), None) => {
                assert_eq!(paths, [("f".into(), Moved::Changed)]);
                assert_eq!(fs::read_to_string(scene.ws().join("f")).unwrap(), ours);
                assert!(!scene.ws().join("other").exists(), "nothing was applied");
                let options = Options { choice: Choice::Overwrite, ..Options::default() };
                scene.review.apply(&options).unwrap();
                assert_eq!(fs::read_to_string(scene.ws().join("f")).unwrap(), theirs);
            }
            (other, want) => panic!("{other:?} instead of {want:?}"),
        }
    }
}

#[test]
fn what_moved_while_the_sandbox_ran_and_was_killed_is_not_overwritten() {
    let check = |act: &dyn Fn(&Scene), want: Moved| {
        let mut scene = Scene::new(&[("f", "1\n"), ("g", "1\n")]);
        scene.write("f", "2\n");
        if want != Moved::Gone {
            scene.delete("g");
        }
        rustix::fs::setxattr(scene.upper().join("f"), "user.overlay.origin", b"", XattrFlags::empty())
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        act(&scene);
        scene.lent = None; // killed: nothing was noted
        match scene.apply(&[]) {
            Err(ReviewError::Moved(paths)) => assert_eq!(paths[0].1, want),
            other => panic!("{other:?} instead of {want:?}"),
        }
    };
    check(&|scene| put(&scene.ws(), "f", "mine\n"), Moved::ChangedMeanwhile);
    check(&|scene| fs::remove_file(scene.ws().join("f")).unwrap(), Moved::Gone);
    check(&|scene| put(&scene.ws(), "g", "mine\n"), Moved::ChangedMeanwhile);
}

//! An apply that is broken off at every one of its acts.

use super::{Scene, put, tree};
use crate::{Choice, Options, Recovered, ReviewError};
use std::fs;

const FILES: [(&str, &str); 7] = [
    ("a", "1"),
    ("gone", "x"),
    ("t/x", "1"),
    ("t/y/z", "2"),
    ("to-dir", "x"),
    ("to-file/x", "1"),
    ("kept", "k"),
];

fn scene() -> Scene {
    changed(Scene::new(&FILES))
}

fn changed(mut scene: Scene) -> Scene {
    scene.write("a", "2");
    scene.delete("gone");
    scene.replace("t");
    scene.write("t/new", "n");
    scene.write("to-dir/inside", "i");
    scene.write("to-file", "f");
    scene.write("new/deep/file", "f");
    fs::hard_link(scene.upper().join("new/deep/file"), scene.upper().join("new/second")).unwrap();
    scene.end();
    scene
}

pub(super) fn breaking_off_at(number: usize) -> impl FnMut() -> Result<(), ReviewError> {
    let mut count = 0;
    move || {
        count += 1;
        if count > number { Err(ReviewError::Nothing("broken off".into())) } else { Ok(()) }
    }
}

/// Breaks off at one act after the other until none is left; `check` sees each, with what was recovered.
fn at_every_act(
    scene: &dyn Fn() -> Scene,
    options: &Options,
    check: &mut dyn FnMut(&Scene, Option<Recovered>),
) -> usize {
    for number in 0.. {
        let scene = scene();
        let done = scene.review.apply_until(options, &mut breaking_off_at(number));
        let recovered = scene.review.recover().unwrap();
        check(&scene, recovered);
        assert_eq!(scene.review.recover().unwrap(), None, "one recovery is enough");
        assert!(!scene.review.dir().join("staging").exists());
        let left = fs::read_dir(scene.ws()).unwrap().flatten().map(|entry| entry.file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".creel")));
        if done.is_ok() {
            return number;
        }
    }
    unreachable!()
}

#[test]
fn all_or_nothing_is_in_the_workspace_wherever_it_is_broken_off() {
    whole_or_not_at_all(&scene);
}

#[test]
fn so_it_is_where_the_state_lies_on_another_file_system() {
    whole_or_not_at_all(&|| changed(Scene::apart(&FILES)));
}

fn whole_or_not_at_all(make: &dyn Fn() -> Scene) {
    let scene = make;
    let before = tree(&scene().ws());
    let whole = scene();
    let waiting = whole.listed();
    whole.apply(&[]).unwrap();
    let after = tree(&whole.ws());
    let (mut nothing, mut all) = (0, 0);
    let acts = at_every_act(make, &Options::default(), &mut |scene, _| {
        let now = tree(&scene.ws());
        if now == before {
            nothing += 1;
            assert_eq!(scene.listed(), waiting);
        } else {
            all += 1;
            assert_eq!(now, after);
            assert!(scene.listed().is_empty());
            assert!(scene.review.dir().join("undo/undo.json").exists());
        }
    });
    assert!(acts > 20 && nothing > 2 && all > 10, "{acts} acts, {nothing} nothing, {all} all");
}

#[test]
fn some_of_it_is_all_or_nothing_too() {
    let options = Options { paths: vec!["t/x".into(), "to-dir".into(), "a".into()], choice: Choice::Merge };
    let (before, waiting) = (tree(&scene().ws()), scene().listed());
    let whole = scene();
    whole.review.apply(&options).unwrap();
    let (after, left) = (tree(&whole.ws()), whole.listed());
    at_every_act(&scene, &options, &mut |scene, _| {
        let now = (tree(&scene.ws()), scene.listed());
        assert!(now == (before.clone(), waiting.clone()) || now == (after.clone(), left.clone()), "{now:#?}");
    });
}

#[test]
fn an_undo_is_all_or_nothing_too() {
    undone_or_not_at_all(&scene);
    undone_or_not_at_all(&|| changed(Scene::apart(&FILES)));
}

fn undone_or_not_at_all(make: &dyn Fn() -> Scene) {
    for number in 0.. {
        let scene = make();
        let (before, waiting) = (tree(&scene.ws()), scene.listed());
        scene.apply(&[]).unwrap();
        let after = tree(&scene.ws());
        let done = scene.review.undo_until(&mut breaking_off_at(number));
        scene.review.recover().unwrap();
        let now = tree(&scene.ws());
        if now == before {
            assert_eq!(scene.listed(), waiting, "at act {number}");
        } else {
            assert_eq!(now, after, "at act {number}");
            assert!(scene.listed().is_empty(), "at act {number}");
        }
        if done.is_ok() {
            assert_eq!(now, before);
            return;
        }
    }
}

#[test]
fn what_somebody_else_did_meanwhile_takes_everything_back_and_stays() {
    // A file that is to go, and a new one in a directory that is to go.
    meanwhile("to-file/x");
    meanwhile("t/y/mine");
}

/// Writes to `path` before each act in turn, as long as its directory is there; nothing is broken off.
fn meanwhile(path: &str) {
    for number in 0.. {
        let scene = scene();
        let mut before = tree(&scene.ws());
        let ws = scene.ws();
        let (mut count, mut written) = (0, false);
        let done = scene.review.apply_until(&Options::default(), &mut || {
            count += 1;
            if count == number + 1 && ws.join(path).parent().is_some_and(|dir| dir.is_dir()) {
                put(&ws, path, "mine");
                written = true;
            }
            Ok(())
        });
        if number + 1 > count {
            return;
        }
        before.insert(path.into(), "100644 1 names: mine".into());
        match done {
            Ok(_) => assert!(!written, "it was away already, at act {number}"),
            Err(ReviewError::Moved(_)) => assert_eq!(tree(&ws), before, "at act {number}"),
            Err(other) => panic!("{other}"),
        }
    }
}

//! Snapshots, rollbacks, undo, and the end of a review.

use super::{Scene, put, tree};
use crate::{BEFORE_APPLY, ReviewError};
use std::fs;

#[test]
fn a_rollback_brings_back_what_a_snapshot_kept() {
    let mut scene = Scene::new(&[("a", "1"), ("b", "1"), ("t/x", "1")]);
    scene.write("a", "2");
    scene.delete("b");
    scene.replace("t");
    scene.write("one", "o");
    fs::hard_link(scene.upper().join("one"), scene.upper().join("two")).unwrap();
    let kept = scene.listed();
    scene.review.snapshot(Some("first")).unwrap();
    scene.write("a", "3");
    fs::remove_file(scene.upper().join("b")).unwrap();
    scene.write("new", "n");
    scene.review.snapshot(None).unwrap();
    assert!(matches!(scene.review.rollback(Some("first")), Err(ReviewError::Running(_))));
    scene.end();
    let later = scene.listed();
    assert_eq!(scene.review.rollback(Some("first")).unwrap(), "first");
    assert_eq!(scene.listed(), kept);
    assert_eq!(fs::read_to_string(scene.upper().join("a")).unwrap(), "2");
    assert_eq!(scene.review.rollback(Some("before-rollback")).unwrap(), "before-rollback");
    assert_eq!(scene.listed(), later);
    scene.review.rollback(Some("first")).unwrap();
    scene.apply(&[]).unwrap();
    assert_eq!(
        tree(&scene.ws()).into_keys().map(|p| p.display().to_string()).collect::<Vec<_>>(),
        ["a", "one", "t", "two"]
    );
}

#[test]
fn what_moved_is_still_known_after_a_rollback() {
    let mut scene = Scene::new(&[("f", "1\n")]);
    scene.write("f", "2\n");
    scene.end();
    scene.review.snapshot(Some("s")).unwrap();
    put(&scene.ws(), "f", "mine\n");
    scene.review.rollback(Some("s")).unwrap();
    assert!(matches!(scene.apply(&[]), Err(ReviewError::Moved(_))));
}

#[test]
fn an_apply_is_undone_unless_what_landed_was_changed_since() {
    let mut scene = Scene::new(&[("a", "1"), ("b", "1"), ("t/x", "1")]);
    scene.write("a", "2");
    scene.delete("b");
    scene.replace("t");
    scene.write("d/new", "n");
    scene.end();
    let (before, waiting) = (tree(&scene.ws()), scene.listed());
    for paths in [&[][..], &["a", "t"]] {
        scene.apply(paths).unwrap();
        assert_ne!(tree(&scene.ws()), before);
        scene.review.rollback(Some(BEFORE_APPLY)).unwrap();
        assert_eq!(tree(&scene.ws()), before);
        assert_eq!(scene.listed(), waiting);
    }
    scene.apply(&[]).unwrap();
    put(&scene.ws(), "a", "mine");
    let landed = tree(&scene.ws());
    assert!(matches!(scene.review.rollback(Some(BEFORE_APPLY)), Err(ReviewError::Moved(_))));
    assert_eq!(tree(&scene.ws()), landed);
}

#[test]
fn a_label_is_a_name_and_nothing_else() {
    let scene = Scene::new(&[]);
    scene.write("x", "1");
    for bad in ["", ".", "..", "../x", "a/b", "before-apply", "before-rollback", "a b"] {
        assert!(matches!(scene.review.snapshot(Some(bad)), Err(ReviewError::Label { .. })), "{bad}");
    }
    scene.review.snapshot(Some("ok")).unwrap();
    assert!(matches!(scene.review.snapshot(Some("ok")), Err(ReviewError::Label { .. })));
}

#[test]
fn nothing_is_left_of_a_review_without_changes_or_of_one_that_is_discarded() {
    let mut scene = Scene::new(&[("f", "1")]);
    scene.write("f", "1");
    assert_eq!(scene.end(), 0);
    assert!(scene.shelf().names().is_empty());
    let mut scene = Scene::new(&[("f", "1")]);
    scene.write("d/f", "2");
    assert!(matches!(scene.shelf().open("t").unwrap().discard(), Err(ReviewError::Running(_))));
    scene.end();
    scene.shelf().open("t").unwrap().discard().unwrap();
    assert!(scene.shelf().names().is_empty());
    assert_eq!(tree(&scene.ws()).len(), 1);
}

//! What a layer becomes.

use crate::make::{Item, dir, file, hard, other, symlink, tar, unpacked};
use creel_image::LayerError;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use tar::EntryType;

/// Every name in the layer with what is there: `d`, `=contents`, `>target`, `w` for a whiteout; `o` for opaque.
fn shown(root: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let (path, meta) = (entry.path(), fs::symlink_metadata(entry.path()).unwrap());
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if meta.is_dir() {
                let mut value = [0; 8];
                let opaque = rustix::fs::lgetxattr(&path, "user.overlay.opaque", &mut value).is_ok();
                all.push(format!("{name} {}", if opaque { "o" } else { "d" }));
                walk(root, &path, all);
            } else if meta.is_symlink() {
                all.push(format!("{name} >{}", fs::read_link(&path).unwrap().display()));
            } else if meta.file_type().is_char_device() {
                assert_eq!(meta.rdev(), 0);
                all.push(format!("{name} w"));
            } else {
                all.push(format!("{name} ={}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    walk(root, root, &mut all);
    all.sort();
    all
}

fn check(items: &[Item], want: &[&str]) {
    let layer = tempfile::tempdir().unwrap();
    unpacked(layer.path(), items).unwrap();
    assert_eq!(shown(layer.path()), want);
}

#[test]
fn files_directories_and_links_are_as_they_were_packed() {
    check(
        &[
            dir("./"),
            dir("a/"),
            file("a/f", "x"),
            symlink("l", "/etc/x"),
            hard("h", "a/f"),
            file("new/deep/f", "y"),
        ],
        &["a d", "a/f =x", "h =x", "l >/etc/x", "new d", "new/deep d", "new/deep/f =y"],
    );
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    check(&[file(&long, "x")], &[&format!("{} d", "d".repeat(120)), &format!("{long} =x")]);
    check(&[file("/abs", "x")], &["abs =x"]);
}

#[test]
fn what_comes_later_replaces_what_was_there() {
    check(&[file("a", "1"), file("a", "2")], &["a =2"]);
    check(&[dir("a"), file("a/f", "1"), file("a", "2")], &["a =2"]);
    check(&[file("a", "1"), dir("a"), file("a/f", "2")], &["a d", "a/f =2"]);
    check(&[dir("a"), file("a/f", "1"), dir("a")], &["a d", "a/f =1"]);
    check(&[symlink("a", "b"), dir("a"), file("a/f", "x")], &["a d", "a/f =x"]);
    // The first name of a file that has two keeps its contents.
    check(&[file("a", "1"), hard("b", "a"), file("b", "2")], &["a =1", "b =2"]);
    check(&[file("a", "1"), hard("a", "a")], &["a =1"]);
}

#[test]
fn links_within_a_layer_lead_within_it() {
    check(
        &[dir("usr/lib"), symlink("lib", "/usr/lib"), file("lib/x", "1")],
        &["lib >/usr/lib", "usr d", "usr/lib d", "usr/lib/x =1"],
    );
    check(
        &[dir("d"), symlink("a", "../../../../d"), file("a/x", "1")],
        &["a >../../../../d", "d d", "d/x =1"],
    );
}

#[test]
fn whiteouts_become_what_an_overlay_reads() {
    check(&[file(".wh.gone", ""), file("d/.wh.x", "")], &["d d", "d/x w", "gone w"]);
    check(&[file("d/.wh..wh..opq", ""), file("d/f", "x")], &["d o", "d/f =x"]);
    check(&[file(".wh..wh.plnk", ""), file("d/.wh..wh.aufs", "")], &[]);
    // It speaks of the layers below, whatever the order.
    check(&[file(".wh.a", ""), file("a", "x")], &["a =x"]);
    check(&[file("a", "x"), file(".wh.a", "")], &["a =x"]);
    check(&[file(".wh.a", ""), dir("a"), file("a/f", "x")], &["a o", "a/f =x"]);
    check(&[dir("a"), file("a/f", "x"), file(".wh.a", "")], &["a o", "a/f =x"]);
}

#[test]
fn nothing_with_privileges_is_made() {
    let layer = tempfile::tempdir().unwrap();
    let mut items = vec![file("sudo", "x"), dir("closed"), file("closed/f", "x"), file("none", "x")];
    (items[0].mode, items[1].mode, items[3].mode) = (0o6755, 0o2000, 0);
    items.extend([
        other("null", EntryType::Char),
        other("disk", EntryType::Block),
        other("pipe", EntryType::Fifo),
    ]);
    let unpacked = unpacked(layer.path(), &items).unwrap();
    let mode = |name: &str| fs::metadata(layer.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("sudo"), mode("closed"), mode("none")), (0o755, 0o700, 0o400));
    assert_eq!(shown(layer.path()).len(), 4);
    let skipped = unpacked.skipped;
    assert_eq!((skipped.devices, skipped.others, skipped.set_id), (2, 1, 1));
    assert!(skipped.owners > 0);
    let own = fs::metadata(layer.path().join("sudo")).unwrap();
    assert_eq!(own.uid(), rustix::process::getuid().as_raw());
    assert_eq!(own.mtime(), 1_000_000);
}

#[test]
fn what_cannot_be_is_an_error() {
    let check = |items: &[Item]| {
        let layer = tempfile::tempdir().unwrap();
        let result = unpacked(layer.path(), items);
        assert!(matches!(result, Err(LayerError::Name { .. } | LayerError::Make { .. })), "{result:?}");
    };
    check(&[file("a/../b", "x")]);
    check(&[file("..", "x")]);
    check(&[file("./", "")].map(|mut item| {
        item.kind = EntryType::Symlink;
        item.text = b"x".to_vec();
        item
    }));
    check(&[hard("a", "missing")]);
    check(&[dir("d"), hard("a", "d")]);
    check(&[hard("a", "")]);
    check(&[symlink("a", "")]);
    check(&[file("a", "x"), file("a/b", "y")]);
    check(&[symlink("a", "a"), file("a/b", "y")]);
    check(&[symlink("a", "nowhere"), file("a/b", "y")]);
    check(&[file(".wh...", "")]);
    check(&[file(".wh.", "")]);
    check(&[file(&"n".repeat(256), "x")]);
    check(&[file(&"n/".repeat(2100), "x")]);
}

#[test]
fn the_digest_is_of_the_whole_stream() {
    let layer = tempfile::tempdir().unwrap();
    let stream = [tar(&[file("a", "x")]), b"behind the end".to_vec()].concat();
    let limits = creel_image::Limits::default();
    let unpacked = creel_image::unpack(&stream[..], crate::make::open(layer.path()), limits).unwrap();
    assert_eq!(unpacked.diff_id, creel_image::Sha256::of(&stream));
}

//! Images in files, and the store that they end in.

use crate::make::{Item, Layout, dir, file, symlink, tar};
use creel_image::{Access, Image, ImageError, Sha256, Source, Store, StoreError, Taken, take};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take(&self, source: &Source) -> Result<Taken, ImageError> {
        take(&self.store, source, &Access::default(), &|_| {})
    }

    fn count(&self, part: &str) -> usize {
        fs::read_dir(self.store.root().join(part)).unwrap().count()
    }

    /// A text of the image, from the topmost layer that has it.
    fn text(&self, image: &Image, name: &str) -> Option<String> {
        let held = self.store.hold(image).unwrap();
        held.directories.iter().find_map(|dir| fs::read_to_string(dir.join(name)).ok())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn two_layers(dir: &Path) -> PathBuf {
    let (low, high) = (tar(&[file("a", "low"), file("b", "low")]), tar(&[file("a", "high")]));
    Layout::new(dir).layer(&low, &gzip(&low)).layer(&high, &high).finish("v1")
}

/// All of a directory as a tar file.
fn archive(root: &Path, to: &Path) {
    fn add(items: &mut Vec<Item>, root: &Path, at: &Path) {
        for entry in fs::read_dir(at).unwrap().flatten() {
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            if entry.path().is_dir() {
                items.push(dir(&name));
                add(items, root, &entry.path());
            } else {
                let mut item = file(&name, "");
                item.text = fs::read(entry.path()).unwrap();
                items.push(item);
            }
        }
    }
    let mut items = Vec::new();
    add(&mut items, root, root);
    fs::write(to, tar(&items)).unwrap();
}

#[test]
fn a_layout_is_taken_from_a_directory_and_from_a_file() {
    let scene = Scene::new();
    let layout = two_layers(&scene.path("oci"));
    archive(&layout, &scene.path("oci.tar"));
    let sources = [
        Source::Layout(layout.clone(), None),
        Source::Layout(layout, Some("v1".into())),
        Source::Archive(scene.path("oci.tar"), Some("v1".into())),
        Source::Saved(scene.path("oci.tar"), None),
    ];
    for source in &sources {
        let taken = scene.take(source).unwrap();
        assert_eq!(scene.text(&taken.image, "a").as_deref(), Some("high"));
        assert_eq!(scene.text(&taken.image, "b").as_deref(), Some("low"));
        assert_eq!(taken.image.process.command(), ["run"]);
        assert_eq!(scene.store.named(&source.to_string()), Some(taken.image));
    }
    // One image, however often it is named.
    assert_eq!((scene.count("images"), scene.count("layers"), scene.count("tmp")), (1, 2, 0));
    let missing = scene.take(&Source::Layout(scene.path("oci"), Some("v2".into())));
    assert!(matches!(&missing, Err(ImageError::NoSuchName { known, .. }) if known == "v1"), "{missing:?}");
}

#[test]
fn what_docker_save_writes_is_taken() {
    let scene = Scene::new();
    let layer = tar(&[file("a", "saved")]);
    let config = json!({"os": "linux", "config": {"Entrypoint": ["e"], "Cmd": null},
        "rootfs": {"diff_ids": [Sha256::of(&layer).to_string(), Sha256::of(&layer).to_string()]}})
    .to_string();
    let manifest =
        json!([{"Config": "c.json", "RepoTags": ["acme/x:1"], "Layers": ["one/layer.tar", "two/layer.tar"]}]);
    let mut first = file("one/layer.tar", "");
    first.text = layer;
    let items = [
        first,
        symlink("two/layer.tar", "../one/layer.tar"),
        file("c.json", &config),
        file("manifest.json", &manifest.to_string()),
    ];
    fs::write(scene.path("saved.tar"), tar(&items)).unwrap();
    for name in [None, Some("acme/x:1".to_owned()), Some("1".to_owned())] {
        let taken = scene.take(&Source::Saved(scene.path("saved.tar"), name)).unwrap();
        assert_eq!(taken.image.process.command(), ["e"]);
        // The same layer twice is one directory.
        assert_eq!(scene.store.hold(&taken.image).unwrap().directories.len(), 1);
    }
}

#[test]
fn a_root_in_a_tar_file_is_an_image_of_one_layer() {
    let scene = Scene::new();
    let plain = tar(&[file("a", "root")]);
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (name, bytes) in [("r.tar", plain.clone()), ("r.tar.gz", gzip(&plain)), ("r.tar.zst", zstd)] {
        fs::write(scene.path(name), bytes).unwrap();
        let taken = scene.take(&Source::Tar(scene.path(name))).unwrap();
        assert_eq!(scene.text(&taken.image, "a").as_deref(), Some("root"));
    }
    assert_eq!((scene.count("images"), scene.count("layers"), scene.count("tmp")), (3, 1, 0));
}

#[test]
fn what_is_not_what_its_digest_says_is_not_taken() {
    let check = |what: &str, spoil: &dyn Fn(&Path)| {
        let scene = Scene::new();
        let layout = two_layers(&scene.path("oci"));
        spoil(&layout);
        let result = scene.take(&Source::Layout(layout, None));
        assert!(result.is_err(), "{what}");
        assert_eq!(
            (scene.count("images"), scene.count("refs"), scene.count("tmp")),
            (0, 0, 0),
            "{what}: {result:?}"
        );
    };
    let blobs = |layout: &Path| {
        fs::read_dir(layout.join("blobs/sha256")).unwrap().flatten().map(|e| e.path()).collect::<Vec<_>>()
    };
    for number in 0..4 {
        check("another blob", &|layout| {
            let mut all = blobs(layout);
            all.sort_by_key(|path| fs::metadata(path).unwrap().len());
            let mut bytes = fs::read(&all[number]).unwrap();
            // A byte that neither JSON nor tar minds.
            bytes.push(b'\n');
            fs::write(&all[number], bytes).unwrap();
        });
    }
    check("a layer with another one's digest", &|layout| {
        // The manifest is rewritten whole, so that only what is in the layer betrays it.
        let plain = tar(&[file("a", "evil")]);
        let good = tar(&[file("a", "good")]);
        Layout::new(layout).layer(&good, &plain).finish("v1");
    });
    check("a blob that leads out", &|layout| {
        for path in blobs(layout) {
            let text = fs::read(&path).unwrap();
            fs::write(layout.parent().unwrap().join("elsewhere"), text).unwrap();
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        }
    });
}

#[test]
fn an_interrupted_pull_leaves_nothing_that_counts() {
    let scene = Scene::new();
    fs::create_dir_all(scene.store.root().join("tmp/1-half/usr")).unwrap();
    fs::write(scene.store.root().join("tmp/1-half/usr/x"), "x").unwrap();
    let taken = scene.take(&Source::Layout(two_layers(&scene.path("oci")), None)).unwrap();
    assert_eq!(scene.count("tmp"), 0);
    // A layer that went away makes the image one that is not here.
    fs::remove_dir_all(scene.store.root().join("layers").join(taken.image.layers[0].hex())).unwrap();
    assert_eq!(scene.store.image(&taken.image.id), None);
    assert!(matches!(scene.store.hold(&taken.image), Err(StoreError::Incomplete(_))));
    let again = scene.take(&Source::Layout(scene.path("oci"), None)).unwrap();
    assert_eq!(again.image, taken.image);
}

#[test]
fn many_who_want_the_same_layer_have_it_once() {
    let scene = Scene::new();
    let layout = two_layers(&scene.path("oci"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| scene.take(&Source::Layout(layout.clone(), None)).unwrap());
        }
    });
    assert_eq!((scene.count("images"), scene.count("layers"), scene.count("tmp")), (1, 2, 0));
}

#[test]
fn what_a_sandbox_stands_on_is_not_removed() {
    let scene = Scene::new();
    let source = Source::Layout(two_layers(&scene.path("oci")), None);
    let taken = scene.take(&source).unwrap();
    let held = scene.store.hold(&taken.image).unwrap();
    assert_eq!(scene.store.remove(&source.to_string()).unwrap(), 0);
    assert!(held.directories.iter().all(|dir| dir.is_dir()));
    drop(held);
    assert!(scene.store.prune().unwrap() > 0);
    assert_eq!((scene.count("images"), scene.count("layers"), scene.count("refs")), (0, 0, 0));
    assert!(matches!(scene.store.remove("x"), Err(StoreError::Unknown(_))));
}

#[test]
fn images_that_share_a_layer_keep_it_for_each_other() {
    let scene = Scene::new();
    let shared = tar(&[file("s", "shared")]);
    for name in ["one", "two"] {
        let own = tar(&[file("n", name)]);
        let layout = Layout::new(&scene.path(name)).layer(&shared, &shared).layer(&own, &own).finish("x");
        scene.take(&Source::Layout(layout, None)).unwrap();
    }
    assert_eq!(scene.count("layers"), 3);
    scene.store.remove(&Source::Layout(scene.path("one"), None).to_string()).unwrap();
    assert_eq!(scene.count("layers"), 2);
    let left = scene.store.list().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(scene.text(left[0].1.as_ref().unwrap(), "s").as_deref(), Some("shared"));
}

#[test]
fn who_unpacks_can_write_to_the_store_and_nowhere_else() {
    let scene = Scene::new();
    let (store, outside) = (scene.store.clone(), scene.path("outside"));
    // The domain is the thread's, as the threads of other tests need theirs.
    let confined = std::thread::spawn(move || {
        assert!(fs::write(&outside, "before").is_ok());
        creel_image::confine(&store).unwrap();
        let read = fs::read_to_string(&outside).unwrap();
        (read, fs::write(&outside, "after").is_ok(), fs::write(store.root().join("tmp/x"), "x").is_ok())
    });
    assert_eq!(confined.join().unwrap(), ("before".to_owned(), false, true));
}

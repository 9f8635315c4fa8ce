//! Layers that want to write elsewhere. Each is unpacked by a reader that does what names say, too, which must come
//! to harm: a test of an attack that harms nobody shows nothing.

use crate::make::{Item, dir, file, hard, symlink, tar, unpacked};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A layer's directory and, beside it, what must stay as it is.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("layer")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/key"), "secret").unwrap();
        Self { dir }
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// What is outside; what the layer holds of its contents counts as taken from there.
    fn state(&self) -> BTreeMap<PathBuf, String> {
        let mut state = BTreeMap::new();
        for name in ["outside", "."] {
            for entry in fs::read_dir(self.dir.path().join(name)).unwrap().flatten() {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                state.insert(entry.path(), text);
            }
        }
        for entry in fs::read_dir(self.layer()).unwrap().flatten() {
            let own = fs::symlink_metadata(entry.path()).unwrap();
            if own.is_file() && fs::read_to_string(entry.path()).unwrap() == "secret" {
                state.insert(entry.path(), "taken".into());
            }
        }
        state
    }
}

/// Does what the names say.
fn naive(stream: &[u8], into: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = into.join(entry.path()?);
        let link = entry.link_name()?.map(|link| link.into_owned());
        fs::create_dir_all(path.parent().unwrap())?;
        match (entry.header().entry_type(), link) {
            (tar::EntryType::Directory, _) => fs::create_dir_all(&path)?,
            (tar::EntryType::Symlink, Some(to)) => std::os::unix::fs::symlink(to, &path)?,
            (tar::EntryType::Link, Some(to)) => fs::hard_link(into.join(to), &path)?,
            _ if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".wh.")) => {
                let name = path.file_name().unwrap().to_str().unwrap().trim_start_matches(".wh.").to_owned();
                fs::remove_file(path.with_file_name(name))?;
            }
            _ => {
                let mut text = Vec::new();
                entry.read_to_end(&mut text)?;
                fs::write(&path, text)?;
            }
        }
    }
    Ok(())
}

fn check(what: &str, items: &dyn Fn(&Place) -> Vec<Item>) {
    let harmed = Place::new();
    let before = harmed.state();
    let _ = naive(&tar(&items(&harmed)), &harmed.layer());
    assert_ne!(before, harmed.state(), "{what}: the attack harms nobody");

    let kept = Place::new();
    let before = kept.state();
    let result = unpacked(&kept.layer(), &items(&kept));
    assert_eq!(before, kept.state(), "{what}: {result:?}");
}

#[test]
fn no_entry_leads_out_of_its_layer() {
    check("dots", &|_| vec![file("../outside/new", "x")]);
    check("dots later", &|_| vec![dir("a"), file("a/../../outside/key", "x")]);
    check("absolute", &|p| vec![file(p.outside().join("key").to_str().unwrap(), "x")]);
    check("through an absolute link", &|p| vec![symlink("a", p.outside()), file("a/key", "x")]);
    check("through a relative link", &|_| vec![symlink("a", "../outside"), file("a/new", "x")]);
    check("through two links", &|p| vec![symlink("a", "b"), symlink("b", p.outside()), file("a/new", "x")]);
    check("through a link in a directory", &|_| {
        vec![dir("d"), symlink("d/a", "../../outside"), file("d/a/key", "x")]
    });
    check("a directory through a link", &|p| vec![symlink("a", p.outside()), dir("a/new")]);
    check("onto a link to a file", &|p| vec![symlink("a", p.outside().join("key")), file("a", "x")]);
    check("a link to somebody's file", &|p| vec![hard("a", p.outside().join("key"))]);
    check("a link by dots", &|_| vec![hard("a", "../outside/key")]);
    check("a link through a link", &|p| vec![symlink("s", p.outside()), hard("a", "s/key")]);
    check("a whiteout through a link", &|p| vec![symlink("a", p.outside()), file("a/.wh.key", "")]);
    check("a whiteout by dots", &|_| vec![file("../outside/.wh.key", "")]);
    check("through /proc", &|p| {
        let outside = p.outside();
        let link = format!("/proc/self/root{}", outside.display());
        vec![symlink("a", link), file("a/key", "x")]
    });
}

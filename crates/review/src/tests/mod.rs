//! Layers as an overlay leaves them, made by hand.

mod closed;
mod interrupted;
mod landing;
mod reading;
mod turning_back;

use crate::{Lent, Options, Review, Shelf};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A workspace, and a layer over it.
pub(super) struct Scene {
    dir: tempfile::TempDir,
    /// Where Creel's state is, when it is not beside the workspace.
    elsewhere: Option<tempfile::TempDir>,
    pub review: Review,
    /// While the sandbox runs.
    pub lent: Option<Lent>,
}

impl Scene {
    /// With these files in the workspace; a path that ends in `/` is a directory.
    pub fn new(files: &[(&str, &str)]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), None, files)
    }

    /// With the workspace on a file system in memory, and the state elsewhere.
    pub fn apart(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        Self::on(dir, Some(tempfile::tempdir().unwrap()), files)
    }

    fn on(dir: tempfile::TempDir, elsewhere: Option<tempfile::TempDir>, files: &[(&str, &str)]) -> Self {
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir(top.join("ws")).unwrap();
        files.iter().for_each(|(path, text)| put(&top.join("ws"), path, text));
        let state = elsewhere.as_ref().map_or(&*top, |dir| dir.path()).join("state");
        let shelf = Shelf::at(&state);
        // The clock of a file system is coarse: what came before must be older.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let lent = shelf.lend("t", &top.join("ws")).unwrap();
        let review = shelf.open("t").unwrap();
        Self { dir, elsewhere, review, lent: Some(lent) }
    }

    pub fn ws(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("ws")
    }

    pub fn upper(&self) -> PathBuf {
        self.review.layer().join("upper")
    }

    pub fn shelf(&self) -> Shelf {
        let at = self.elsewhere.as_ref().unwrap_or(&self.dir);
        Shelf::at(&at.path().canonicalize().unwrap().join("state"))
    }

    /// Writes into the layer.
    pub fn write(&self, path: &str, text: &str) {
        put(&self.upper(), path, text);
    }

    /// Marks as deleted.
    pub fn delete(&self, path: &str) {
        let path = self.upper().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    /// Makes a directory that hides what lies below it.
    pub fn replace(&self, path: &str) {
        fs::create_dir_all(self.upper().join(path)).unwrap();
        rustix::fs::setxattr(self.upper().join(path), crate::compare::OPAQUE, b"y", XattrFlags::empty())
            .unwrap();
    }

    /// The sandbox ends.
    pub fn end(&mut self) -> usize {
        self.lent.take().unwrap().end().unwrap()
    }

    /// `A path`, `M path`, ...
    pub fn listed(&self) -> Vec<String> {
        let changes = self.review.changes().unwrap();
        changes.iter().map(|change| format!("{} {}", change.letter(), change.shown())).collect()
    }

    pub fn apply(&self, paths: &[&str]) -> Result<crate::Landed, crate::ReviewError> {
        self.review.apply(&Options { paths: paths.iter().map(PathBuf::from).collect(), ..Options::default() })
    }
}

pub(super) fn put(top: &Path, path: &str, text: &str) {
    let full = top.join(path);
    if path.ends_with('/') {
        fs::create_dir_all(full).unwrap();
    } else {
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
    }
}

/// Everything beneath a directory: kind and mode, and what is in it or where it leads.
pub(super) fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    gather(dir, dir, &mut found);
    found
}

fn gather(top: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
        let mode = meta.permissions().mode();
        let what = if meta.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_dir() {
            gather(top, &path, found);
            "directory".to_owned()
        } else {
            format!("{} names: {}", meta.nlink(), String::from_utf8_lossy(&fs::read(&path).unwrap()))
        };
        found.insert(path.strip_prefix(top).unwrap().to_owned(), format!("{mode:o} {what}"));
    }
}

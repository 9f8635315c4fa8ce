//! What the workspace was when the sandbox took its files: so that it can be told whether it moved since, and merged
//! with what moved.
//!
//! The overlay copies a file when it is first written, and nobody is told. So nothing is watched and no baseline of a
//! whole tree is made: when a run ends, each file of the layer is looked up in the workspace. What was not changed
//! there since the layer's own was born is what the sandbox saw; that is noted, and small texts are kept for a merge.

use crate::ReviewError;
use crate::beneath::Root;
use crate::change::{Change, Moved};
use crate::compare::Both;
use crate::content;
use crate::node::{Kind, Node, Print};
use crate::spelling;
use creel_kernel::{Named, SysError};
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The largest text that is kept for a merge, and the most that is kept in all.
pub(crate) const TEXT: u64 = 1 << 20;
const ALL: u64 = 256 << 20;

const NOTES: &str = "base.json";
const TEXTS: &str = "base";

/// What was noted of each path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Base {
    entries: BTreeMap<String, Sealed>,
    next: u64,
}

/// What was noted of one path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// What stood in the workspace; nothing when nothing did.
    lower: Option<Print>,
    /// How the workspace had moved by then already.
    moved: Option<Moved>,
    /// Where what was in it is kept.
    text: Option<String>,
}

impl<'a> Deserialize<'a> for Moved {
    fn deserialize<D: serde::Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "changed" => Ok(Self::Changed),
            "changed_meanwhile" => Ok(Self::ChangedMeanwhile),
            "gone" => Ok(Self::Gone),
            "appeared" => Ok(Self::Appeared),
            other => Err(serde::de::Error::unknown_variant(other, &["changed"])),
        }
    }
}

impl Sealed {
    /// How the workspace moved, when this is what stands there now.
    pub fn moved(&self, now: Option<&Stat>) -> Option<Moved> {
        let now = now.map(Print::of);
        match (&self.lower, now) {
            _ if self.moved.is_some() => self.moved,
            (then, now) if *then == now => None,
            (Some(_), None) => Some(Moved::Gone),
            (None, Some(_)) => Some(Moved::Appeared),
            _ => Some(Moved::Changed),
        }
    }
}

impl Base {
    /// What was noted before, in the directory of a review.
    pub fn read(dir: &Path) -> Result<Self, ReviewError> {
        let path = dir.join(NOTES);
        let bad = |why: String| ReviewError::Notes { path: path.clone(), why };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// What was noted of a path.
    pub fn of(&self, path: &Path) -> Option<&Sealed> {
        self.entries.get(&spelling::spell(path))
    }

    /// The text that a path had, if it was kept.
    pub fn text(&self, dir: &Path, path: &Path) -> Option<Vec<u8>> {
        let name = self.of(path)?.text.as_ref()?;
        std::fs::read(dir.join(TEXTS).join(name)).ok()
    }

    /// Notes what is new among `changes`, forgets what is none any more, and writes it down. A path that was noted
    /// before stays as it was: the sandbox goes on with what it had.
    pub fn seal(mut self, dir: &Path, both: &Both<'_>, changes: &[Change]) -> Result<(), ReviewError> {
        let texts = dir.join(TEXTS);
        std::fs::create_dir_all(&texts).named("mkdir", texts.display())?;
        let mut kept = BTreeMap::new();
        let mut left = ALL;
        for change in changes {
            let key = spelling::spell(&change.path);
            let sealed = match self.entries.remove(&key) {
                Some(sealed) => sealed,
                None => self.look(&texts, both, change, &mut left)?,
            };
            kept.insert(key, sealed);
        }
        for gone in self.entries.values().filter_map(|sealed| sealed.text.as_ref()) {
            let _ = std::fs::remove_file(texts.join(gone)); // only space is lost
        }
        self.entries = kept;
        self.write(dir)
    }

    fn write(&self, dir: &Path) -> Result<(), ReviewError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ReviewError::Notes { path: dir.join(NOTES), why: error.to_string() })?;
        crate::store::replace(&dir.join(NOTES), &bytes).map_err(ReviewError::from)
    }

    /// Keeps what is noted in `layer` in `aside`, too: the texts never change, so a second name is enough.
    pub fn set_aside(layer: &Path, aside: &Path) -> Result<(), ReviewError> {
        link_all(&layer.join(TEXTS), &aside.join(TEXTS))?;
        Self::read(layer)?.write(aside)
    }

    /// Takes back what was set aside. Of `paths` the workspace holds again what it held, in new files.
    pub fn take_back(layer: &Path, aside: &Path, lower: &Root, paths: &[PathBuf]) -> Result<(), ReviewError> {
        link_all(&aside.join(TEXTS), &layer.join(TEXTS))?;
        let (mut base, now) = (Self::read(aside)?, Self::read(layer)?);
        base.next = base.next.max(now.next);
        for path in paths {
            let print = lower.stat(path)?.as_ref().map(Print::of);
            if let Some(sealed) = base.entries.get_mut(&spelling::spell(path)) {
                sealed.lower = print;
            }
        }
        base.write(layer)
    }

    fn look(
        &mut self,
        texts: &Path,
        both: &Both<'_>,
        change: &Change,
        left: &mut u64,
    ) -> Result<Sealed, ReviewError> {
        let stat = both.lower.stat(&change.path)?;
        let moved = change.moved;
        let node = stat.as_ref().map(Node::of).filter(|node| node.kind == Kind::File);
        let mut text = None;
        if let Some(node) = node.filter(|node| moved.is_none() && node.size <= TEXT.min(*left)) {
            let name = format!("{}", self.next);
            if keep(both.lower, &change.path, &node, &texts.join(&name))? {
                *left -= node.size;
                self.next += 1;
                text = Some(name);
            }
        }
        Ok(Sealed { lower: stat.as_ref().map(Print::of), moved, text })
    }
}

/// Gives every file of one directory the same name in another, too.
fn link_all(from: &Path, to: &Path) -> Result<(), SysError> {
    std::fs::create_dir_all(to).named("mkdir", to.display())?;
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        match std::fs::hard_link(entry.path(), to.join(entry.file_name())) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).named("link", to.display());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps a copy; false when the file cannot be read.
fn keep(lower: &Root, path: &Path, node: &Node, to: &Path) -> Result<bool, SysError> {
    let from = match lower.at(path, OFlags::RDONLY) {
        Ok(from) => from,
        Err(error) if matches!(error.errno, Errno::ACCESS | Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error),
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let to: OwnedFd = rustix::fs::open(to, flags, Mode::RUSR | Mode::WUSR).named("open", to.display())?;
    content::copy(&from, &to, node.size, &lower.full(path))?;
    Ok(true)
}

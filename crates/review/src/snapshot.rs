//! Snapshots: what a sandbox had changed at one time, kept beside its layer, and brought back whole.
//!
//! A snapshot is a copy of the layer, not of the workspace: it costs what was changed. It holds what was noted of the
//! workspace, too, so that a move underneath is told from the time of the snapshot on. Bringing one back is one
//! exchange of directories; what it replaces is itself kept, as `before-rollback`.
//!
//! `before-apply` is none of these: it stands for what the last apply replaced in the workspace ([`crate::land`]), and
//! bringing it back takes that apply out of the workspace again.

use crate::tree::copy_tree;
use crate::{Review, ReviewError, store};
use creel_kernel::{Named, SysError};
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The label that undoes the last apply.
pub const BEFORE_APPLY: &str = "before-apply";
/// The label of what the last rollback replaced.
const BEFORE_ROLLBACK: &str = "before-rollback";

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name.
    pub label: String,
    /// When it was taken, in UTC.
    pub time: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    /// In microseconds since 1970.
    time: i64,
}

impl Review {
    /// The snapshots of this review, the oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, ReviewError> {
        let mut all = self.taken()?;
        if let Some(undo) = crate::land::Undo::read(self)? {
            all.push((undo.time * 1000, BEFORE_APPLY.to_owned()));
        }
        all.sort();
        Ok(all.into_iter().map(|(time, label)| Snapshot { label, time: clock(time) }).collect())
    }

    fn taken(&self) -> Result<Vec<(i64, String)>, ReviewError> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.shelf_of_snapshots()).into_iter().flatten().flatten() {
            let Ok(label) = entry.file_name().into_string() else { continue };
            let Ok(bytes) = fs::read(entry.path().join("taken.json")) else { continue };
            let taken: Taken = serde_json::from_slice(&bytes).map_err(|error| ReviewError::Notes {
                path: entry.path().join("taken.json"),
                why: error.to_string(),
            })?;
            all.push((taken.time, label));
        }
        all.sort();
        Ok(all)
    }

    /// Keeps what was changed so far. While the sandbox runs each file is whole as of one moment, but they need not be
    /// of the same one; a file that is written all the time cannot be kept.
    pub fn snapshot(&self, label: Option<&str>) -> Result<Snapshot, ReviewError> {
        let _lock = self.lock()?;
        self.recover_locked()?;
        let label = self.free_label(label)?;
        let next = self.dir().join("snapshot.next");
        store::remove_tree(&next)?;
        self.seal_locked()?;
        self.copy_layer(&self.layer(), &next)?;
        let snapshot = self.file_under(&next, &label)?;
        Ok(snapshot)
    }

    fn free_label(&self, wanted: Option<&str>) -> Result<String, ReviewError> {
        let bad = |label: &str, why| Err(ReviewError::Label { label: label.to_owned(), why });
        let taken = |label: &str| self.shelf_of_snapshots().join(label).exists();
        let Some(label) = wanted else {
            return Ok((1u32..).map(|n| n.to_string()).find(|n| !taken(n)).unwrap_or_default());
        };
        match label {
            BEFORE_APPLY | BEFORE_ROLLBACK => bad(label, "Creel keeps that name for its own"),
            _ if !is_label(label) => bad(label, "1 to 64 of A-Z a-z 0-9 - _ . not beginning with a dot"),
            _ if taken(label) => bad(label, "there is one already"),
            _ => Ok(label.to_owned()),
        }
    }

    /// Copies a layer, but for the overlay's work directory.
    fn copy_layer(&self, from: &Path, to: &Path) -> Result<(), ReviewError> {
        make(to)?;
        copy_tree(&from.join("upper"), &to.join("upper"))?;
        if from.join("base").is_dir() {
            copy_tree(&from.join("base"), &to.join("base"))?;
        }
        if from.join("base.json").is_file() {
            fs::copy(from.join("base.json"), to.join("base.json")).named("copy", "base.json")?;
        }
        Ok(())
    }

    /// Gives a finished copy its label, on stable storage first.
    fn file_under(&self, next: &Path, label: &str) -> Result<Snapshot, ReviewError> {
        let time = jiff::Timestamp::now().as_microsecond();
        let bytes = serde_json::to_vec(&Taken { time })
            .map_err(|error| ReviewError::Notes { path: next.join("taken.json"), why: error.to_string() })?;
        store::replace(&next.join("taken.json"), &bytes)?;
        let dir = fs::File::open(next).named("open", next.display())?;
        rustix::fs::syncfs(&dir).named("syncfs", next.display())?;
        let shelf = self.shelf_of_snapshots();
        if !shelf.is_dir() {
            make(&shelf)?;
        }
        let to = shelf.join(label);
        store::remove_tree(&to)?;
        fs::rename(next, &to).named("rename", to.display())?;
        Ok(Snapshot { label: label.to_owned(), time: clock(time) })
    }

    /// Brings back what a snapshot kept, the newest when none is named; `before-apply` undoes the last apply. Gives the
    /// label.
    pub fn rollback(&self, label: Option<&str>) -> Result<String, ReviewError> {
        let _lock = self.lock()?;
        let _idle = self.idle()?;
        self.recover_locked()?;
        let none = |label: &str| ReviewError::NoSnapshot(label.to_owned());
        let label = match label {
            Some(label) => label.to_owned(),
            None => {
                let mut own = self.taken()?;
                own.retain(|(_, label)| label != BEFORE_ROLLBACK);
                own.pop().ok_or_else(|| none("newest"))?.1
            }
        };
        if label == BEFORE_APPLY {
            self.undo()?;
            return Ok(label);
        }
        let from = self.shelf_of_snapshots().join(&label);
        if !is_label(&label) || !from.join("taken.json").is_file() {
            return Err(none(&label));
        }
        self.bring_back(&from)?;
        Ok(label)
    }

    fn bring_back(&self, from: &Path) -> Result<(), ReviewError> {
        let next = self.dir().join("layer.next");
        store::remove_tree(&next)?;
        self.copy_layer(from, &next)?;
        make(&next.join("work"))?;
        let dir = fs::File::open(&next).named("open", next.display())?;
        rustix::fs::syncfs(&dir).named("syncfs", next.display())?;
        rustix::fs::renameat_with(CWD, &next, CWD, self.layer(), RenameFlags::EXCHANGE)
            .named("renameat2", next.display())?;
        // From here on it is done; what is replaced is kept if it can be.
        store::remove_tree(&next.join("work"))?;
        self.file_under(&next, BEFORE_ROLLBACK).map(drop)
    }

    fn shelf_of_snapshots(&self) -> PathBuf {
        self.dir().join("snapshots")
    }
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&label.len()) && !label.starts_with('.') && label.bytes().all(plain)
}

fn make(dir: &Path) -> Result<(), SysError> {
    fs::DirBuilder::new().mode(0o700).create(dir).named("mkdir", dir.display())
}

fn clock(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

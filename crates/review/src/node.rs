//! One file, directory or link: what of it a person sees, and what tells whether it is still the same.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device: it never lands.
    Special,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What kind of thing.
    pub kind: Kind,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Size in bytes; of a link, that of its target's name.
    pub size: u64,
    /// How many names it has.
    #[serde(skip)]
    pub names: u64,
    /// Its owner and group.
    #[serde(skip)]
    pub(crate) owner: (u32, u32),
    #[serde(skip)]
    pub(crate) print: Print,
}

/// Enough of an inode to tell whether it is still the one that was looked at, with what was in it. The time of the
/// last status change is left out: renaming sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    pub inode: u64,
    pub size: u64,
    /// Last change of what is in it, in nanoseconds since 1970.
    pub modified: i128,
}

/// Nanoseconds since 1970.
pub(crate) fn nanoseconds(seconds: i64, fraction: u64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(fraction)
}

impl Node {
    pub(crate) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            names: u64::from(stat.st_nlink as u32),
            owner: (stat.st_uid, stat.st_gid),
            print: Print::of(stat),
        }
    }
}

impl Print {
    pub fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            // A directory's size and time change with every name in it.
            size: if is_dir(stat) { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) },
            modified: if is_dir(stat) { 0 } else { nanoseconds(stat.st_mtime, stat.st_mtime_nsec) },
        }
    }
}

fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The mark that an overlay leaves for what was deleted.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

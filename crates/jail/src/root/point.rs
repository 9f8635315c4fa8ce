//! Mount points: where a place stands, found without following a symbolic link and made only in file systems that
//! are the sandbox's own.

use super::Ground;
use creel_kernel::{Named, SysError};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// What kind of thing must stand at a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

impl Kind {
    pub fn of(fd: &OwnedFd) -> Result<Self, SysError> {
        let stat = rustix::fs::fstat(fd).named("fstat", "a place")?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Ok(if directory { Self::Directory } else { Self::File })
    }
}

/// The path without its leading slash, if it is absolute, normal and not the root.
pub(super) fn inside(at: &Path) -> Option<&Path> {
    let path = at.strip_prefix("/").ok()?;
    let normal = path.components().all(|c| matches!(c, Component::Normal(_)));
    (normal && !path.as_os_str().is_empty()).then_some(path)
}

/// What stands at the path, if anything does.
pub(super) fn find(ground: &Ground, path: &Path) -> Result<Option<OwnedFd>, SysError> {
    // Not O_NOFOLLOW: with it the last component may be a link, which is then opened itself.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&ground.root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        found => found.named("openat2", format_args!("/{}", path.display())).map(Some),
    }
}

/// The mount point at the path, made with its parents where the sandbox's own file systems are; `None` where it is
/// missing in somebody else's.
pub(super) fn find_or_make(ground: &Ground, path: &Path, kind: Kind) -> Result<Option<OwnedFd>, SysError> {
    if let Some(found) = find(ground, path)? {
        return Ok(Some(found));
    }
    let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
    parents.reverse();
    for dir in parents {
        if find(ground, dir)?.is_none() && !make(ground, dir, Kind::Directory)? {
            return Ok(None);
        }
    }
    if make(ground, path, kind)? { find(ground, path) } else { Ok(None) }
}

/// Makes one thing in its parent, if that is on a file system of the sandbox's own.
fn make(ground: &Ground, path: &Path, kind: Kind) -> Result<bool, SysError> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let parent = if parent.as_os_str().is_empty() {
        ground.root.try_clone().named("dup", "the new root").map(Some)?
    } else {
        find(ground, parent)?
    };
    let Some(parent) = parent else { return Ok(false) };
    let stat = rustix::fs::fstat(&parent).named("fstat", path.display())?;
    if !ground.own.contains(&stat.st_dev) {
        return Ok(false);
    }
    match kind {
        Kind::Directory => {
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).named("mkdir", path.display())
        }
        Kind::File => rustix::fs::mknodat(&parent, name, FileType::RegularFile, Mode::empty(), 0)
            .named("mknod", path.display()),
    }?;
    Ok(true)
}

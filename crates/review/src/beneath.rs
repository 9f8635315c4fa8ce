//! One directory and what lies beneath it, reached without following a symbolic link, without leaving it, and without
//! crossing into another file system.
//!
//! Both sides of a review may be written while they are read: the layer by its sandbox, the workspace by anybody. A
//! path that was looked at is therefore never trusted a second time; every act names its parent directory by a
//! descriptor that the kernel resolved beneath the root.

use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A directory beneath which things are looked up.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// The directory of an absolute path that leads over no symbolic link.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
            .named("openat2", path.display())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The path in full, for messages.
    pub fn full(&self, rel: &Path) -> PathBuf {
        if rel.as_os_str().is_empty() { self.path.clone() } else { self.path.join(rel) }
    }

    /// The directory itself.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens what is at `rel`; the last name is not followed either.
    pub fn at(&self, rel: &Path, flags: OFlags) -> Result<OwnedFd, SysError> {
        let name = if rel.as_os_str().is_empty() { Path::new(".") } else { rel };
        // Opening a pipe must not wait for its other end.
        let patient = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
        let flags = flags | patient | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), RESOLVE)
            .named("openat2", self.full(rel).display())
    }

    /// The parent directory of `rel`, and its name there.
    pub fn parent<'a>(&self, rel: &'a Path) -> Result<(OwnedFd, &'a OsStr), SysError> {
        let name = rel
            .file_name()
            .ok_or_else(|| SysError::new("openat2", self.full(rel).display(), Errno::INVAL))?;
        let dir = self.at(rel.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY)?;
        Ok((dir, name))
    }

    /// What stands at `rel`, a link not followed; `None` when nothing does, or a parent is missing or no directory.
    pub fn stat(&self, rel: &Path) -> Result<Option<Stat>, SysError> {
        if rel.as_os_str().is_empty() {
            return rustix::fs::fstat(&self.fd).named("fstat", self.path.display()).map(Some);
        }
        let (dir, name) = match self.parent(rel) {
            Ok(found) => found,
            Err(error) if absent(error.errno) => return Ok(None),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(errno) if absent(errno) => Ok(None),
            Err(errno) => Err(SysError::new("fstatat", self.full(rel).display(), errno)),
        }
    }

    /// The names in the directory at `rel`, sorted.
    pub fn names(&self, rel: &Path) -> Result<Vec<OsString>, SysError> {
        names(self.at(rel, OFlags::RDONLY | OFlags::DIRECTORY)?, &self.full(rel))
    }

    /// Where the symbolic link at `rel` leads.
    pub fn link(&self, rel: &Path) -> Result<OsString, SysError> {
        let (dir, name) = self.parent(rel)?;
        let target =
            rustix::fs::readlinkat(&dir, name, Vec::new()).named("readlinkat", self.full(rel).display())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }
}

/// The names in an open directory, sorted, without `.` and `..`.
pub(crate) fn names(dir: impl AsFd, shown: &Path) -> Result<Vec<OsString>, SysError> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).named("readdir", shown.display())? {
        let entry = entry.named("readdir", shown.display())?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Nothing is there, or what should lead there is something else by now.
fn absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

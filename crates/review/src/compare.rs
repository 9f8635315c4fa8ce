//! Reads the layer against the workspace: what a merged view of both would show, and the workspace alone does not.
//!
//! What the layer holds but does not differ (a file that was opened for writing and not written, one that was applied
//! since) is no change. Only what is in a file, its mode, its own attributes and where a link leads are compared,
//! always in full: times can be set by whom they would convict.

use crate::ReviewError;
use crate::base::Base;
use crate::beneath::Root;
use crate::change::{Change, Moved, What};
use crate::content;
use crate::node::{Kind, Node, is_whiteout, nanoseconds};
use crate::notes;
use creel_kernel::SysError;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The deepest path that is read.
const DEEPEST: usize = 256;
/// The most changes that are listed.
const MOST: usize = 2_000_000;

/// Both sides of a review.
pub(crate) struct Both<'a> {
    pub upper: &'a Root,
    pub lower: &'a Root,
    pub base: &'a Base,
}

/// Every change, sorted by path.
pub(crate) fn changes(both: &Both<'_>) -> Result<Vec<Change>, ReviewError> {
    let mut walk = Walk { both, found: Vec::new() };
    let top = Path::new("");
    let below = both.lower.stat(top)?;
    let above = both.upper.stat(top)?.ok_or_else(|| strange(top, "the layer is gone"))?;
    walk.directory(top, &above, below.as_ref())?;
    let mut found = walk.found;
    // A file that was renamed began as a copy of what is deleted under its old name: nothing of it is gone.
    let renamed = found.iter().any(|change| matches!(change.what, What::Deleted(_)));
    for change in found.iter_mut().filter(|_| renamed) {
        if change.moved == Some(Moved::Gone) && both.base.of(&change.path).is_none() {
            change.moved = None;
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

struct Walk<'a> {
    both: &'a Both<'a>,
    found: Vec<Change>,
}

impl Walk<'_> {
    /// One name of the layer, with what the workspace has under the same name, if that shows through.
    fn entry(&mut self, path: &Path, upper: &Stat, lower: Option<&Stat>) -> Result<(), ReviewError> {
        if is_whiteout(upper) {
            return lower.map_or(Ok(()), |lower| self.deleted(path, lower, Some(upper)));
        }
        let (after, before) = (Node::of(upper), lower.map(Node::of));
        if after.kind == Kind::Directory {
            return self.directory(path, upper, lower);
        }
        if let (Some(lower), Some(Kind::Directory)) = (lower, before.map(|b| b.kind)) {
            self.beneath_deleted(path, lower)?;
        }
        let what = match before {
            None => What::Added(after),
            Some(before) => match self.difference(path, &before, &after)? {
                None => return Ok(()),
                Some(content) => What::Modified { before, after, content },
            },
        };
        self.add(path, what, Some(upper), lower)
    }

    fn directory(&mut self, path: &Path, upper: &Stat, lower: Option<&Stat>) -> Result<(), ReviewError> {
        if path.components().count() > DEEPEST {
            return Err(strange(path, "it lies too deep"));
        }
        let after = Node::of(upper);
        let under = lower.filter(|lower| Node::of(lower).kind == Kind::Directory);
        match (lower.map(Node::of), under) {
            (None, _) => self.add(path, What::Added(after), Some(upper), None)?,
            (Some(before), None) => {
                self.add(path, What::Modified { before, after, content: true }, Some(upper), lower)?;
            }
            (Some(before), Some(_)) if before.mode != after.mode => {
                let what = What::Modified { before, after, content: false };
                self.add(path, what, Some(upper), lower)?;
            }
            _ => {}
        }
        let opaque = self.is_opaque(path)?;
        let names = with_access(self.both.upper, path, &after, OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(|dir| crate::beneath::names(dir, &self.both.upper.full(path)))?;
        for name in &names {
            let child = path.join(name);
            let Some(stat) = self.both.upper.stat(&child)? else { continue };
            let below = if under.is_some() { self.both.lower.stat(&child)? } else { None };
            self.entry(&child, &stat, below.as_ref())?;
        }
        if opaque && under.is_some() { self.hidden_below(path, &names, upper) } else { Ok(()) }
    }

    /// What an opaque directory hides of the workspace's.
    fn hidden_below(&mut self, path: &Path, kept: &[OsString], upper: &Stat) -> Result<(), ReviewError> {
        let kept: BTreeSet<&OsStr> = kept.iter().map(OsString::as_os_str).collect();
        for name in self.both.lower.names(path)? {
            if !kept.contains(name.as_os_str()) {
                let child = path.join(&name);
                if let Some(lower) = self.both.lower.stat(&child)? {
                    self.deleted(&child, &lower, Some(upper))?;
                }
            }
        }
        Ok(())
    }

    fn deleted(&mut self, path: &Path, lower: &Stat, upper: Option<&Stat>) -> Result<(), ReviewError> {
        self.add(path, What::Deleted(Node::of(lower)), upper, Some(lower))?;
        if Node::of(lower).kind == Kind::Directory { self.beneath_deleted(path, lower) } else { Ok(()) }
    }

    fn beneath_deleted(&mut self, path: &Path, _: &Stat) -> Result<(), ReviewError> {
        if path.components().count() > DEEPEST {
            return Err(strange(path, "it lies too deep"));
        }
        for name in self.both.lower.names(path)? {
            let child = path.join(&name);
            if let Some(lower) = self.both.lower.stat(&child)? {
                self.deleted(&child, &lower, None)?;
            }
        }
        Ok(())
    }

    /// `None` when nothing differs, else whether what is in it does.
    fn difference(&self, path: &Path, before: &Node, after: &Node) -> Result<Option<bool>, ReviewError> {
        let (upper, lower) = (self.both.upper, self.both.lower);
        let content = match (before.kind, after.kind) {
            (Kind::File, Kind::File) if before.size != after.size => true,
            (Kind::File, Kind::File) => {
                let ours = with_access(upper, path, after, OFlags::RDONLY)?;
                match lower.at(path, OFlags::RDONLY) {
                    Ok(theirs) => !content::same(&ours, &theirs, after.size, path)?,
                    Err(error) if error.errno == Errno::ACCESS => true,
                    Err(error) => return Err(error.into()),
                }
            }
            (Kind::Link, Kind::Link) => upper.link(path)? != lower.link(path)?,
            _ => true,
        };
        let kind = after.kind;
        let mode = kind == Kind::File && before.mode != after.mode;
        let attributes = || -> Result<bool, SysError> {
            Ok(kind == Kind::File && attributes(upper, path)? != attributes(lower, path)?)
        };
        Ok((content || mode || attributes()?).then_some(content))
    }

    fn add(
        &mut self,
        path: &Path,
        what: What,
        upper: Option<&Stat>,
        lower: Option<&Stat>,
    ) -> Result<(), ReviewError> {
        if self.found.len() >= MOST {
            return Err(strange(path, "there are more than two million changes"));
        }
        let time = upper.filter(|upper| !is_whiteout(upper) || upper.st_nlink <= 2).map(changed_at);
        let mut change = Change { path: path.to_owned(), what, time, notes: Vec::new(), moved: None };
        let leads = match change.after() {
            Some(node) if node.kind == Kind::Link => Some(self.both.upper.link(path)?),
            _ => None,
        };
        change.notes = notes::on(path, change.before(), change.after(), leads.as_deref());
        change.moved = self.moved(&change, lower)?;
        self.found.push(change);
        Ok(())
    }

    /// Whether the workspace is no longer what the sandbox saw.
    fn moved(&self, change: &Change, lower: Option<&Stat>) -> Result<Option<Moved>, ReviewError> {
        let path = &change.path;
        if let Some(sealed) = self.both.base.of(path) {
            return Ok(sealed.moved(lower));
        }
        moved_since_written(self.both, path, lower)
    }
}

/// Whether the workspace's file was changed after the layer got its own: the layer's file was born when the sandbox
/// first wrote it, and until then the sandbox saw the workspace's.
fn moved_since_written(
    both: &Both<'_>,
    path: &Path,
    lower: Option<&Stat>,
) -> Result<Option<Moved>, ReviewError> {
    let Some(lower) = lower else {
        return Ok(is_gone(both, path)?.then_some(Moved::Gone));
    };
    if Node::of(lower).kind == Kind::Directory {
        return Ok(None); // what is in it is judged by itself
    }
    let changed = nanoseconds(lower.st_ctime, lower.st_ctime_nsec);
    let Some(born) = born(both.upper, path)? else { return Ok(None) };
    Ok((changed >= born).then_some(Moved::ChangedMeanwhile))
}

/// When the layer's inode at `path`, or what stands there for all above it, came to be.
fn born(upper: &Root, path: &Path) -> Result<Option<i128>, SysError> {
    for at in path.ancestors().filter(|at| !at.as_os_str().is_empty()) {
        if upper.stat(at)?.is_none() {
            continue;
        }
        let (dir, name) = upper.parent(at)?;
        let wanted = StatxFlags::BTIME;
        let Ok(found) = rustix::fs::statx(&dir, name, AtFlags::SYMLINK_NOFOLLOW, wanted) else {
            return Ok(None);
        };
        let told = StatxFlags::from_bits_retain(found.stx_mask).contains(wanted);
        return Ok(told.then(|| nanoseconds(found.stx_btime.tv_sec, found.stx_btime.tv_nsec.into())));
    }
    Ok(None)
}

fn changed_at(stat: &Stat) -> i64 {
    i64::try_from(nanoseconds(stat.st_ctime, stat.st_ctime_nsec) / 1_000_000).unwrap_or(0)
}

impl Walk<'_> {
    fn is_opaque(&self, path: &Path) -> Result<bool, ReviewError> {
        for (name, why) in [
            ("user.overlay.redirect", "it is a redirect, which Creel's overlays have not"),
            ("user.overlay.metacopy", "its contents lie elsewhere, which Creel's overlays have not"),
        ] {
            if attribute(self.both.upper, path, name)?.is_some() {
                return Err(strange(path, why));
            }
        }
        Ok(attribute(self.both.upper, path, OPAQUE)?.is_some_and(|value| value == b"y"))
    }
}

/// The mark of a directory that hides what lies below it.
pub(crate) const OPAQUE: &str = "user.overlay.opaque";

/// Whether the layer's file began as a copy of one of the workspace's, and the directory there lost or got a name since.
fn is_gone(both: &Both<'_>, path: &Path) -> Result<bool, SysError> {
    if attribute(both.upper, path, "user.overlay.origin")?.is_none() {
        return Ok(false);
    }
    let Some(parent) = both.lower.stat(path.parent().unwrap_or(Path::new("")))? else { return Ok(false) };
    let named = nanoseconds(parent.st_mtime, parent.st_mtime_nsec);
    Ok(born(both.upper, path)?.is_some_and(|born| named >= born))
}

fn strange(path: &Path, why: &'static str) -> ReviewError {
    ReviewError::Strange { path: path.to_owned(), why }
}

/// One attribute of a file or directory; nothing for what has none.
pub(crate) fn attribute(root: &Root, path: &Path, name: &str) -> Result<Option<Vec<u8>>, SysError> {
    let Some(door) = door(root, path)? else { return Ok(None) };
    value(&door, name).map_err(|errno| SysError::new("getxattr", root.full(path).display(), errno))
}

fn value(door: &Path, name: impl rustix::path::Arg + Copy) -> Result<Option<Vec<u8>>, Errno> {
    let mut buffer = vec![0; 65536];
    match rustix::fs::getxattr(door, name, buffer.as_mut_slice()) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The attributes that are a file's own, sorted: `user.*` but the overlay's, and access lists.
pub(crate) fn attributes(root: &Root, path: &Path) -> Result<Vec<(OsString, Vec<u8>)>, SysError> {
    use std::os::unix::ffi::OsStrExt;
    let Some(door) = door(root, path)? else { return Ok(Vec::new()) };
    let named = |errno| SysError::new("listxattr", root.full(path).display(), errno);
    let mut buffer = vec![0; 65536];
    let length = match rustix::fs::listxattr(&*door, buffer.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => 0,
        Err(errno) => return Err(named(errno)),
    };
    let mut found = Vec::new();
    for name in buffer[..length].split(|byte| *byte == 0).filter(|name| lands(name)) {
        let name = OsStr::from_bytes(name);
        if let Some(value) = value(&door, name).map_err(named)? {
            found.push((name.to_owned(), value));
        }
    }
    found.sort();
    Ok(found)
}

fn lands(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
        || name.starts_with(b"system.posix_acl_")
}

/// A path for calls that take no descriptor without opening the file: the file itself behind `/proc/self/fd`, which
/// follows no link of an agent's. Nothing for links and special files, which have no attributes of a user's.
pub(crate) fn door(root: &Root, path: &Path) -> Result<Option<Door>, SysError> {
    let fd = match root.at(path, OFlags::PATH) {
        Ok(fd) => fd,
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat =
        rustix::fs::fstat(&fd).map_err(|errno| SysError::new("fstat", root.full(path).display(), errno))?;
    let plain = matches!(Node::of(&stat).kind, Kind::File | Kind::Directory);
    Ok(plain.then(|| Door::of(fd)))
}

/// See [`door`].
pub(crate) struct Door {
    _fd: OwnedFd,
    path: PathBuf,
}

impl Door {
    pub fn of(fd: OwnedFd) -> Self {
        use std::os::fd::AsRawFd;
        Self { path: format!("/proc/self/fd/{}", fd.as_raw_fd()).into(), _fd: fd }
    }
}

impl std::ops::Deref for Door {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Opens what an agent may have closed to its owner: its mode is widened for the moment of opening.
pub(crate) fn with_access(root: &Root, path: &Path, node: &Node, flags: OFlags) -> Result<OwnedFd, SysError> {
    match root.at(path, flags) {
        Err(error) if error.errno == Errno::ACCESS => {}
        other => return other,
    }
    let named = |errno| SysError::new("chmod", root.full(path).display(), errno);
    let door = Door::of(root.at(path, OFlags::PATH)?);
    let set =
        |mode| rustix::fs::chmodat(rustix::fs::CWD, &*door, Mode::from_raw_mode(mode), AtFlags::empty());
    set(node.mode | 0o700).map_err(named)?;
    let opened = root.at(path, flags);
    set(node.mode).map_err(named)?;
    opened
}

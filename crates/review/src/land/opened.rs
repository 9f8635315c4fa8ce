//! Directories that an agent closed to their owner, opened for as long as something is moved in or out of them.
//!
//! The kernel asks for the right to write a directory to move it to another one, and to move what is in it. An ordinary
//! user has that only by the directory's mode, which is the agent's choice.

use crate::ReviewError;
use crate::beneath::Root;
use crate::compare::{Door, door};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, CWD, Mode};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a directory's owner needs to move something.
const ALL: u32 = 0o700;

/// A directory that is open; closed again when dropped, wherever it is by then.
pub(super) struct Opened(Option<(Door, u32)>);

impl Opened {
    /// Opens the directory at `path`, if it is one and was closed.
    pub fn at(root: &Root, path: Option<&Path>) -> Result<Self, SysError> {
        let Some(path) = path else { return Ok(Self(None)) };
        let closed = root.stat(path)?.filter(|stat| is_closed_directory(stat.st_mode));
        let Some((stat, door)) = closed.zip(door(root, path)?) else { return Ok(Self(None)) };
        let mode = stat.st_mode & 0o7777;
        set(&door, mode | ALL).named("chmod", root.full(path).display())?;
        Ok(Self(Some((door, mode))))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((door, mode)) = self.0.take() {
            let _ = set(&door, mode); // left open it is a change of its mode, which is seen
        }
    }
}

fn is_closed_directory(mode: u32) -> bool {
    use rustix::fs::FileType;
    FileType::from_raw_mode(mode) == FileType::Directory && mode & ALL != ALL
}

fn set(door: &Door, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::chmodat(CWD, &**door, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// Gives the directory at `path` these permission bits.
pub(super) fn close_as(root: &Root, path: &Path, mode: u32) -> Result<(), ReviewError> {
    let Some(door) = door(root, path)? else { return Ok(()) };
    set(&door, mode & 0o7777).named("chmod", root.full(path).display()).map_err(ReviewError::from)
}

/// Gives the directory at `path` in `to` the mode that it has in `from`, if it is one in both.
pub(super) fn close_again(from: &Root, to: &Root, path: &Path) -> Result<(), ReviewError> {
    use crate::node::{Kind, Node};
    let both = from.stat(path)?.zip(to.stat(path)?);
    match both.filter(|(a, b)| [a, b].iter().all(|stat| Node::of(stat).kind == Kind::Directory)) {
        Some((like, _)) => close_as(to, path, like.st_mode),
        None => Ok(()),
    }
}

/// Renames a directory to another parent, also one that is closed.
pub(super) fn move_closed(from: &Path, to: &Path) -> Result<(), ReviewError> {
    let mode = fs::symlink_metadata(from).named("stat", from.display())?.permissions().mode();
    let closed = is_closed_directory(mode);
    let set = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).named("chmod", path.display())
    };
    if closed {
        set(from, mode & 0o7777 | ALL)?;
    }
    fs::rename(from, to).named("rename", from.display())?;
    if closed {
        set(to, mode & 0o7777)?;
    }
    Ok(())
}

//! Removing a tree that somebody hostile made: as deep as he likes, closed to its owner where he likes.
//!
//! A recursion holds a descriptor and a part of its stack for each level, and a tree that cannot be removed stays in the
//! way of whatever comes next. So nothing is descended into: what lies in a directory of the top is taken out into the
//! top, until there are only empty directories. That takes a few descriptors, whatever the depth.

use crate::{Named, SysError};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// What its owner needs of a directory to take something out of it.
const ALL: u32 = 0o700;

/// Removes what stands at the path, a directory with all that is in it; links are not followed. That nothing stands
/// there is no error.
pub fn tree(path: &Path) -> Result<(), SysError> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| SysError::new("remove", path.display(), Errno::INVAL))?;
    tree_at(CWD, &name).named("remove", path.display())
}

/// The same of a name in a directory.
pub fn tree_at(dir: impl AsFd, name: &CStr) -> Result<(), Errno> {
    match unlinkat(&dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // A directory; which of the two is up to the file system.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let top = opened(&dir, name)?;
    let mut number = 0_u64;
    loop {
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for name in &names {
            if let Some(inner) = taken(&top, name)? {
                flatten(&top, &inner, &mut number)?;
                unlinkat(&top, &**name, AtFlags::REMOVEDIR)?;
            }
        }
    }
    unlinkat(&dir, name, AtFlags::REMOVEDIR)
}

/// Removes what is no directory; gives what is one, not tried to be removed: the kernel looks through all that it
/// remembers below one before it says that it is not empty.
fn taken(dir: &OwnedFd, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return unlinkat(dir, name, AtFlags::empty()).map(|()| None);
    }
    opened(dir, name).map(Some)
}

/// Leaves nothing in `inner`: its directories go up to `top`, everything else goes.
fn flatten(top: &OwnedFd, inner: &OwnedFd, number: &mut u64) -> Result<(), Errno> {
    for name in names(inner)? {
        // It is opened to its owner by that, as moving it needs.
        if taken(inner, &name)?.is_none() {
            continue;
        }
        loop {
            *number += 1;
            let free = format!(".{number}");
            match renameat(inner, &*name, top, &*free) {
                // Something of that name is there. All of it goes, so nothing is lost if it was replaced.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

/// A directory, opened to its owner first if an agent closed it.
fn opened(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let directory = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = openat(&dir, name, directory | OFlags::PATH, Mode::empty())?;
    let mode = fstat(&held)?.st_mode & 0o7777;
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    if mode & ALL != ALL {
        chmodat(CWD, &*path, Mode::from_raw_mode(mode | ALL), AtFlags::empty())?;
    }
    openat(&held, c".", OFlags::RDONLY | directory, Mode::empty())
}

fn names(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Makes directories below each other, and a file in each.
    fn deep(top: &Path, depth: usize) {
        let mut dir = fs::File::open(top).map(OwnedFd::from).unwrap();
        for _ in 0..depth {
            mkdirat(&dir, "d", Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            dir = openat(&dir, "d", flags, Mode::empty()).unwrap();
            openat(&dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        }
    }

    fn place(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("creel-remove-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes() {
        let top = place("deep");
        deep(&top, 2_500);
        tree(&top).unwrap();
        assert!(!top.exists());
        tree(&top).unwrap();
    }

    #[test]
    fn what_is_closed_or_has_the_names_that_are_used_goes_and_what_links_lead_to_stays() {
        let (top, kept) = (place("closed"), place("kept"));
        fs::write(kept.join("file"), "").unwrap();
        for path in [".1/.1/.2/.3", ".2/a/b", "a/.1/x", "closed/a/b/c"] {
            fs::create_dir_all(top.join(path)).unwrap();
            fs::write(top.join(path).join("f"), "").unwrap();
            symlink(&kept, top.join(path).join("link")).unwrap();
        }
        fs::write(top.join(".3"), "").unwrap();
        symlink(&kept, top.join(".4")).unwrap();
        for (path, mode) in [("closed/a/b/c", 0o000), ("closed/a/b", 0o555), ("closed/a", 0), ("closed", 0)] {
            fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(&top, kept.join("to")).unwrap();
        tree(&kept.join("to")).unwrap();
        assert!(top.exists(), "a link goes alone");
        tree(&top).unwrap();
        assert!(!top.exists() && kept.join("file").exists());
        tree(&kept).unwrap();
    }
}

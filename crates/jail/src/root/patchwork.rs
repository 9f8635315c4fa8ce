//! `/etc` where it cannot be the lower layer of an overlay: in a container engine's sandbox files such as
//! `/etc/resolv.conf` are mounts of their own, and a user namespace may not leave locked mounts out.
//!
//! Everything of the system's is mounted or linked one by one into the layer with Creel's files; only directories in
//! which Creel has files are gone into. It costs a mount for each file and so is second choice.

use creel_kernel::mount;
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Fills the layer with what the system has and the layer has not.
pub(super) fn fill(layer: &OwnedFd, system: &OwnedFd) -> Result<(), SysError> {
    let entries = Dir::read_from(open(system, c".", OFlags::RDONLY)?).named("readdir", "/etc")?;
    for entry in entries {
        let entry = entry.named("readdir", "/etc")?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            fill_one(layer, system, name)?;
        }
    }
    Ok(())
}

fn fill_one(layer: &OwnedFd, system: &OwnedFd, name: &CStr) -> Result<(), SysError> {
    let shown = name.to_string_lossy();
    let theirs = kind(system, name)?;
    match (kind(layer, name)?, theirs) {
        (Some(FileType::Directory), Some(FileType::Directory)) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            fill(&open(layer, name, flags)?, &open(system, name, flags)?)
        }
        (None, Some(FileType::Symlink)) => {
            let target = rustix::fs::readlinkat(system, name, Vec::new()).named("readlink", &shown)?;
            rustix::fs::symlinkat(target.as_c_str(), layer, name).named("symlink", &shown)
        }
        (None, Some(FileType::Directory)) => {
            rustix::fs::mkdirat(layer, name, Mode::from_raw_mode(0o755)).named("mkdir", &shown)?;
            mount_one(layer, system, name)
        }
        (None, Some(FileType::RegularFile)) => {
            rustix::fs::mknodat(layer, name, FileType::RegularFile, Mode::empty(), 0)
                .named("mknod", &shown)?;
            mount_one(layer, system, name)
        }
        // Creel's files come first; sockets and devices have no place in /etc.
        _ => Ok(()),
    }
}

fn mount_one(layer: &OwnedFd, system: &OwnedFd, name: &CStr) -> Result<(), SysError> {
    let tree = mount::clone_tree(system, Path::new(OsStr::from_bytes(name.to_bytes())))?;
    mount::attach(tree, open(layer, name, OFlags::PATH)?, name.to_string_lossy())
}

fn kind(dir: &OwnedFd, name: &CStr) -> Result<Option<FileType>, SysError> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(SysError::new("stat", name.to_string_lossy(), errno)),
    }
}

fn open(dir: &OwnedFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, SysError> {
    rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, Mode::empty())
        .named("open", name.to_string_lossy())
}

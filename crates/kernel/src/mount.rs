//! The mount API of Linux 5.2 and later: a tree is made or cloned detached, given its flags, and only then attached,
//! so nothing is ever visible with the wrong flags.

use crate::{Named, SysError};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount as sys;
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Flags of a mount (`MOUNT_ATTR_*`).
pub use rustix::mount::MountAttrFlags as Flags;

/// Read-only, no setuid, no devices.
pub const READ: Flags =
    Flags::MOUNT_ATTR_RDONLY.union(Flags::MOUNT_ATTR_NOSUID).union(Flags::MOUNT_ATTR_NODEV);
/// Writable, no setuid, no devices.
pub const WRITE: Flags = Flags::MOUNT_ATTR_NOSUID.union(Flags::MOUNT_ATTR_NODEV);
/// Nothing but reading.
pub const READ_NOEXEC: Flags = READ.union(Flags::MOUNT_ATTR_NOEXEC);

/// A new, detached file system of this kind, with its options and flags.
pub fn new(kind: &'static str, options: &[(&str, &str)], flags: Flags) -> Result<OwnedFd, SysError> {
    made(kind, options, &[], flags)
}

/// A new, detached overlay; `switches` are options without a value.
pub fn detached_overlay(
    options: &[(&str, &str)],
    switches: &[&str],
    flags: Flags,
) -> Result<OwnedFd, SysError> {
    made("overlay", options, switches, flags)
}

fn made(
    kind: &'static str,
    options: &[(&str, &str)],
    switches: &[&str],
    flags: Flags,
) -> Result<OwnedFd, SysError> {
    let context = sys::fsopen(kind, sys::FsOpenFlags::FSOPEN_CLOEXEC).named("fsopen", kind)?;
    for (key, value) in options {
        sys::fsconfig_set_string(&context, *key, *value)
            .named("fsconfig", format_args!("{kind} {key}={value}"))?;
    }
    for switch in switches {
        sys::fsconfig_set_flag(&context, *switch).named("fsconfig", format_args!("{kind} {switch}"))?;
    }
    sys::fsconfig_create(&context).named("fsconfig", format_args!("{kind} create"))?;
    sys::fsmount(context.as_fd(), sys::FsMountFlags::FSMOUNT_CLOEXEC, flags).named("fsmount", kind)
}

/// Mounts an overlay on the directory `at`: `lower` with the topmost first, beneath `upper`.
///
/// By `mount(2)`, as the newer calls bound each option to 256 bytes before Linux 6.7. Descriptors stand for the
/// directories, as a path would have to be quoted.
pub fn overlay(
    lower: &[OwnedFd],
    upper: &OwnedFd,
    work: &OwnedFd,
    at: &OwnedFd,
    on: impl Display,
) -> Result<(), SysError> {
    let place = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let layers: Vec<String> = lower.iter().map(place).collect();
    let options =
        format!("userxattr,lowerdir={},upperdir={},workdir={}", layers.join(":"), place(upper), place(work));
    let options =
        std::ffi::CString::new(options).map_err(|_| SysError::new("mount", "overlay", Errno::INVAL))?;
    let flags = sys::MountFlags::NOSUID | sys::MountFlags::NODEV;
    sys::mount("overlay", place(at), "overlay", flags, options.as_c_str()).named("mount", on)
}

/// A detached clone of what is mounted at and below `path` (looked up from `from`, symbolic links followed).
pub fn clone_tree(from: impl AsFd, path: &Path) -> Result<OwnedFd, SysError> {
    let flags = sys::OpenTreeFlags::OPEN_TREE_CLONE
        | sys::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | sys::OpenTreeFlags::AT_RECURSIVE;
    sys::open_tree(from, path, flags).named("open_tree", path.display())
}

/// A detached clone of the host's file or directory at an absolute path, with everything mounted below it. No symbolic
/// link is followed: a path that was judged before leads where it led then, or nowhere (`ELOOP`).
pub fn clone_judged(path: &Path) -> Result<OwnedFd, SysError> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .named("openat2", path.display())?;
    let flags = sys::OpenTreeFlags::OPEN_TREE_CLONE
        | sys::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | sys::OpenTreeFlags::AT_RECURSIVE
        | sys::OpenTreeFlags::AT_EMPTY_PATH;
    sys::open_tree(source, "", flags).named("open_tree", path.display())
}

/// A detached clone of the one mount that `mount` is open on, without those below it.
pub fn clone_alone(mount: impl AsFd) -> Result<OwnedFd, SysError> {
    let flags = sys::OpenTreeFlags::OPEN_TREE_CLONE
        | sys::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | sys::OpenTreeFlags::AT_EMPTY_PATH;
    sys::open_tree(mount, "", flags).named("open_tree", "a mount")
}

/// Attaches a detached tree on the file or directory that `at` is open on.
pub fn attach(tree: impl AsFd, at: impl AsFd, name: impl Display) -> Result<(), SysError> {
    let flags = sys::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | sys::MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    sys::move_mount(tree.as_fd(), "", at.as_fd(), "", flags).named("move_mount", name)
}

/// Attaches a detached tree over the caller's root, to pivot into it.
pub fn attach_over_root(tree: impl AsFd) -> Result<(), SysError> {
    sys::move_mount(tree.as_fd(), "", CWD, "/", sys::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .named("move_mount", "/")
}

/// Makes the tree mounted over the caller's root (see [`attach_over_root`]) the root, and lets go of the old one.
///
/// Only the topmost mount can be let go of. If something else was attached over the old root, too, that would be it,
/// and the old root would stay within reach as `/..`: this looks, and fails.
pub fn pivot_into(tree: impl AsFd) -> Result<(), SysError> {
    let mount_of = |path| {
        let mask = rustix::fs::StatxFlags::from_bits_retain(libc::STATX_MNT_ID);
        rustix::fs::statx(CWD, path, rustix::fs::AtFlags::empty(), mask).named("statx", path)
    };
    rustix::process::fchdir(tree).named("fchdir", "the new root")?;
    rustix::process::pivot_root(".", ".").named("pivot_root", ".")?;
    sys::unmount(".", sys::UnmountFlags::DETACH).named("umount2", "the old root")?;
    rustix::process::chdir("/").named("chdir", "/")?;
    if mount_of("/..")?.stx_mnt_id != mount_of(".")?.stx_mnt_id {
        return Err(SysError::new("pivot_root", "the old root is still there", Errno::BUSY));
    }
    Ok(())
}

/// Detaches a mount, and all below it, that lies over the caller's root (see [`attach_over_root`]).
pub fn detach_from_root(tree: impl AsFd) -> Result<(), SysError> {
    rustix::process::fchdir(tree).named("fchdir", "a mount over the root")?;
    sys::unmount(".", sys::UnmountFlags::DETACH).named("umount2", "a mount over the root")?;
    rustix::process::chdir("/").named("chdir", "/")
}

/// Moves the mount whose root `mount` is open on, wherever it is attached, to the file or directory that `at` is open on.
pub fn shift(mount: impl AsFd, at: impl AsFd) -> Result<(), SysError> {
    attach(mount, at, "what was just attached")
}

/// The kernel's number of the mount that a descriptor is open on.
pub fn id(file: impl AsFd) -> Result<u64, SysError> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let mask = StatxFlags::from_bits_retain(libc::STATX_MNT_ID);
    Ok(statx(file, "", AtFlags::EMPTY_PATH, mask).named("statx", "a mount")?.stx_mnt_id)
}

/// Ends propagation of mounts to and from the host, for everything.
pub fn make_private() -> Result<(), SysError> {
    let flags = sys::MountPropagationFlags::PRIVATE | sys::MountPropagationFlags::REC;
    sys::mount_change("/", flags).named("mount", "/ MS_PRIVATE|MS_REC")
}

/// Sets flags on a whole tree, and clears others.
pub fn set_tree(tree: impl AsFd, set: Flags, clear: Flags) -> Result<(), SysError> {
    set_attributes(tree.as_fd(), set, clear, libc::AT_RECURSIVE as libc::c_uint)
}

/// Sets flags on one mount, and clears others.
pub fn set_one(mount: impl AsFd, set: Flags, clear: Flags) -> Result<(), SysError> {
    set_attributes(mount.as_fd(), set, clear, 0)
}

/// `mount_setattr(2)`, which rustix lacks.
fn set_attributes(fd: BorrowedFd<'_>, set: Flags, clear: Flags, how: libc::c_uint) -> Result<(), SysError> {
    let attributes = libc::mount_attr {
        attr_set: u64::from(set.bits()),
        attr_clr: u64::from(clear.bits()),
        propagation: 0,
        userns_fd: 0,
    };
    let how = how | libc::AT_EMPTY_PATH as libc::c_uint;
    // SAFETY: the path is empty and NUL-terminated, and `attributes` is live and of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            how,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(SysError::last("mount_setattr", format_args!("+{:#x} -{:#x}", set.bits(), clear.bits())))
    }
}

/// Takes away the topmost mount at `path`, also while files on it are open (they stay usable to who has them).
pub fn detach(path: &Path) -> Result<(), SysError> {
    let flags = sys::UnmountFlags::DETACH | sys::UnmountFlags::NOFOLLOW;
    sys::unmount(path, flags).named("umount2", path.display())
}

/// Takes away the topmost mount at `path` if nothing uses it; `EBUSY` otherwise.
pub fn detach_if_idle(path: &Path) -> Result<(), SysError> {
    sys::unmount(path, sys::UnmountFlags::NOFOLLOW).named("umount2", path.display())
}

/// Whether this kernel refused because something still uses the mount.
pub fn is_busy(error: &SysError) -> bool {
    error.errno == Errno::BUSY
}

//! `/etc`: the system's own, with Creel's files over it, as a read-only overlay.
//!
//! The overlay's upper layer must be attached somewhere while the overlay is made; it is attached at `/etc` and the
//! overlay over it, so nobody sees it. It also holds the empty file and directory that hide other things. A root made
//! of layers has Creel's files in its own upper layer instead ([`super::layered`]).

use super::{Ground, patchwork};
use crate::JailError;
use crate::assignment::{Assignment, Contents};
use creel_api::plan::{Injected, Plan};
use creel_kernel::mount;
use creel_kernel::{Named, SysError};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

/// An empty unreadable file and directory, to be cloned over what is hidden.
pub(super) struct Voids(OwnedFd);

impl Voids {
    /// Makes them in a file system that is attached somewhere until the tree is complete.
    pub(super) fn make(staging: OwnedFd) -> Result<Self, SysError> {
        make_dir(&staging, Path::new("void"), 0o755)?;
        make_dir(&staging, Path::new("void/dir"), 0)?;
        write(&staging, Path::new("void/file"), None, 0)?;
        Ok(Self(staging))
    }

    /// A detached, read-only void; a directory or a file.
    pub(super) fn one(&self, directory: bool) -> Result<OwnedFd, SysError> {
        let tree = mount::clone_tree(&self.0, Path::new(if directory { "void/dir" } else { "void/file" }))?;
        mount::set_one(&tree, mount::READ_NOEXEC, mount::Flags::empty())?;
        Ok(tree)
    }
}

/// Refuses a plan whose files would not lie below `/etc`.
pub(super) fn check(plan: &Plan) -> Result<(), JailError> {
    for injected in &plan.etc {
        let plain = injected.path.components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || injected.path.as_os_str().is_empty() {
            return Err(JailError::plan(
                injected.path.display(),
                "a path below /etc is needed, without `..`",
            ));
        }
    }
    Ok(())
}

/// The host's `/etc` under Creel's files.
pub(super) fn lay(ground: &Ground, assignment: &Assignment) -> Result<Voids, SysError> {
    let staging = mount::new("tmpfs", &[("mode", "0755"), ("size", "64m")], mount::WRITE)?;
    ground.attach(&staging, "etc")?;
    make_dir(&staging, Path::new("etc"), 0o755)?;
    let layer = open_dir(&staging, Path::new("etc"))?;
    fill(&layer, assignment)?;
    let system = open_dir(CWD, Path::new("/etc"))?;
    // Descriptors instead of paths: a path would have to be quoted.
    let layers = format!("/proc/self/fd/{}:/proc/self/fd/{}", layer.as_raw_fd(), system.as_raw_fd());
    let tree = match mount::new("overlay", &[("lowerdir", &layers)], mount::READ) {
        Err(error) if error.errno == Errno::INVAL => {
            patchwork::fill(&layer, &system)?;
            let tree = mount::clone_tree(&layer, Path::new("."))?;
            mount::set_tree(&tree, mount::READ, mount::Flags::empty())?;
            tree
        }
        other => other?,
    };
    mount::attach(tree, &staging, "etc")?;
    Voids::make(staging)
}

/// Writes Creel's files into what will lie over the system's `/etc`.
pub(super) fn fill(layer: &OwnedFd, assignment: &Assignment) -> Result<(), SysError> {
    assignment.etc().try_for_each(|(injected, contents)| inject(layer, injected, contents))
}

fn inject(layer: &OwnedFd, injected: &Injected, contents: Contents<'_>) -> Result<(), SysError> {
    let parents: Vec<&Path> =
        injected.path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    for dir in parents.into_iter().rev() {
        make_dir(layer, dir, 0o755)?;
    }
    write(layer, &injected.path, Some(contents), injected.mode)
}

pub(super) fn open_dir(at: impl AsFd, path: &Path) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty()).named("open", path.display())
}

pub(super) fn make_dir(at: &OwnedFd, path: &Path, mode: u32) -> Result<(), SysError> {
    match rustix::fs::mkdirat(at, path, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        other => other.named("mkdir", path.display()),
    }
}

/// The mode is set last and apart, as `open` subtracts the umask.
fn write(at: &OwnedFd, path: &Path, contents: Option<Contents<'_>>, mode: u32) -> Result<(), SysError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(at, path, flags, Mode::RUSR | Mode::WUSR).named("open", path.display())?;
    contents.map_or(Ok(()), |contents| contents.pour(&fd)).named("write", path.display())?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode & 0o777)).named("fchmod", path.display())
}

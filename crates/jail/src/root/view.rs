//! A workspace under review: the host's directory below, a layer that takes what is written above.
//!
//! The layers are opened once, without following a link, and given to the kernel as descriptors: a path would have to
//! be quoted, and could lead elsewhere by then. `userxattr` is what lets a user namespace mount it; with it the kernel
//! offers no redirects, so renaming a directory of the host's is `EXDEV` inside, as between two file systems.

use creel_kernel::mount;
use creel_kernel::{Named, SysError};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The view, detached.
pub(super) fn over(source: &Path, layer: &Path) -> Result<OwnedFd, SysError> {
    let lower = open(source)?;
    let (upper, work) = (open(&layer.join("upper"))?, open(&layer.join("work"))?);
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let (lower, upper, work) = (name(&lower), name(&upper), name(&work));
    let options: [(&str, &str); 3] = [("lowerdir", &lower), ("upperdir", &upper), ("workdir", &work)];
    mount::detached_overlay(&options, &["userxattr"], mount::WRITE)
}

fn open(path: &Path) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .named("openat2", path.display())
}

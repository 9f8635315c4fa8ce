//! Locks that the kernel gives back when their holder ends, however it ends (`flock(2)`).

use super::{StoreError, failed};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open is what it is for")] OwnedFd);

impl Lock {
    pub fn shared(path: &Path) -> Result<Self, StoreError> {
        take(file(path)?, FlockOperation::LockShared, path)
    }

    pub fn exclusive(path: &Path) -> Result<Self, StoreError> {
        take(file(path)?, FlockOperation::LockExclusive, path)
    }

    /// `None` when somebody else holds it.
    pub fn exclusive_if_free(path: &Path) -> Result<Option<Self>, StoreError> {
        try_take(file(path)?, path)
    }

    pub fn shared_directory(path: &Path) -> Result<Self, StoreError> {
        take(directory(path)?, FlockOperation::LockShared, path)
    }

    pub fn exclusive_directory_if_free(path: &Path) -> Result<Option<Self>, StoreError> {
        try_take(directory(path)?, path)
    }
}

fn take(fd: OwnedFd, how: FlockOperation, path: &Path) -> Result<Lock, StoreError> {
    loop {
        match flock(&fd, how) {
            Ok(()) => return Ok(Lock(fd)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("lock", path)(errno.into())),
        }
    }
}

fn try_take(fd: OwnedFd, path: &Path) -> Result<Option<Lock>, StoreError> {
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(fd))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed("lock", path)(errno.into())),
    }
}

fn file(path: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| failed("open", path)(errno.into()))
}

fn directory(path: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|errno| failed("open", path)(errno.into()))
}

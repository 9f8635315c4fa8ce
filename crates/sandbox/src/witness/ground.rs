//! What of a caller's file system nobody in the sandbox can change: what lies on a read-only mount, on the whole way
//! to it.

use creel_kernel::proc::Mapping;
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, open, openat2, readlinkat,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

/// How many symbolic links are followed, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// The root directory of a caller, as a place to look from.
pub struct Ground(OwnedFd);

impl Ground {
    /// That of a thread.
    pub fn of(thread: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(format!("/proc/{thread}/root"), flags, Mode::empty()).ok().map(Self)
    }

    /// Whether the mapped file is one that nobody in the sandbox can write. The kernel tells the path without any
    /// symbolic link, so a link that stands there now is not the file; neither is a file with another inode, or one
    /// that was unlinked. Device numbers are not compared: overlayfs and btrfs show others in `maps` than in `stat`.
    pub fn carries(&self, mapping: &Mapping) -> bool {
        let path = mapping.path.as_bytes();
        if path.ends_with(b" (deleted)") || !path.starts_with(b"/") {
            return false;
        }
        let Ok(file) = self.open(Path::new(&mapping.path), OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS)
        else {
            return false;
        };
        is_read_only(&file) && fstat(&file).is_ok_and(|stat| stat.st_ino == mapping.file.2)
    }

    /// Whether nobody in the sandbox can change what the absolute path leads to, or put something there where
    /// nothing is: every directory and link on the way lies on a read-only mount.
    pub fn is_firm(&self, path: &Path) -> bool {
        let mut ahead: VecDeque<OsString> = steps(path).collect();
        let mut here = PathBuf::from("/");
        let mut links = 0;
        if !path.is_absolute()
            || !self.open(&here, OFlags::empty(), ResolveFlags::empty()).is_ok_and(|root| is_read_only(&root))
        {
            return false;
        }
        while let Some(step) = ahead.pop_front() {
            if step == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&step);
            let file = match self.open(&next, OFlags::NOFOLLOW, ResolveFlags::empty()) {
                Ok(file) => file,
                // Nothing is there, and nothing can come there; but what `..` behind it means cannot be told.
                Err(Errno::NOENT) => return !ahead.iter().any(|step| step == ".."),
                Err(_) => return false,
            };
            if !is_read_only(&file) {
                return false;
            }
            match link(&file) {
                None => here = next,
                Some(_) if links == MOST_LINKS => return false,
                Some(target) => {
                    links += 1;
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                        ahead.push_front(step);
                    }
                }
            }
        }
        true
    }

    /// Whether nothing is at the path for sure. A link that cannot be followed from here (`/proc/self`) may lead the
    /// caller somewhere.
    pub fn is_nothing(&self, path: &Path) -> bool {
        let mut here = PathBuf::from("/");
        for step in steps(path) {
            here.push(step);
            match self.open(&here, OFlags::NOFOLLOW, ResolveFlags::empty()) {
                Err(errno) => return errno == Errno::NOENT,
                Ok(_) if self.open(&here, OFlags::empty(), ResolveFlags::empty()).is_err() => return false,
                Ok(_) => {}
            }
        }
        false
    }

    /// Opens what the path leads to below this root, as a place only.
    pub fn open(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
        openat2(&self.0, below, flags, Mode::empty(), ResolveFlags::IN_ROOT | resolve)
    }
}

/// Beneath which places something can be written inside, where the sandbox stands on the host's own file tree: a warden
/// has one sandbox, for good.
static WRITABLE: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Says that the sandbox has no mounts of its own, and what of the host's it can write.
pub fn stands_on_the_host(writable: Vec<PathBuf>) {
    let _ = WRITABLE.set(writable);
}

fn is_read_only(file: &OwnedFd) -> bool {
    if let Some(writable) = WRITABLE.get() {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        return path.is_ok_and(|path| !writable.iter().any(|place| path.starts_with(place)));
    }
    fstatvfs(file).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Where a symbolic link leads; `None` when it is none.
fn link(file: &OwnedFd) -> Option<PathBuf> {
    let is_link = fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink());
    let target = is_link.then(|| readlinkat(file, c"", Vec::new()).ok()).flatten()?;
    Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn here() -> Ground {
        Ground::of(std::process::id()).unwrap()
    }

    #[test]
    fn nothing_of_a_writable_mount_carries_or_is_firm() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lib.so");
        std::fs::write(&file, "x").unwrap();
        let inode = std::fs::metadata(&file).unwrap().ino();
        assert!(!here().carries(&Mapping { path: file.clone().into(), file: (0, 0, inode) }));
        assert!(!here().is_firm(&file));
        assert!(!here().is_firm(Path::new("usr/lib")));
    }

    #[test]
    fn nothing_is_told_from_a_link_that_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        for (name, nothing) in
            [("none", true), ("none/x", true), ("dangling", false), ("dangling/x", false), ("file/x", false)]
        {
            assert_eq!(here().is_nothing(&at(name)), nothing, "{name}");
        }
    }

    #[test]
    fn a_link_that_stands_where_the_file_was_is_not_the_file() {
        // Only refusals are checked here: what is admitted needs read-only mounts, which the end-to-end tests have.
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("evil.so (deleted)");
        std::os::unix::fs::symlink("/usr/bin/env", &name).unwrap();
        let inode = std::fs::metadata("/usr/bin/env").unwrap().ino();
        assert!(!here().carries(&Mapping { path: name.into(), file: (0, 0, inode) }));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/usr/bin/env", &link).unwrap();
        let opened = here().open(&link, OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS);
        assert!(opened.is_err() || super::link(&opened.unwrap()).is_some());
    }
}

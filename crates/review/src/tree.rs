//! Copies a layer as it is: with its marks for what was deleted, its hard links, holes, modes, times and attributes.

use crate::ReviewError;
use crate::beneath::Root;
use crate::compare::{Door, with_access};
use crate::content;
use crate::node::{Kind, Node, Print, is_whiteout};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How often a file that is written while it is copied is tried again.
const ATTEMPTS: usize = 5;

/// Copies the directory `from` to `to`, which must not be there.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), ReviewError> {
    let root = Root::open(from)?;
    rustix::fs::mkdir(to, Mode::RWXU).named("mkdir", to.display())?;
    let mut copy = Copy { to: Root::open(to)?, from: root, linked: HashMap::new() };
    copy.directory(Path::new(""))
}

struct Copy {
    from: Root,
    to: Root,
    linked: HashMap<u64, PathBuf>,
}

impl Copy {
    fn directory(&mut self, path: &Path) -> Result<(), ReviewError> {
        let Some(stat) = self.from.stat(path)? else { return Ok(()) };
        let node = Node::of(&stat);
        let dir = with_access(&self.from, path, &node, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for name in crate::beneath::names(&dir, &self.from.full(path))? {
            self.entry(&path.join(name))?;
        }
        let to = self.to.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.attributes(path, &to)?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(node.mode)).named("fchmod", path.display())?;
        rustix::fs::futimens(&to, &times(&stat)).named("utimensat", path.display()).map_err(ReviewError::from)
    }

    fn entry(&mut self, path: &Path) -> Result<(), ReviewError> {
        // What is gone by now was there when its directory was read: the sandbox runs.
        let Some(stat) = self.from.stat(path)? else { return Ok(()) };
        let (parent, name) = self.to.parent(path)?;
        if !is_whiteout(&stat) && stat.st_nlink > 1 && Node::of(&stat).kind != Kind::Directory {
            if let Some(first) = self.linked.get(&stat.st_ino) {
                let (at, first) = self.to.parent(first)?;
                return rustix::fs::linkat(&at, first, &parent, name, AtFlags::empty())
                    .named("linkat", path.display())
                    .map_err(ReviewError::from);
            }
            self.linked.insert(stat.st_ino, path.to_owned());
        }
        match Node::of(&stat).kind {
            Kind::Directory => {
                rustix::fs::mkdirat(&parent, name, Mode::RWXU).named("mkdir", path.display())?;
                self.directory(path)
            }
            Kind::File => self.file(path, (&parent, name)),
            Kind::Link => {
                let target = self.from.link(path)?;
                rustix::fs::symlinkat(&*target, &parent, name).named("symlink", path.display())?;
                rustix::fs::utimensat(&parent, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)
                    .named("utimensat", path.display())
                    .map_err(ReviewError::from)
            }
            Kind::Special => special(&stat, (&parent, name), path).map_err(ReviewError::from),
        }
    }

    fn file(&self, path: &Path, (parent, name): (&OwnedFd, &OsStr)) -> Result<(), ReviewError> {
        for _ in 0..ATTEMPTS {
            let Some(stat) = self.from.stat(path)? else { return Ok(()) };
            let node = Node::of(&stat);
            if node.kind != Kind::File {
                break;
            }
            let from = with_access(&self.from, path, &node, OFlags::RDONLY)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let to = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
                .named("open", path.display())?;
            content::copy(&from, &to, node.size, path)?;
            self.attributes(path, &to)?;
            let after = rustix::fs::fstat(&from).named("fstat", path.display())?;
            if Print::of(&after) == node.print {
                rustix::fs::fchmod(&to, Mode::from_raw_mode(node.mode)).named("fchmod", path.display())?;
                return rustix::fs::futimens(&to, &times(&stat))
                    .named("utimensat", path.display())
                    .map_err(ReviewError::from);
            }
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).named("unlink", path.display())?;
        }
        let why = "it is written all the time; try again, or stop the sandbox first";
        Err(ReviewError::Strange { path: path.to_owned(), why })
    }

    /// Every attribute of a user's, the overlay's marks among them.
    fn attributes(&self, path: &Path, to: &OwnedFd) -> Result<(), ReviewError> {
        let door = Door::of(self.from.at(path, OFlags::PATH)?);
        let mut names = vec![0; 65536];
        let length = match rustix::fs::listxattr(&*door, names.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => 0,
            Err(errno) => return Err(SysError::new("listxattr", path.display(), errno).into()),
        };
        let own = |name: &&[u8]| name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_");
        for name in names[..length].split(|byte| *byte == 0).filter(own) {
            let name = OsStr::from_bytes(name);
            let mut value = vec![0; 65536];
            let Ok(length) = rustix::fs::getxattr(&*door, name, value.as_mut_slice()) else { continue };
            rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty())
                .named("fsetxattr", path.display())?;
        }
        Ok(())
    }
}

/// The mark for what was deleted, and pipes. A socket is nothing without the process that listens on it.
fn special(stat: &Stat, (parent, name): (&OwnedFd, &OsStr), path: &Path) -> Result<(), SysError> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !is_whiteout(stat) && kind != FileType::Fifo {
        return Ok(());
    }
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(stat.st_mode & 0o777), 0)
        .named("mknod", path.display())
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as i64 },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 },
    }
}

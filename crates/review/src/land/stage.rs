//! The staging directory: what is to appear in the workspace is made here first, complete.
//!
//! It must be on the workspace's file system, as a rename does not leave one. Creel's own state is preferred, where no
//! sandbox can see it; only where that lies elsewhere it is a directory in the workspace, closed to others.

use crate::ReviewError;
use crate::beneath::Root;
use crate::compare;
use crate::content;
use crate::node::{Kind, Node, Print};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A staging directory.
#[derive(Debug)]
pub(crate) struct Staging {
    pub path: PathBuf,
    pub fd: OwnedFd,
    next: u64,
    /// Files of several names, by the inode that they are copied from.
    linked: HashMap<(u64, u64), String>,
}

/// What is to be staged.
pub(crate) enum Stuff<'a> {
    /// A copy of what stands at a path; with these permission bits and this owner.
    Copy { from: &'a Root, path: &'a Path, node: &'a Node, mode: u32, owner: Option<(u32, u32)> },
    /// A file with these bytes, and the attributes of what stands at a path.
    Bytes { bytes: &'a [u8], like: (&'a Root, &'a Path), mode: u32, owner: Option<(u32, u32)> },
}

impl Staging {
    /// Where it would be: nothing is made yet.
    pub fn place(review: &Path, workspace: &Root) -> Result<PathBuf, SysError> {
        let inside = Root::open(review)?;
        if mount_of(inside.fd())? == mount_of(workspace.fd())? {
            return Ok(review.join("staging"));
        }
        let id = review.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(workspace.full(Path::new(&format!(".creel-apply-{id}"))))
    }

    /// Makes it anew, empty.
    pub fn make(path: PathBuf) -> Result<Self, ReviewError> {
        crate::store::remove_tree(&path)?;
        rustix::fs::mkdir(&path, Mode::RWXU).named("mkdir", path.display())?;
        Ok(Self { fd: open(&path)?, path, next: 0, linked: HashMap::new() })
    }

    /// The one that an interrupted landing left.
    pub fn find(path: &Path) -> Result<Option<OwnedFd>, SysError> {
        match open(path) {
            Ok(fd) => Ok(Some(fd)),
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A name that is free.
    pub fn name(&mut self) -> String {
        self.next += 1;
        self.next.to_string()
    }

    /// Makes one thing; gives its name and what it is.
    pub fn stage(&mut self, stuff: &Stuff<'_>, shown: &Path) -> Result<(String, Print), ReviewError> {
        let name = self.name();
        let is = self.stage_as(&name, stuff, shown)?;
        Ok((name, is))
    }

    /// The same under a name that is given.
    pub fn stage_as(&mut self, name: &str, stuff: &Stuff<'_>, shown: &Path) -> Result<Print, ReviewError> {
        match stuff {
            Stuff::Copy { node, .. } if node.kind == Kind::Directory => self.directory(name, stuff)?,
            Stuff::Copy { node, from, path, .. } if node.kind == Kind::Link => {
                let target = from.link(path)?;
                rustix::fs::symlinkat(&*target, &self.fd, name).named("symlink", shown.display())?;
                self.set_time(name, node, shown)?;
            }
            Stuff::Copy { node, .. } if node.kind == Kind::File => self.copy(name, stuff, node)?,
            Stuff::Copy { .. } => return Err(unfit(shown, "it is a pipe, a socket or a device")),
            Stuff::Bytes { .. } => self.write(name, stuff, shown)?,
        }
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).named("fstatat", name)?;
        Ok(Print::of(&stat))
    }

    /// Returns when all of it is on stable storage, and exchanges work here.
    pub fn settle(&mut self) -> Result<(), SysError> {
        let (a, b) = (self.name(), self.name());
        for name in [&a, &b] {
            rustix::fs::mkdirat(&self.fd, &**name, Mode::RWXU).named("mkdir", name)?;
        }
        rustix::fs::renameat_with(&self.fd, &*a, &self.fd, &*b, rustix::fs::RenameFlags::EXCHANGE)
            .named("renameat2", "RENAME_EXCHANGE on the workspace's file system")?;
        for name in [&a, &b] {
            rustix::fs::unlinkat(&self.fd, &**name, AtFlags::REMOVEDIR).named("rmdir", name)?;
        }
        rustix::fs::syncfs(&self.fd).named("syncfs", self.path.display())
    }

    /// A directory stays open to its owner until everything is in it; its own mode is set by a later step.
    fn directory(&self, name: &str, stuff: &Stuff<'_>) -> Result<(), ReviewError> {
        let Stuff::Copy { from, path, owner, .. } = stuff else { return Ok(()) };
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU).named("mkdir", path.display())?;
        let fd = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        // In a workspace that hands its group on it was born with that bit; it gets the one it should have later.
        rustix::fs::fchmod(&fd, Mode::RWXU).named("fchmod", path.display())?;
        self.dress(&fd, &compare::attributes(from, path)?, *owner, path)
    }

    fn copy(&mut self, name: &str, stuff: &Stuff<'_>, node: &Node) -> Result<(), ReviewError> {
        let Stuff::Copy { from, path, mode, owner, .. } = stuff else { return Ok(()) };
        let source = compare::with_access(from, path, node, OFlags::RDONLY)?;
        let stat = rustix::fs::fstat(&source).named("fstat", path.display())?;
        let now = Node::of(&stat);
        if now.print != node.print || now.kind != Kind::File {
            return Err(unfit(path, "it is being written; try again"));
        }
        let key = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.linked.get(&key) {
            return rustix::fs::linkat(&self.fd, &**first, &self.fd, name, AtFlags::empty())
                .named("linkat", path.display())
                .map_err(ReviewError::from);
        }
        let to = self.create(name)?;
        content::copy(&source, &to, node.size, path)?;
        self.dress(&to, &compare::attributes(from, path)?, *owner, path)?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(*mode)).named("fchmod", path.display())?;
        self.set_time(name, node, path)?;
        let after = rustix::fs::fstat(&source).named("fstat", path.display())?;
        if Print::of(&after) != node.print {
            return Err(unfit(path, "it was written while it was read; try again"));
        }
        if node.names > 1 {
            self.linked.insert(key, name.to_owned());
        }
        Ok(())
    }

    fn write(&self, name: &str, stuff: &Stuff<'_>, shown: &Path) -> Result<(), ReviewError> {
        let Stuff::Bytes { bytes, like, mode, owner } = stuff else { return Ok(()) };
        let to = self.create(name)?;
        content::write(&to, bytes, 0, shown)?;
        self.dress(&to, &compare::attributes(like.0, like.1)?, *owner, shown)?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(*mode))
            .named("fchmod", shown.display())
            .map_err(ReviewError::from)
    }

    fn create(&self, name: &str) -> Result<OwnedFd, SysError> {
        self.open(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, name: &str, flags: OFlags) -> Result<OwnedFd, SysError> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR).named("open", name)
    }

    fn dress(
        &self,
        fd: &OwnedFd,
        attributes: &[(std::ffi::OsString, Vec<u8>)],
        owner: Option<(u32, u32)>,
        shown: &Path,
    ) -> Result<(), ReviewError> {
        if let Some((user, group)) = owner {
            let (user, group) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(group));
            match rustix::fs::fchown(fd, Some(user), Some(group)) {
                // Who may not give a file away has made it anew, as the sandbox did: it is theirs.
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(SysError::new("fchown", shown.display(), errno).into()),
            }
        }
        for (name, value) in attributes {
            rustix::fs::fsetxattr(fd, &**name, value, XattrFlags::empty())
                .named("fsetxattr", shown.display())?;
        }
        Ok(())
    }

    fn set_time(&self, name: &str, node: &Node, shown: &Path) -> Result<(), SysError> {
        let seconds = i64::try_from(node.print.modified.div_euclid(1_000_000_000)).unwrap_or(0);
        let fraction = i64::try_from(node.print.modified.rem_euclid(1_000_000_000)).unwrap_or(0);
        let time = Timespec { tv_sec: seconds, tv_nsec: fraction };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .named("utimensat", shown.display())
    }
}

fn unfit(path: &Path, why: &'static str) -> ReviewError {
    ReviewError::Unfit(vec![(path.to_owned(), why)])
}

fn open(path: &Path) -> Result<OwnedFd, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).named("open", path.display())
}

/// The file system and the mount: a rename leaves neither.
fn mount_of(fd: impl AsFd) -> Result<(u64, u64), SysError> {
    let found =
        rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).named("statx", "a mount")?;
    let stat = rustix::fs::fstat(&fd).named("fstat", "a mount")?;
    let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    // On a kernel that does not tell, no two are the same.
    Ok((stat.st_dev, if told { found.stx_mnt_id } else { found.stx_ino }))
}

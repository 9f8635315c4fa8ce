//! Changing the mounts of a running sandbox from outside.
//!
//! A helper process, single-threaded and fresh, goes through two states that it cannot leave again: [`Outside`] it is
//! the owner of the sandbox's user namespace and still sees the host's files, so it can clone them; [`Inside`] it
//! sees the sandbox's files and can attach what it brought. Neither needs a privilege outside of the sandbox.
//!
//! The agent runs meanwhile and may rename what it can write: paths are opened without following symbolic links, and
//! every act is on what was opened.

use crate::mount::{self, Flags};
use crate::{Named, SysError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The name under which what hides things stands in the root for a moment.
const VOID: &str = ".void";

/// What may be done below a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and executing.
    Read,
    /// Writing, too.
    Write,
}

/// Why a change was not made. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// The path is not absolute, or not normal, or the root.
    #[error("{0}: not an absolute path without `.` and `..`")]
    NotAPath(String),
    /// There is nothing to mount on, and nothing can be made there.
    #[error("{0}: no mount point, and none can be made there")]
    NoMountPoint(String),
    /// Nothing is mounted exactly there.
    #[error("{0}: not a grant")]
    NotAMount(String),
    /// What stood at the path was moved while something was attached there.
    #[error("{0}: it was moved meanwhile")]
    Moved(String),
    /// Somebody inside still uses it: has a file open for writing (read-only refused), or any (idle revoke refused).
    #[error("{0}: in use")]
    Busy(String),
    /// Something else.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// The sandbox's namespaces, as descriptors that its init opened.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// User namespace, owned by the caller's user.
    pub user: BorrowedFd<'a>,
    /// Mount namespace.
    pub mount: BorrowedFd<'a>,
    /// The root's own file system, writable and detached.
    pub scaffold: BorrowedFd<'a>,
}

/// Owner of the sandbox, with a copy of the host's view.
#[derive(Debug)]
pub struct Outside<'a>(Door<'a>);

/// A host file or directory on its way in.
#[derive(Debug)]
pub struct Parcel {
    tree: OwnedFd,
    directory: bool,
}

/// What stood at a path when it was looked up, to attach something there.
#[derive(Debug)]
pub struct Point {
    held: OwnedFd,
    at: PathBuf,
}

/// What was attached: it can be taken away again wherever its mount point is by then ([`Inside::take_back`]).
#[derive(Debug)]
pub struct Placed(OwnedFd);

/// Inside the sandbox's mount namespace.
#[derive(Debug)]
pub struct Inside<'a> {
    root: OwnedFd,
    scaffold: BorrowedFd<'a>,
}

impl<'a> Outside<'a> {
    /// Takes ownership: from here on this process belongs to the sandbox's user namespace.
    pub fn enter(door: Door<'a>) -> Result<Self, SysError> {
        rustix::thread::move_into_link_name_space(door.user, Some(LinkNameSpaceType::User))
            .named("setns", "the sandbox's user namespace")?;
        // SAFETY: only a new mount namespace is asked for; descriptors and memory stay what they are.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.named("unshare", "CLONE_NEWNS")?;
        Ok(Self(door))
    }

    /// Takes the host's file or directory, with everything mounted below it, to be attached inside.
    pub fn take(&self, source: &Path, access: Access) -> Result<Parcel, SysError> {
        let tree = mount::clone_judged(source)?;
        mount::set_tree(&tree, flags(access), Flags::empty())?;
        let directory = is_directory(tree.as_fd())?;
        Ok(Parcel { tree, directory })
    }

    /// Goes inside, and does not come back.
    pub fn go_inside(self) -> Result<Inside<'a>, SysError> {
        rustix::thread::move_into_link_name_space(self.0.mount, Some(LinkNameSpaceType::Mount))
            .named("setns", "the sandbox's mount namespace")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty()).named("open", "the sandbox's root")?;
        Ok(Inside { root, scaffold: self.0.scaffold })
    }
}

fn flags(access: Access) -> Flags {
    match access {
        Access::Read => mount::READ,
        Access::Write => mount::WRITE,
    }
}

impl Inside<'_> {
    /// Attaches what was taken: [`Inside::point`], then [`Inside::place`].
    pub fn grant(&self, parcel: Parcel, at: &Path) -> Result<Placed, LiveError> {
        let point = self.point(at, &parcel)?;
        self.place(parcel, point)
    }

    /// Where this parcel can be attached. The mount point is made if need be: in the sandbox's root, or where the agent
    /// could have made it.
    pub fn point(&self, at: &Path, parcel: &Parcel) -> Result<Point, LiveError> {
        let held = match self.find(at)? {
            Some(held) => held,
            None => self.make(at, parcel.directory)?,
        };
        if is_directory(held.as_fd())? != parcel.directory {
            return Err(LiveError::NoMountPoint(at.display().to_string()));
        }
        Ok(Point { held, at: at.to_owned() })
    }

    /// Attaches what was taken. The agent may have given the mount point another name since it was looked up; once
    /// something is mounted there it cannot any more. So where it stands is looked at afterwards, and what stands under
    /// another name does not stay: nobody would find it to take it away.
    pub fn place(&self, parcel: Parcel, point: Point) -> Result<Placed, LiveError> {
        let Point { held, at } = point;
        mount::attach(&parcel.tree, held, at.display())?;
        let there = self.find(&at).ok().flatten();
        let placed = Placed(parcel.tree);
        let stands = there.map(mount::id).transpose().and_then(|id| Ok(id == Some(mount::id(&placed.0)?)));
        if matches!(stands, Ok(true)) {
            return Ok(placed);
        }
        self.take_back(&placed)?;
        stands?;
        Err(LiveError::Moved(at.display().to_string()))
    }

    /// Takes away what was attached, also while it is in use, wherever its mount point is by now: only a path can be
    /// unmounted, so it is moved to one that the agent cannot reach first.
    pub fn take_back(&self, placed: &Placed) -> Result<(), LiveError> {
        let directory = is_directory(placed.0.as_fd())?;
        self.make_void(directory)?;
        let at = Path::new("/").join(VOID);
        let moved = self.find(&at).and_then(|point| {
            let point = point.ok_or_else(|| LiveError::NoMountPoint(at.display().to_string()))?;
            mount::shift(&placed.0, point)?;
            Ok(mount::detach(&at)?)
        });
        self.remove_void(directory)?;
        moved
    }

    /// Takes a grant away. Who has files of it open keeps them ([`crate::proc::holders`] finds those); with
    /// `only_if_idle` that is [`LiveError::Busy`] instead.
    pub fn revoke(&self, at: &Path, only_if_idle: bool) -> Result<(), LiveError> {
        self.mounted(at)?;
        let name = at.file_name().ok_or_else(|| LiveError::NotAPath(at.display().to_string()))?;
        let parent = match at.parent() {
            Some(dir) if dir != Path::new("/") => self.find(dir)?,
            _ => Some(self.root.try_clone().named("dup", "the sandbox's root")?),
        };
        let parent = parent.ok_or_else(|| LiveError::NotAMount(at.display().to_string()))?;
        // By name in a directory that is held: the agent cannot rename a mount point.
        rustix::process::fchdir(parent).named("fchdir", at.display())?;
        let name = Path::new(name);
        let done = if only_if_idle { mount::detach_if_idle(name) } else { mount::detach(name) };
        done.map_err(|e| busy(at, e))
    }

    /// Makes a grant, with all that is mounted below it, read-only; or makes the grant itself writable again.
    pub fn set_access(&self, at: &Path, access: Access) -> Result<(), LiveError> {
        let mounted = self.mounted(at)?;
        let done = match access {
            Access::Read => mount::set_tree(mounted, Flags::MOUNT_ATTR_RDONLY, Flags::empty()),
            // What is mounted below has rules of its own, which this call does not know.
            Access::Write => mount::set_one(mounted, Flags::empty(), Flags::MOUNT_ATTR_RDONLY),
        };
        done.map_err(|e| busy(at, e))
    }

    /// Covers a file or directory with an empty unreadable one; [`Inside::revoke`] uncovers it. What got another name
    /// meanwhile is covered under that.
    pub fn hide(&self, at: &Path) -> Result<Placed, LiveError> {
        let point = self.find(at)?.ok_or_else(|| LiveError::NoMountPoint(at.display().to_string()))?;
        let directory = is_directory(point.as_fd())?;
        let made = self.make_void(directory);
        let attached = made.and_then(|()| self.attach_void(point, at));
        // A mount keeps its root without a name; a name that was left over would stop the next one.
        let removed = self.remove_void(directory);
        if attached.is_ok() && removed.is_err() {
            self.revoke(at, false)?;
        }
        removed?;
        Ok(attached?)
    }

    /// The id of the grant at the path, for [`crate::proc::holders`].
    pub fn mount_id(&self, at: &Path) -> Result<u64, LiveError> {
        Ok(mount::id(self.mounted(at)?)?)
    }

    fn make_void(&self, directory: bool) -> Result<(), SysError> {
        if directory {
            rustix::fs::mkdirat(self.scaffold, VOID, Mode::empty()).named("mkdir", VOID)
        } else {
            make_file(self.scaffold, Path::new(VOID)).named("mknod", VOID)
        }
    }

    fn remove_void(&self, directory: bool) -> Result<(), SysError> {
        let how = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(self.scaffold, VOID, how).named("unlink", VOID)
    }

    fn attach_void(&self, point: OwnedFd, at: &Path) -> Result<Placed, SysError> {
        let tree = mount::clone_tree(&self.root, Path::new(VOID))?;
        mount::set_one(&tree, mount::READ_NOEXEC, Flags::empty())?;
        mount::attach(&tree, point, at.display())?;
        Ok(Placed(tree))
    }

    fn find(&self, at: &Path) -> Result<Option<OwnedFd>, LiveError> {
        let path = normal(at)?;
        // Not O_NOFOLLOW: with it the last component may be a link, which is then opened itself.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(found.named("openat2", at.display()).map(Some)?),
        }
    }

    /// What stands at the path, if it is the root of a mount.
    fn mounted(&self, at: &Path) -> Result<OwnedFd, LiveError> {
        let not_a_mount = || LiveError::NotAMount(at.display().to_string());
        let found = self.find(at)?.ok_or_else(not_a_mount)?;
        let stat = rustix::fs::statx(&found, "", AtFlags::EMPTY_PATH, StatxFlags::empty())
            .named("statx", at.display())?;
        let is_root = stat.stx_attributes.bits() & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0;
        if is_root { Ok(found) } else { Err(not_a_mount()) }
    }

    fn make(&self, at: &Path, directory: bool) -> Result<OwnedFd, LiveError> {
        let path = normal(at)?;
        let mut parents: Vec<&Path> =
            path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
        parents.reverse();
        for dir in parents {
            let dir = Path::new("/").join(dir);
            if self.find(&dir)?.is_none() {
                self.make_one(&dir, true)?;
            }
        }
        self.make_one(at, directory)?;
        self.find(at)?.ok_or_else(|| LiveError::NoMountPoint(at.display().to_string()))
    }

    /// The root is read-only inside, so what is made on its own file system is made through the scaffold.
    fn make_one(&self, at: &Path, directory: bool) -> Result<(), LiveError> {
        let path = normal(at)?;
        let parent = match at.parent() {
            Some(dir) if dir != Path::new("/") => self.find(dir)?,
            _ => Some(self.root.try_clone().named("dup", "the sandbox's root")?),
        };
        let parent = parent.ok_or_else(|| LiveError::NoMountPoint(at.display().to_string()))?;
        let on_scaffold = device(parent.as_fd())? == device(self.scaffold)?;
        let (base, name) = if on_scaffold {
            (self.scaffold, path)
        } else {
            (parent.as_fd(), Path::new(at.file_name().unwrap_or_default()))
        };
        let made = if directory {
            rustix::fs::mkdirat(base, name, Mode::from_raw_mode(0o755))
        } else {
            make_file(base, name)
        };
        match made {
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
                Err(LiveError::NoMountPoint(at.display().to_string()))
            }
            other => Ok(other.named("mkdir", at.display())?),
        }
    }
}

fn make_file(base: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    rustix::fs::mknodat(base, name, FileType::RegularFile, Mode::empty(), 0)
}

fn device(fd: BorrowedFd<'_>) -> Result<u64, SysError> {
    rustix::fs::fstat(fd).named("fstat", "a directory").map(|stat| stat.st_dev)
}

fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, SysError> {
    let stat = rustix::fs::fstat(fd).named("fstat", "a place")?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn normal(at: &Path) -> Result<&Path, LiveError> {
    let path = at.strip_prefix("/").ok();
    path.filter(|p| !p.as_os_str().is_empty() && p.components().all(|c| matches!(c, Component::Normal(_))))
        .ok_or_else(|| LiveError::NotAPath(at.display().to_string()))
}

fn busy(at: &Path, error: SysError) -> LiveError {
    if mount::is_busy(&error) { LiveError::Busy(at.display().to_string()) } else { LiveError::Sys(error) }
}

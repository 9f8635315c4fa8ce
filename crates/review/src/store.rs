//! Where reviews are kept: a directory for each sandbox, below Creel's own state, which no sandbox sees.
//!
//! `reviews/NAME/` holds `review.json` (which workspace), `layer/` (the overlay's upper and work directories, and with
//! `base.json` and `base/` what the workspace was), `snapshots/`, `undo/` (what the last apply replaced), and while
//! something lands `journal.json`.

use crate::ReviewError;
use crate::base::Base;
use crate::beneath::Root;
use crate::change::Change;
use crate::compare::{self, Both};
use crate::spelling;
use creel_kernel::{Named, SysError};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const ABOUT: &str = "review.json";

/// All reviews of a user.
#[derive(Debug, Clone)]
pub struct Shelf(PathBuf);

/// What is known of a review beside its layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    version: u32,
    #[serde(with = "spelling")]
    workspace: PathBuf,
    device: u64,
    inode: u64,
}

/// The review of one sandbox.
#[derive(Debug)]
pub struct Review {
    name: String,
    dir: PathBuf,
    about: About,
    shelf: Shelf,
}

/// A layer that is lent to a running sandbox; taken back when dropped.
#[derive(Debug)]
pub struct Lent {
    /// The directory with `upper` and `work`.
    pub layer: PathBuf,
    /// How many changes wait already.
    pub waiting: usize,
    review: Review,
    /// Held while the sandbox runs.
    _lock: Lock,
}

impl Lent {
    /// The review that it belongs to.
    pub fn review(&self) -> &Review {
        &self.review
    }

    /// Every change that waits.
    pub fn changes(&self) -> Result<Vec<Change>, ReviewError> {
        self.review.changes()
    }

    /// The run is over: notes what the workspace is, and gives the number of changes that wait. Nothing is left of a
    /// review without any.
    pub fn end(self) -> Result<usize, ReviewError> {
        let lock = self.review.lock()?;
        let waiting = self.review.seal_locked()?;
        if waiting == 0 && !self.review.dir.join("undo").exists() && self.review.snapshots()?.is_empty() {
            self.review.remove()?;
        }
        drop(lock);
        Ok(waiting)
    }
}

/// Held while a review is changed.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code)] OwnedFd);

impl Shelf {
    /// The shelf in Creel's state directory.
    pub fn at(state: &Path) -> Self {
        Self(state.join("reviews"))
    }

    /// The names of all reviews, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join(ABOUT).is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The review of a sandbox.
    pub fn open(&self, name: &str) -> Result<Review, ReviewError> {
        let none = || ReviewError::Nothing(name.to_owned());
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(none());
        }
        let dir = self.0.join(name);
        let path = dir.join(ABOUT);
        let bad = |why: String| ReviewError::Notes { path: path.clone(), why };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
            Err(error) => return Err(bad(error.to_string())),
        };
        let about: About = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if about.version != 1 {
            return Err(bad(format!("it is of version {}", about.version)));
        }
        Ok(Review { name: name.to_owned(), dir, about, shelf: self.clone() })
    }

    /// Lends the layer of `name` to a sandbox that starts in `workspace`: the one that waits, or a new one.
    pub fn lend(&self, name: &str, workspace: &Path) -> Result<Lent, ReviewError> {
        let meta = fs::metadata(workspace).named("stat", workspace.display())?;
        match self.open(name) {
            Err(ReviewError::Nothing(_)) => self.make(name, workspace, &meta)?,
            Err(error) => return Err(error),
            Ok(review) => {
                if review.about.workspace != workspace {
                    return Err(ReviewError::OtherWorkspace {
                        name: name.into(),
                        workspace: review.about.workspace,
                    });
                }
                review.lower()?;
            }
        }
        let review = self.open(name)?;
        let _held = review.lock()?;
        let lock = review.idle()?;
        review.recover_locked()?;
        Ok(Lent { layer: review.layer(), waiting: review.changes()?.len(), review, _lock: lock })
    }

    /// Where the layer of a sandbox is, or would be.
    pub fn layer(&self, name: &str) -> PathBuf {
        self.0.join(name).join("layer")
    }

    fn make(&self, name: &str, workspace: &Path, meta: &fs::Metadata) -> Result<(), ReviewError> {
        let dir = self.0.join(name);
        let upper = dir.join("layer/upper");
        for path in [&upper, &dir.join("layer/work")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).named("mkdir", path.display())?;
        }
        // What the view's top directory looks like is what the layer's does. The group may be one that this user
        // cannot give; then it is the user's own.
        let _ = std::os::unix::fs::chown(&upper, None, Some(meta.gid()));
        fs::set_permissions(&upper, fs::Permissions::from_mode(meta.mode() & 0o7777))
            .named("chmod", upper.display())?;
        let about =
            About { version: 1, workspace: workspace.to_owned(), device: meta.dev(), inode: meta.ino() };
        let bytes = serde_json::to_vec(&about)
            .map_err(|error| ReviewError::Notes { path: dir.join(ABOUT), why: error.to_string() })?;
        replace(&dir.join(ABOUT), &bytes)?;
        Ok(())
    }
}

impl Review {
    /// The sandbox's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The workspace that it was made in.
    pub fn workspace(&self) -> &Path {
        &self.about.workspace
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory with `upper`, `work`, and what the workspace was.
    pub(crate) fn layer(&self) -> PathBuf {
        self.dir.join("layer")
    }

    /// Whether the sandbox runs, so that its layer may change at any time.
    pub fn is_running(&self) -> Result<bool, ReviewError> {
        Ok(self.flock("mounted", FlockOperation::NonBlockingLockShared)?.is_none())
    }

    /// Every change that waits.
    pub fn changes(&self) -> Result<Vec<Change>, ReviewError> {
        self.read(compare::changes)
    }

    /// Notes what the workspace is, so that it can be told later whether it moved; gives the number of changes. To be
    /// called when a run ends.
    pub fn seal(&self) -> Result<usize, ReviewError> {
        let _lock = self.lock()?;
        self.seal_locked()
    }

    pub(crate) fn seal_locked(&self) -> Result<usize, ReviewError> {
        let changes = self.changes()?;
        let base = Base::read(&self.layer())?;
        self.read(|both| base.seal(&self.layer(), both, &changes))?;
        Ok(changes.len())
    }

    /// Forgets everything: the layer, its snapshots, and what was applied before.
    pub fn discard(&self) -> Result<(), ReviewError> {
        let _lock = self.lock()?;
        let _idle = self.idle()?;
        self.recover_locked()?;
        self.remove()
    }

    fn remove(&self) -> Result<(), ReviewError> {
        let aside = self.shelf.0.join(format!(".{}.discarded", self.name));
        remove_tree(&aside)?;
        // From here on there is no review of that name; what is left of it, should this be interrupted, is removed by
        // the next one.
        fs::rename(&self.dir, &aside).named("rename", self.dir.display())?;
        remove_tree(&aside)
    }

    pub(crate) fn read<T>(
        &self,
        f: impl FnOnce(&Both<'_>) -> Result<T, ReviewError>,
    ) -> Result<T, ReviewError> {
        let (upper, lower, base) = (self.upper()?, self.lower()?, Base::read(&self.layer())?);
        f(&Both { upper: &upper, lower: &lower, base: &base })
    }

    pub(crate) fn upper(&self) -> Result<Root, ReviewError> {
        Ok(Root::open(&self.layer().join("upper"))?)
    }

    /// The workspace, which must still be the directory that it was.
    pub(crate) fn lower(&self) -> Result<Root, ReviewError> {
        let replaced = || ReviewError::Replaced(self.about.workspace.clone());
        let root = Root::open(&self.about.workspace).map_err(|error| match error.errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => replaced(),
            _ => error.into(),
        })?;
        let stat = rustix::fs::fstat(root.fd()).named("fstat", self.about.workspace.display())?;
        if stat.st_ino == self.about.inode { Ok(root) } else { Err(replaced()) }
    }

    /// Nobody else changes this review while the lock is held.
    pub(crate) fn lock(&self) -> Result<Lock, ReviewError> {
        let lock = self.flock("lock", FlockOperation::NonBlockingLockExclusive)?;
        lock.map(Lock).ok_or_else(|| ReviewError::Busy(self.name.clone()))
    }

    /// No sandbox mounts the layer while this is held.
    pub(crate) fn idle(&self) -> Result<Lock, ReviewError> {
        let lock = self.flock("mounted", FlockOperation::NonBlockingLockExclusive)?;
        lock.map(Lock).ok_or_else(|| ReviewError::Running(self.name.clone()))
    }

    fn flock(&self, name: &str, how: FlockOperation) -> Result<Option<OwnedFd>, SysError> {
        let path = self.dir.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR).named("open", path.display())?;
        match rustix::fs::flock(&fd, how) {
            Ok(()) => Ok(Some(fd)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(SysError::new("flock", path.display(), errno)),
        }
    }
}

/// Writes a file whole or not at all, and returns when it is on stable storage.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), SysError> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_dir(path.parent().unwrap_or(Path::new("/")))
    };
    write().named("write", path.display())
}

/// Returns when the names in a directory are on stable storage.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// Removes a tree, however deep, also where an agent closed directories to their owner. It is nobody else's by now: no
/// sandbox mounts it.
pub(crate) fn remove_tree(path: &Path) -> Result<(), ReviewError> {
    creel_kernel::remove::tree(path).map_err(ReviewError::from)
}

//! One step: what it does to one name, whether it was taken, and how it is taken back.

use crate::ReviewError;
use crate::beneath::{Root, names};
use crate::node::{Kind, Node, Print};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// One change of one name in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// What stands there goes; a directory must be empty by then.
    Take {
        #[serde(with = "crate::spelling")]
        path: PathBuf,
        /// Its name in the staging directory.
        aside: String,
        was: Print,
    },
    /// Where nothing stands something comes.
    Place {
        #[serde(with = "crate::spelling")]
        path: PathBuf,
        staged: String,
        is: Print,
    },
    /// What stands there is exchanged for something else.
    Swap {
        #[serde(with = "crate::spelling")]
        path: PathBuf,
        staged: String,
        is: Print,
        was: Print,
    },
    /// Its permission bits change.
    Mode {
        #[serde(with = "crate::spelling")]
        path: PathBuf,
        inode: u64,
        from: u32,
        to: u32,
    },
}

/// What a name held instead of what was expected.
#[derive(Debug)]
pub(crate) struct Surprise(pub PathBuf);

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    After,
    /// Somebody else was at it.
    Neither,
}

/// What a step works on.
pub(crate) struct Ground<'a> {
    pub workspace: &'a Root,
    pub staging: &'a OwnedFd,
}

type Outcome = Result<Result<(), Surprise>, ReviewError>;

impl Step {
    /// The path in the workspace.
    pub fn path(&self) -> &Path {
        match self {
            Self::Take { path, .. }
            | Self::Place { path, .. }
            | Self::Swap { path, .. }
            | Self::Mode { path, .. } => path,
        }
    }

    /// Takes the step if it was not taken yet.
    pub fn take(&self, on: &Ground<'_>) -> Outcome {
        match self.state(on)? {
            State::After if self.held_what_was_expected(on)? => Ok(Ok(())),
            State::After | State::Neither => Ok(Err(self.surprise())),
            State::Before => self.forward(on),
        }
    }

    /// Takes it back if it was taken. Where somebody else was at it since, what they did stays.
    pub fn take_back(&self, on: &Ground<'_>) -> Outcome {
        match self.state(on)? {
            State::Before => Ok(Ok(())),
            State::Neither => Ok(Err(self.surprise())),
            State::After => self.backward(on),
        }
    }

    /// Whether what went aside is what was expected: an interruption may have come before that was looked at.
    fn held_what_was_expected(&self, on: &Ground<'_>) -> Result<bool, SysError> {
        match self {
            Self::Take { aside, was, .. } => {
                Ok(in_staging(on, aside)?.is_none() || is_as_expected(on, aside, was)?)
            }
            Self::Swap { staged, was, .. } => is_as_expected(on, staged, was),
            Self::Place { .. } | Self::Mode { .. } => Ok(true),
        }
    }

    fn surprise(&self) -> Surprise {
        Surprise(self.path().to_owned())
    }

    fn state(&self, on: &Ground<'_>) -> Result<State, ReviewError> {
        let now = on.workspace.stat(self.path())?;
        let print = now.as_ref().map(Print::of);
        Ok(match self {
            Self::Take { aside, was, .. } => {
                match (print, in_staging(on, aside)?.map(|stat| Print::of(&stat))) {
                    (Some(now), None) if now == *was => State::Before,
                    (None, Some(_) | None) => State::After,
                    _ => State::Neither,
                }
            }
            Self::Place { staged, is, .. } => match (print, in_staging(on, staged)?) {
                (None, Some(_)) => State::Before,
                (Some(now), None) if now.inode == is.inode => State::After,
                _ => State::Neither,
            },
            Self::Swap { is, was, .. } => match print {
                Some(now) if now.inode == is.inode => State::After,
                Some(now) if now == *was => State::Before,
                _ => State::Neither,
            },
            Self::Mode { inode, from, to, .. } => match now {
                Some(stat) if stat.st_ino != *inode => State::Neither,
                Some(stat) if stat.st_mode & 0o7777 == *to => State::After,
                Some(stat) if stat.st_mode & 0o7777 == *from => State::Before,
                Some(_) => State::Neither,
                // A directory is opened before it goes, and by now it went.
                None => State::After,
            },
        })
    }

    fn forward(&self, on: &Ground<'_>) -> Outcome {
        match self {
            Self::Take { path, aside, was } => {
                if !self.rename(on, Way::Out, aside)? {
                    return Ok(Err(self.surprise()));
                }
                if is_as_expected(on, aside, was)? {
                    return Ok(Ok(()));
                }
                self.rename(on, Way::In, aside)?;
                Ok(Err(Surprise(path.clone())))
            }
            Self::Place { staged, .. } => {
                let placed = self.rename(on, Way::In, staged)?;
                Ok(if placed { Ok(()) } else { Err(self.surprise()) })
            }
            Self::Swap { path, staged, was, .. } => {
                if !self.rename(on, Way::Across, staged)? {
                    return Ok(Err(self.surprise()));
                }
                if is_as_expected(on, staged, was)? {
                    return Ok(Ok(()));
                }
                self.rename(on, Way::Across, staged)?;
                Ok(Err(Surprise(path.clone())))
            }
            Self::Mode { path, to, .. } => set_mode(on, path, *to).map(Ok),
        }
    }

    fn backward(&self, on: &Ground<'_>) -> Outcome {
        let back = match self {
            Self::Take { aside, .. } => {
                in_staging(on, aside)?.is_none() || self.rename(on, Way::In, aside)?
            }
            Self::Place { path, staged, is } => {
                // A directory into which somebody put something since stays theirs.
                if !is_empty_or_file(on, path)?
                    || on.workspace.stat(path)?.map(|s| Print::of(&s)) != Some(*is)
                {
                    return Ok(Err(self.surprise()));
                }
                self.rename(on, Way::Out, staged)?
            }
            Self::Swap { staged, is, path, .. } => {
                let now = on.workspace.stat(path)?.map(|stat| Print::of(&stat));
                now == Some(*is) && is_empty_or_file(on, path)? && self.rename(on, Way::Across, staged)?
            }
            Self::Mode { path, from, .. } => {
                set_mode(on, path, *from)?;
                true
            }
        };
        Ok(if back { Ok(()) } else { Err(self.surprise()) })
    }

    /// One rename between the workspace and the staging directory; false when a name was there or was not.
    fn rename(&self, on: &Ground<'_>, way: Way, staged: &str) -> Result<bool, SysError> {
        let (dir, name) = match on.workspace.parent(self.path()) {
            Ok(found) => found,
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let done = match way {
            Way::In => rustix::fs::renameat_with(on.staging, staged, &dir, name, RenameFlags::NOREPLACE),
            Way::Out => rustix::fs::renameat_with(&dir, name, on.staging, staged, RenameFlags::NOREPLACE),
            Way::Across => rustix::fs::renameat_with(&dir, name, on.staging, staged, RenameFlags::EXCHANGE),
        };
        match done {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            Err(errno) => Err(SysError::new("renameat2", on.workspace.full(self.path()).display(), errno)),
        }
    }
}

enum Way {
    In,
    Out,
    Across,
}

fn in_staging(on: &Ground<'_>, name: &str) -> Result<Option<Stat>, SysError> {
    match rustix::fs::statat(on.staging, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(SysError::new("fstatat", name, errno)),
    }
}

/// Whether what went aside is what was expected there, a directory without anything in it.
fn is_as_expected(on: &Ground<'_>, name: &str, was: &Print) -> Result<bool, SysError> {
    let Some(stat) = in_staging(on, name)? else { return Ok(false) };
    if Print::of(&stat) != *was {
        return Ok(false);
    }
    if Node::of(&stat).kind != Kind::Directory {
        return Ok(true);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(on.staging, name, flags, Mode::empty()).named("open", name)?;
    Ok(names(dir, Path::new(name))?.is_empty())
}

fn is_empty_or_file(on: &Ground<'_>, path: &Path) -> Result<bool, SysError> {
    match on.workspace.names(path) {
        Ok(names) => Ok(names.is_empty()),
        Err(error) if matches!(error.errno, Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(true),
        Err(error) => Err(error),
    }
}

fn set_mode(on: &Ground<'_>, path: &Path, mode: u32) -> Result<(), ReviewError> {
    let door = crate::compare::door(on.workspace, path)?;
    let Some(door) = door else { return Ok(()) };
    rustix::fs::chmodat(rustix::fs::CWD, &*door, Mode::from_raw_mode(mode), AtFlags::empty())
        .named("chmod", on.workspace.full(path).display())
        .map_err(ReviewError::from)
}

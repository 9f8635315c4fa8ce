//! The end of a landing, by whom it was begun or by whoever comes next.

use super::carry::{Carried, Obstacle, Stop, carry};
use super::{Intent, Journal, Kind, Staging, spend};
use crate::beneath::Root;
use crate::change::Moved;
use crate::{Review, ReviewError, Shelf, store};
use creel_kernel::{Named, SysError};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What became of an interrupted landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// All of it is in the workspace.
    Finished,
    /// Nothing of it is in the workspace.
    TakenBack {
        /// What somebody else changed after it had landed, and that stays as it is.
        kept: Vec<PathBuf>,
    },
}

impl Shelf {
    /// Whether an apply was begun that did not come to its end yet.
    pub fn is_interrupted(&self) -> bool {
        self.names().iter().filter_map(|name| self.open(name).ok()).any(|review| {
            !matches!(Journal::read(review.dir()), Ok(None)) // one that cannot be read is not at its end
        })
    }

    /// Ends what was interrupted, in every review; the names of those in which there was something to end. One that
    /// another command works on is left to it.
    pub fn recover(&self) -> Vec<(String, Result<Recovered, ReviewError>)> {
        let mut found = Vec::new();
        for name in self.names() {
            let outcome = self.open(&name).and_then(|review| review.recover());
            match outcome {
                Ok(None) | Err(ReviewError::Busy(_) | ReviewError::Nothing(_)) => {}
                Ok(Some(recovered)) => found.push((name, Ok(recovered))),
                Err(error) => found.push((name, Err(error))),
            }
        }
        found
    }
}

impl Review {
    /// Ends what was interrupted, if something was.
    pub fn recover(&self) -> Result<Option<Recovered>, ReviewError> {
        if Journal::read(self.dir())?.is_none() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        self.recover_locked()
    }

    pub(crate) fn recover_locked(&self) -> Result<Option<Recovered>, ReviewError> {
        let Some(mut journal) = Journal::read(self.dir())? else { return Ok(None) };
        if journal.intent == Intent::Stage {
            store::remove_tree(&journal.staging)?;
            Journal::remove(self.dir())?;
            return Ok(Some(Recovered::TakenBack { kept: Vec::new() }));
        }
        match self.complete(&mut journal, &mut || Ok(())) {
            Ok(()) => Ok(Some(Recovered::Finished)),
            Err(Stuck::TakenBack { kept, .. }) => Ok(Some(Recovered::TakenBack { kept })),
            Err(Stuck::Error(error)) => Err(error),
        }
    }

    /// From a written journal to its end.
    pub(crate) fn complete(&self, journal: &mut Journal, stop: Stop<'_>) -> Result<(), Stuck> {
        let workspace = self.lower()?;
        if journal.intent != Intent::TakenBack {
            let carried = carry(self.dir(), &workspace, journal, stop)?;
            if let Carried::None { obstacle, kept } = carried {
                self.forget(journal, &kept)?;
                return Err(Stuck::TakenBack { obstacle, kept });
            }
        } else {
            self.forget(journal, &[])?;
            return Err(Stuck::TakenBack { obstacle: None, kept: Vec::new() });
        }
        self.put_away(journal, &workspace, stop)?;
        Ok(())
    }

    /// All steps are taken back: what was staged goes, but for what could not be put back where it was.
    fn forget(&self, journal: &Journal, kept: &[PathBuf]) -> Result<(), ReviewError> {
        if kept.is_empty() {
            store::remove_tree(&journal.staging)?;
        } else {
            keep_aside(&journal.staging, self.dir())?;
        }
        Journal::remove(self.dir())
    }

    /// All steps are taken: what was replaced is kept for an undo, and the layer lets go of what landed.
    fn put_away(&self, journal: &Journal, workspace: &Root, stop: Stop<'_>) -> Result<(), ReviewError> {
        stop()?;
        match journal.kind {
            Kind::Apply => spend::keep(self, journal, workspace, stop)?,
            Kind::Undo => spend::give_back(self, journal, stop)?,
        }
        stop()?;
        Journal::remove(self.dir())
    }
}

/// Why a landing did not come to its end.
pub(crate) enum Stuck {
    /// Everything is as it was.
    TakenBack { obstacle: Option<Obstacle>, kept: Vec<PathBuf> },
    /// It is not known how far it got; the journal is.
    Error(ReviewError),
}

impl From<ReviewError> for Stuck {
    fn from(error: ReviewError) -> Self {
        Self::Error(error)
    }
}

impl From<Stuck> for ReviewError {
    fn from(stuck: Stuck) -> Self {
        let (obstacle, kept) = match stuck {
            Stuck::Error(error) => return error,
            Stuck::TakenBack { obstacle, kept } => (obstacle, kept),
        };
        let surprised = match obstacle {
            Some(Obstacle::Refused(path, error)) => match *error {
                Self::Sys(source) if kept.is_empty() => return Self::Hindered { path, source },
                _ => Some(path),
            },
            Some(Obstacle::Surprise(path)) => Some(path),
            None => None,
        };
        let paths = surprised.into_iter().chain(kept);
        Self::Moved(paths.map(|path| (path, Moved::ChangedMeanwhile)).collect())
    }
}

/// Keeps what has no place to go back to beside the review, where a person finds it.
fn keep_aside(staging: &Path, dir: &Path) -> Result<(), ReviewError> {
    let to = dir.join("left-over");
    store::remove_tree(&to)?;
    match std::fs::rename(staging, &to) {
        Ok(()) => Ok(()),
        // On another file system it stays where it is.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => Ok(()),
        Err(error) => Err(error).named("rename", staging.display()).map_err(|e: SysError| e.into()),
    }
}

impl Staging {
    /// Whether a directory can be moved into a review's own.
    pub(crate) fn is_inside(path: &Path, dir: &Path) -> bool {
        path.starts_with(dir)
    }
}

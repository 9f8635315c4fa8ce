//! Takes the last apply out of the workspace again: the same landing, with the steps turned round.
//!
//! What landed must still be as it landed; then what was replaced comes back, and what had left the layer is in the
//! layer again, to be reviewed once more.

use crate::beneath::Root;
use crate::land::{
    Intent, Journal, Kind as JournalKind, Spelled, Staging, Step, Stop, Stuff, Undo, undo_dir,
};
use crate::node::{Kind, Node, Print};
use crate::{Review, ReviewError, snapshot::BEFORE_APPLY};
use std::path::{Path, PathBuf};

impl Review {
    /// Undoes the last apply. The locks are held.
    pub(crate) fn undo(&self) -> Result<(), ReviewError> {
        self.undo_until(&mut || Ok(()))
    }

    /// The same, stopped by a test before any of its acts.
    pub(crate) fn undo_until(&self, stop: Stop<'_>) -> Result<(), ReviewError> {
        let none = || ReviewError::NoSnapshot(BEFORE_APPLY.to_owned());
        let undo = Undo::read(self)?.ok_or_else(none)?;
        self.room_for(&undo)?;
        let lower = self.lower()?;
        let place = Staging::place(self.dir(), &lower)?;
        let mut journal = Journal {
            kind: JournalKind::Undo,
            intent: Intent::Stage,
            staging: place.clone(),
            steps: Vec::new(),
            spent: undo.spent.clone(),
        };
        journal.write(self.dir())?;
        stop()?;
        match self.turned(&undo, place) {
            Ok(steps) => journal.steps = steps,
            Err(error) => {
                // Nothing was changed yet; what cannot be cleared away now, the next command clears away.
                let _ = self.recover_locked();
                return Err(error);
            }
        }
        stop()?;
        journal.turn(Intent::Forward, self.dir())?;
        self.complete(&mut journal, stop)?;
        Ok(())
    }

    /// What had left the layer must find its place there free.
    fn room_for(&self, undo: &Undo) -> Result<(), ReviewError> {
        let partial = undo_dir(self).join("view/.partial").exists();
        let since: Vec<(PathBuf, &'static str)> = self
            .changes()?
            .into_iter()
            .filter(|change| !partial || undo.spent.contains(&Spelled(change.path.clone())))
            .map(|change| (change.path, "it was changed since the apply: apply it, too, or discard it first"))
            .collect();
        if since.is_empty() { Ok(()) } else { Err(ReviewError::Unfit(since)) }
    }

    /// The steps back, with what was replaced staged again.
    fn turned(&self, undo: &Undo, place: PathBuf) -> Result<Vec<Step>, ReviewError> {
        let mut turning = Turning {
            old: Root::open(&undo_dir(self).join("old"))?,
            staging: Staging::make(place)?,
            modes: Vec::new(),
        };
        let mut steps = Vec::new();
        for step in undo.steps.iter().rev() {
            steps.extend(turning.turn(step)?);
        }
        turning.staging.settle()?;
        turning.modes.reverse();
        steps.extend(turning.modes);
        Ok(steps)
    }
}

struct Turning {
    old: Root,
    staging: Staging,
    /// Of directories that come back, set when everything is in them.
    modes: Vec<Step>,
}

impl Turning {
    fn turn(&mut self, step: &Step) -> Result<Option<Step>, ReviewError> {
        Ok(match step {
            // Also of a directory that came: what is in a closed one could not be taken out of it.
            Step::Mode { path, inode, from, to } => {
                Some(Step::Mode { path: path.clone(), inode: *inode, from: *to, to: *from })
            }
            Step::Place { path, is, .. } => {
                Some(Step::Take { path: path.clone(), aside: self.staging.name(), was: *is })
            }
            Step::Swap { path, staged, is, .. } => self
                .again(staged, path)?
                .map(|(staged, new)| Step::Swap { path: path.clone(), staged, is: new, was: *is }),
            Step::Take { path, aside, .. } => {
                self.again(aside, path)?.map(|(staged, is)| Step::Place { path: path.clone(), staged, is })
            }
        })
    }

    /// Stages what was replaced; nothing when nothing was.
    fn again(&mut self, name: &str, path: &Path) -> Result<Option<(String, Print)>, ReviewError> {
        let name = Path::new(name);
        let Some(stat) = self.old.stat(name)? else { return Ok(None) };
        let node = Node::of(&stat);
        if node.kind == Kind::Special {
            return Ok(None); // there is nothing in it; who needs a pipe or a socket makes it
        }
        let stuff = Stuff::Copy {
            from: &self.old,
            path: name,
            node: &node,
            mode: node.mode,
            owner: Some(node.owner),
        };
        let (staged, is) = self.staging.stage(&stuff, name)?;
        if node.kind == Kind::Directory {
            self.modes.push(Step::Mode {
                path: path.to_owned(),
                inode: is.inode,
                from: 0o700,
                to: node.mode,
            });
        }
        Ok(Some((staged, is)))
    }
}

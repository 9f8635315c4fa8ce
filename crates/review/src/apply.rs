//! From changes to steps: which are wanted, what becomes of those that the workspace moved under, what never lands.

use crate::base::Base;
use crate::beneath::Root;
use crate::change::{Change, Moved, What};
use crate::compare::{self, attributes};
use crate::content;
use crate::land::{self, Intent, Journal, Kind as JournalKind, Staging, Step, Stop, Stuff};
use crate::node::{Kind, Node};
use crate::{Review, ReviewError, merge};
use creel_kernel::SysError;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What becomes of a change that the workspace moved under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// Texts are merged where both sides changed different lines; anything else stops the whole.
    #[default]
    Merge,
    /// What the sandbox made replaces what stands there.
    Overwrite,
}

/// What is to be applied.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Paths relative to the workspace, each with all beneath it; everything when there are none.
    pub paths: Vec<PathBuf>,
    /// What becomes of what moved.
    pub choice: Choice,
}

/// What was applied.
#[derive(Debug)]
pub struct Landed {
    /// Each change.
    pub changes: Vec<Change>,
    /// Paths whose text was merged with what stood there.
    pub merged: Vec<PathBuf>,
    /// How many changes still wait.
    pub left: usize,
}

impl Review {
    /// Applies changes to the workspace, all that are wanted or none.
    pub fn apply(&self, options: &Options) -> Result<Landed, ReviewError> {
        self.apply_until(options, &mut || Ok(()))
    }

    /// The changes that an apply with these options takes in.
    pub fn wanted(&self, options: &Options) -> Result<Vec<Change>, ReviewError> {
        select(&self.changes()?, &options.paths)
    }

    /// The same, stopped by a test before any of its acts.
    pub(crate) fn apply_until(&self, options: &Options, stop: Stop<'_>) -> Result<Landed, ReviewError> {
        let _lock = self.lock()?;
        let _idle = self.idle()?;
        self.recover_locked()?;
        let all = self.changes()?;
        let wanted = select(&all, &options.paths)?;
        fit(&wanted)?;
        let (upper, lower, base) = (self.upper()?, self.lower()?, Base::read(&self.layer())?);
        let merges = Merges { review: self, upper: &upper, lower: &lower, base: &base };
        let merged = merges.of(&wanted, options.choice)?;
        if wanted.is_empty() {
            return Ok(Landed { changes: wanted, merged: Vec::new(), left: all.len() });
        }
        stop()?;
        let place = Staging::place(self.dir(), &lower)?;
        let mut journal = Journal {
            kind: JournalKind::Apply,
            intent: Intent::Stage,
            staging: place.clone(),
            steps: Vec::new(),
            spent: wanted.iter().map(|change| land::Spelled(change.path.clone())).collect(),
        };
        journal.write(self.dir())?;
        stop()?;
        let staged = self.stage(place, &wanted, (&upper, &lower), &merged);
        match staged {
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
        let left = self.changes()?.len();
        Ok(Landed { changes: wanted, merged: merged.into_keys().collect(), left })
    }

    fn stage(
        &self,
        place: PathBuf,
        wanted: &[Change],
        (upper, lower): (&Root, &Root),
        merged: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<Vec<Step>, ReviewError> {
        let mut staging = Staging::make(place)?;
        let (mut takes, mut places, mut modes) = (Vec::new(), Vec::new(), Vec::new());
        for change in wanted {
            let path = change.path.clone();
            let (mode, owner) = dress(change, lower)?;
            if let What::Deleted(node) = &change.what {
                takes.push(Step::Take { path, aside: staging.name(), was: node.print });
                continue;
            }
            if let Some(step) = in_place(change, mode, upper, lower)? {
                modes.push(step);
                continue;
            }
            let Some(node) = change.after() else { continue };
            let stuff = match merged.get(&change.path) {
                Some(bytes) => Stuff::Bytes { bytes, like: (upper, &change.path), mode, owner },
                None => Stuff::Copy { from: upper, path: &change.path, node, mode, owner },
            };
            let (staged, is) = staging.stage(&stuff, &change.path)?;
            if node.kind == Kind::Directory {
                modes.push(Step::Mode { path: path.clone(), inode: is.inode, from: 0o700, to: mode });
            }
            places.push(match change.before() {
                None => Step::Place { path, staged, is },
                Some(before) => Step::Swap { path, staged, is, was: before.print },
            });
        }
        staging.settle()?;
        takes.reverse();
        modes.reverse();
        Ok(takes.into_iter().chain(places).chain(modes).collect())
    }
}

/// A change of nothing but permission bits, which needs no new file.
fn in_place(change: &Change, to: u32, upper: &Root, lower: &Root) -> Result<Option<Step>, ReviewError> {
    let What::Modified { before, after, content: false } = &change.what else { return Ok(None) };
    if after.kind != Kind::Directory && attributes(upper, &change.path)? != attributes(lower, &change.path)? {
        return Ok(None);
    }
    let (path, inode, from) = (change.path.clone(), before.print.inode, before.mode);
    Ok(Some(Step::Mode { path, inode, from, to }))
}

/// The permission bits and the owner that a path gets. Set-id bits come only from what was there before; the owner of
/// a file that is replaced stays, and a directory that hands its group on does so.
fn dress(change: &Change, lower: &Root) -> Result<(u32, Option<(u32, u32)>), SysError> {
    let Some(after) = change.after() else { return Ok((0, None)) };
    let before = change.before().filter(|before| before.kind == after.kind);
    let kept = before.map_or(0, |before| match (&change.what, after.kind) {
        (_, Kind::Directory) | (What::Modified { content: false, .. }, _) => {
            before.mode & after.mode & 0o6000
        }
        _ => 0,
    });
    let sticky = if after.kind == Kind::Directory { after.mode & 0o1000 } else { 0 };
    let mut mode = after.mode & 0o777 | kept | sticky;
    if let Some(before) = before {
        return Ok((mode, Some(before.owner)));
    }
    let parent = change.path.ancestors().skip(1).find_map(|at| lower.stat(at).ok().flatten());
    let hands_on = parent.filter(|parent| parent.st_mode & 0o2000 != 0);
    if hands_on.is_some() && after.kind == Kind::Directory {
        mode |= 0o2000;
    }
    let own = rustix::process::geteuid().as_raw();
    Ok((mode, hands_on.map(|parent| (own, parent.st_gid))))
}

/// The changes at and beneath the paths, with the directories that they need.
fn select(all: &[Change], paths: &[PathBuf]) -> Result<Vec<Change>, ReviewError> {
    if paths.is_empty() {
        return Ok(all.to_vec());
    }
    for path in paths {
        if !all.iter().any(|change| change.path.starts_with(path)) {
            return Err(ReviewError::NotChanged(path.clone()));
        }
    }
    let named: Vec<&Change> =
        all.iter().filter(|change| paths.iter().any(|path| change.path.starts_with(path))).collect();
    let needed = |change: &Change| {
        let makes_room = change.after().is_some_and(|node| node.kind == Kind::Directory)
            && change.before().is_none_or(|node| node.kind != Kind::Directory);
        makes_room
            && named.iter().any(|other| other.after().is_some() && other.path.starts_with(&change.path))
    };
    Ok(all
        .iter()
        .filter(|change| named.iter().any(|other| other.path == change.path) || needed(change))
        .cloned()
        .collect())
}

fn fit(wanted: &[Change]) -> Result<(), ReviewError> {
    let unfit: Vec<(PathBuf, &'static str)> = wanted
        .iter()
        .filter(|change| change.after().is_some_and(|node| node.kind == Kind::Special))
        .map(|change| (change.path.clone(), "a pipe, socket or device never lands"))
        .collect();
    if unfit.is_empty() { Ok(()) } else { Err(ReviewError::Unfit(unfit)) }
}

struct Merges<'a> {
    review: &'a Review,
    upper: &'a Root,
    lower: &'a Root,
    base: &'a Base,
}

impl Merges<'_> {
    /// The merged texts of what moved; an error when something that moved cannot be merged.
    fn of(&self, wanted: &[Change], choice: Choice) -> Result<BTreeMap<PathBuf, Vec<u8>>, ReviewError> {
        let mut merged = BTreeMap::new();
        let mut stuck = Vec::new();
        for change in wanted {
            let Some(moved) = change.moved else { continue };
            if choice == Choice::Overwrite {
                continue;
            }
            match self.one(change, moved)? {
                Some(bytes) => drop(merged.insert(change.path.clone(), bytes)),
                None => stuck.push((change.path.clone(), moved)),
            }
        }
        if stuck.is_empty() { Ok(merged) } else { Err(ReviewError::Moved(stuck)) }
    }

    fn one(&self, change: &Change, moved: Moved) -> Result<Option<Vec<u8>>, ReviewError> {
        let What::Modified { before, after, .. } = &change.what else { return Ok(None) };
        if moved != Moved::Changed || before.kind != Kind::File || after.kind != Kind::File {
            return Ok(None);
        }
        let path = &change.path;
        let Some(base) = self.base.text(&self.review.layer(), path) else { return Ok(None) };
        let (Some(ours), Some(theirs)) = (text(self.lower, path, before)?, text(self.upper, path, after)?)
        else {
            return Ok(None);
        };
        Ok(merge::three_way(&base, &ours, &theirs))
    }
}

/// All of a file that is small enough to be a text.
pub(crate) fn text(root: &Root, path: &Path, node: &Node) -> Result<Option<Vec<u8>>, SysError> {
    if node.size > crate::base::TEXT {
        return Ok(None);
    }
    match compare::with_access(root, path, node, OFlags::RDONLY) {
        Ok(fd) => content::read(&fd, crate::base::TEXT, path),
        Err(error) if error.errno == rustix::io::Errno::ACCESS => Ok(None),
        Err(error) => Err(error),
    }
}

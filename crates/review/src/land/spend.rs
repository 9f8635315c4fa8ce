//! After a landing: the layer lets go of what landed, and what was replaced is kept so that it can be undone.
//!
//! Nothing is deleted that the undo needs. The layer's files are moved, not copied: landing a large tree costs its size
//! once. Every act here can be done twice.
//!
//! The layer is nobody's but ours by now; a directory that an agent closed to its owner is opened while something is
//! moved ([`Opened`]).

use super::opened::{Opened, close_again, close_as, move_closed};
use super::stage::{Staging, Stuff};
use super::{Journal, Spelled, Step, Stop};
use crate::base::Base;
use crate::beneath::Root;
use crate::compare::{OPAQUE, attribute};
use crate::node::{Kind, Node};
use crate::{Review, ReviewError, store};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What an apply can be undone with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    /// When it was applied, in milliseconds since 1970.
    pub time: i64,
    pub steps: Vec<Step>,
    pub spent: Vec<Spelled>,
}

/// Where it is kept: `undo.json`, `old/` (what was replaced), `view/` (what left the layer).
pub(crate) fn undo_dir(review: &Review) -> PathBuf {
    review.dir().join("undo")
}

impl Undo {
    /// That of the last apply, if there is one.
    pub fn read(review: &Review) -> Result<Option<Self>, ReviewError> {
        let path = undo_dir(review).join("undo.json");
        let bad = |why: String| ReviewError::Notes { path: path.clone(), why };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

/// After an apply.
pub(super) fn keep(
    review: &Review,
    journal: &Journal,
    workspace: &Root,
    stop: Stop<'_>,
) -> Result<(), ReviewError> {
    let next = review.dir().join("undo.next");
    let notes = next.join("undo.json");
    if !undo_is_this(review, journal)? {
        if !next.is_dir() {
            fs::create_dir(&next).named("mkdir", next.display())?;
        }
        stop()?;
        put_aside(review, journal, &next.join("old"))?;
        stop()?;
        Base::set_aside(&review.layer(), &next)?;
        spend(review, journal, workspace, &next.join("view"))?;
        stop()?;
        let time = jiff::Timestamp::now().as_millisecond();
        let undo = Undo { time, steps: journal.steps.clone(), spent: journal.spent.clone() };
        let bytes = serde_json::to_vec(&undo)
            .map_err(|error| ReviewError::Notes { path: notes.clone(), why: error.to_string() })?;
        store::replace(&notes, &bytes)?;
        stop()?;
        store::remove_tree(&undo_dir(review))?;
        fs::rename(&next, undo_dir(review)).named("rename", next.display())?;
    }
    stop()?;
    review.seal_locked().map(drop)
}

/// Whether an interrupted `keep` came as far as its last rename.
fn undo_is_this(review: &Review, journal: &Journal) -> Result<bool, ReviewError> {
    Ok(Undo::read(review)?.is_some_and(|undo| undo.steps == journal.steps))
}

/// Moves what the steps exchanged into the staging directory to `to`; copies it where that lies elsewhere.
fn put_aside(review: &Review, journal: &Journal, to: &Path) -> Result<(), ReviewError> {
    if Staging::is_inside(&journal.staging, review.dir()) {
        return match fs::rename(&journal.staging, to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.named("rename", to.display()).map_err(ReviewError::from),
        };
    }
    if Staging::find(&journal.staging)?.is_none() {
        return Ok(());
    }
    let from = Root::open(&journal.staging)?;
    let mut copies = Staging::make(to.to_owned())?;
    for name in from.names(Path::new(""))? {
        let path = Path::new(&name);
        let Some(stat) = from.stat(path)? else { continue };
        let node = Node::of(&stat);
        if node.kind == Kind::Special {
            continue; // there is nothing in it to be kept
        }
        let stuff = Stuff::Copy { from: &from, path, node: &node, mode: node.mode, owner: Some(node.owner) };
        copies.stage_as(&name.to_string_lossy(), &stuff, path)?;
        if node.kind == Kind::Directory {
            rustix::fs::chmodat(&copies.fd, path, Mode::from_raw_mode(node.mode), AtFlags::empty())
                .named("chmod", to.display())?;
        }
    }
    rustix::fs::syncfs(&copies.fd).named("syncfs", to.display())?;
    store::remove_tree(&journal.staging)
}

/// Lets the layer go of what landed.
fn spend(review: &Review, journal: &Journal, workspace: &Root, view: &Path) -> Result<(), ReviewError> {
    let top = review.layer().join("upper");
    if !top.is_dir() {
        return renew(review, workspace, view); // interrupted between the two renames
    }
    if view.is_dir() && !view.join(".partial").exists() {
        return Ok(());
    }
    if review.changes()?.is_empty() {
        return renew(review, workspace, view);
    }
    partly(review, journal, workspace, view)
}

/// Everything landed: the layer begins anew.
fn renew(review: &Review, workspace: &Root, view: &Path) -> Result<(), ReviewError> {
    let top = review.layer().join("upper");
    let fresh = review.layer().join("upper.next");
    store::remove_tree(&fresh)?;
    fs::create_dir(&fresh).named("mkdir", fresh.display())?;
    let stat = rustix::fs::fstat(workspace.fd()).named("fstat", "the workspace")?;
    let _ = std::os::unix::fs::chown(&fresh, None, Some(stat.st_gid)); // as when it was first made
    fs::set_permissions(&fresh, fs::Permissions::from_mode(stat.st_mode & 0o7777))
        .named("chmod", fresh.display())?;
    if top.is_dir() {
        move_closed(&top, view)?;
    }
    fs::rename(&fresh, &top).named("rename", fresh.display()).map_err(ReviewError::from)
}

/// Some of it landed. Directories that hide what lies below them are first made to hide it name by name, as the
/// workspace now holds some of what they hide.
fn partly(review: &Review, journal: &Journal, workspace: &Root, view: &Path) -> Result<(), ReviewError> {
    fs::create_dir_all(view).named("mkdir", view.display())?;
    let mark = view.join(".partial");
    fs::write(&mark, "").named("write", mark.display())?;
    let upper = review.upper()?;
    for Spelled(path) in &journal.spent {
        for dir in path.ancestors() {
            unveil(&upper, workspace, dir)?;
        }
    }
    let view_root = Root::open(view)?;
    for Spelled(path) in journal.spent.iter().rev() {
        move_between(&upper, &view_root, path)?;
    }
    Ok(())
}

/// Turns a directory that hides everything below it into one that hides what is not in it, name by name.
fn unveil(upper: &Root, workspace: &Root, dir: &Path) -> Result<(), ReviewError> {
    let both = upper.stat(dir)?.zip(workspace.stat(dir)?);
    let Some((above, below)) = both else { return Ok(()) };
    if Node::of(&above).kind != Kind::Directory || Node::of(&below).kind != Kind::Directory {
        return Ok(());
    }
    if attribute(upper, dir, OPAQUE)?.is_none() {
        return Ok(());
    }
    for name in workspace.names(dir)? {
        let child = dir.join(&name);
        if upper.stat(&child)?.is_none() {
            let (parent, name) = upper.parent(&child)?;
            let _open = Opened::at(upper, child.parent())?;
            rustix::fs::mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0)
                .named("mknod", upper.full(&child).display())?;
        }
    }
    let fd = upper.at(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let _open = Opened::at(upper, Some(dir))?;
    rustix::fs::fremovexattr(&fd, OPAQUE)
        .named("removexattr", upper.full(dir).display())
        .map_err(ReviewError::from)
}

/// Moves one path, if it is there; a directory only when nothing is in it any more. Parents are made as they are.
fn move_between(from: &Root, to: &Root, path: &Path) -> Result<(), ReviewError> {
    let Some(stat) = from.stat(path)? else { return Ok(()) };
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    if Node::of(&stat).kind == Kind::Directory && !from.names(path)?.is_empty() {
        return Ok(());
    }
    let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
    parents.reverse();
    for dir in parents {
        copy_directory(from, to, dir)?;
    }
    let (source, name) = from.parent(path)?;
    let (target, _) = to.parent(path)?;
    let _open = [Opened::at(from, path.parent())?, Opened::at(from, Some(path))?];
    match rustix::fs::renameat_with(&source, name, &target, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A directory that a child needed before.
        Err(Errno::EXIST) if Node::of(&stat).kind == Kind::Directory => {
            close_as(to, path, stat.st_mode)?;
            rustix::fs::unlinkat(&source, name, AtFlags::REMOVEDIR)
                .named("rmdir", from.full(path).display())
                .map_err(ReviewError::from)
        }
        Err(errno) => Err(SysError::new("renameat2", from.full(path).display(), errno).into()),
    }
}

fn copy_directory(from: &Root, to: &Root, dir: &Path) -> Result<(), ReviewError> {
    if to.stat(dir)?.is_some() {
        return Ok(());
    }
    let mode = from.stat(dir)?.map_or(0o755, |stat| stat.st_mode & 0o7777);
    let (parent, name) = to.parent(dir)?;
    let _open = Opened::at(to, dir.parent())?;
    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode | 0o700))
        .named("mkdir", to.full(dir).display())
        .map_err(ReviewError::from)
}

/// After an undo: what had left the layer comes back to it.
pub(super) fn give_back(review: &Review, journal: &Journal, stop: Stop<'_>) -> Result<(), ReviewError> {
    let undo = undo_dir(review);
    let view = undo.join("view");
    if view.is_dir() {
        if view.join(".partial").exists() {
            let (from, to) = (Root::open(&view)?, review.upper()?);
            for Spelled(path) in &journal.spent {
                stop()?;
                move_tree_back(&from, &to, path)?;
            }
            for Spelled(path) in journal.spent.iter().rev() {
                close_again(&from, &to, path)?;
            }
            delete_again(review, journal, &to)?;
        } else {
            let top = review.layer().join("upper");
            let empty = review.layer().join("upper.next");
            if top.is_dir() {
                store::remove_tree(&empty)?;
                fs::rename(&top, &empty).named("rename", top.display())?;
            }
            stop()?;
            move_closed(&view, &top)?;
        }
    }
    stop()?;
    if undo.is_dir() {
        let paths: Vec<PathBuf> = journal.spent.iter().map(|Spelled(path)| path.clone()).collect();
        Base::take_back(&review.layer(), &undo, &review.lower()?, &paths)?;
    }
    store::remove_tree(&review.layer().join("upper.next"))?;
    store::remove_tree(&undo)?;
    store::remove_tree(&journal.staging)?;
    review.seal_locked().map(drop)
}

/// What a directory hid as a whole is hidden name by name since a part of it landed; so is what comes back of that.
fn delete_again(review: &Review, journal: &Journal, upper: &Root) -> Result<(), ReviewError> {
    let workspace = review.lower()?;
    let back = journal.steps.iter().filter(|step| matches!(step, Step::Place { .. }));
    let mut paths: Vec<&Path> = back.map(Step::path).collect();
    paths.sort();
    for path in paths {
        // Below what is deleted nothing needs a mark of its own.
        let mut above = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        let hidden = above.try_fold(false, |hidden, dir| -> Result<bool, SysError> {
            Ok(hidden || upper.stat(dir)?.is_some_and(|stat| Node::of(&stat).kind != Kind::Directory))
        })?;
        if hidden || upper.stat(path)?.is_some() {
            continue;
        }
        let parents: Vec<&Path> =
            path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        for dir in parents.into_iter().rev() {
            copy_directory(&workspace, upper, dir)?;
        }
        let (parent, name) = upper.parent(path)?;
        let _open = Opened::at(upper, path.parent())?;
        rustix::fs::mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0)
            .named("mknod", upper.full(path).display())?;
    }
    Ok(())
}

fn move_tree_back(from: &Root, to: &Root, path: &Path) -> Result<(), ReviewError> {
    let Some(stat) = from.stat(path)? else { return Ok(()) };
    if Node::of(&stat).kind == Kind::Directory {
        return copy_directory(from, to, path);
    }
    for dir in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if !dir.as_os_str().is_empty() {
            copy_directory(from, to, dir)?;
        }
    }
    let ((source, name), (target, _)) = (from.parent(path)?, to.parent(path)?);
    let _open = [Opened::at(from, path.parent())?, Opened::at(to, path.parent())?];
    rustix::fs::renameat_with(&source, name, &target, name, RenameFlags::empty())
        .named("renameat2", to.full(path).display())
        .map_err(ReviewError::from)
}

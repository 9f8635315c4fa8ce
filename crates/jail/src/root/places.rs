//! What the plan places in the tree: grants, scratch directories, and what is hidden inside them.

use super::etc::Voids;
use super::point::{self, Kind};
use super::{Ground, scratch, view};
use crate::walls::{Wall, stands};
use crate::{JailError, Step};
use creel_api::plan::{Place, Plan, What};
use creel_kernel::SysError;
use creel_kernel::mount::{self, Flags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(super) fn place(ground: &mut Ground, plan: &Plan, voids: &Voids) -> Result<(), JailError> {
    let linked =
        |error: &JailError| matches!(error, JailError::Step { source, .. } if source.errno == Errno::LOOP);
    for place in &plan.places {
        one(ground, place, plan.scratch.0, voids).map_err(|error| match error {
            error if linked(&error) => {
                JailError::plan(place.at.display(), "a symbolic link is on the way: name what it leads to")
            }
            error => error,
        })?;
    }
    Ok(())
}

fn one(ground: &mut Ground, place: &Place, size: u64, voids: &Voids) -> Result<(), JailError> {
    let failed = JailError::step(Step::Root);
    let path = point::inside(&place.at).ok_or_else(|| {
        JailError::plan(place.at.display(), "a place needs an absolute path without `.` or `..`")
    })?;
    let (tree, kind) = match &place.what {
        What::Read(source) if stands(Wall::ReadOnly) => grant(source, mount::READ).map_err(&failed)?,
        What::Read(source) => grant(source, mount::WRITE).map_err(&failed)?,
        What::Write(source) => grant(source, mount::WRITE).map_err(&failed)?,
        What::Review { source, layer } => {
            (view::over(source, layer).map_err(JailError::step(Step::Review))?, Kind::Directory)
        }
        What::Scratch => (scratch("0755", size).map_err(&failed)?, Kind::Directory),
        What::Hidden => return hide(ground, path, voids).map_err(failed),
    };
    let at = point::find_or_make(ground, path, kind).map_err(&failed)?.ok_or_else(|| {
        JailError::plan(
            place.at.display(),
            "there is no mount point, and none can be made in the host's files",
        )
    })?;
    if Kind::of(&at).map_err(&failed)? != kind {
        return Err(JailError::plan(place.at.display(), "a file and a directory cannot stand on each other"));
    }
    mount::attach(&tree, at, place.at.display()).map_err(&failed)?;
    if place.what == What::Scratch {
        ground.adopt(tree.as_fd()).map_err(failed)?;
    }
    Ok(())
}

/// The host's file or directory, detached, with everything mounted below it.
fn grant(source: &Path, flags: Flags) -> Result<(OwnedFd, Kind), SysError> {
    let tree = mount::clone_judged(source)?;
    mount::set_tree(&tree, flags, Flags::empty())?;
    let kind = Kind::of(&tree)?;
    Ok((tree, kind))
}

/// What is not there need not be hidden.
fn hide(ground: &Ground, path: &Path, voids: &Voids) -> Result<(), SysError> {
    if !stands(Wall::Hiding) {
        return Ok(());
    }
    let Some(at) = point::find(ground, path)? else { return Ok(()) };
    let void = voids.one(Kind::of(&at)? == Kind::Directory)?;
    mount::attach(void, at, format_args!("/{}", path.display()))
}

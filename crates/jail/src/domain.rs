//! The Landlock domain: what each top-level directory of the finished tree is for.
//!
//! It follows the shape of the tree and not its content, so that mounts made later below a writable top-level
//! directory are covered; what may be written there is up to each mount.

use crate::root::SYSTEM;
use crate::{JailError, Step};
use creel_api::plan::{Plan, What};
use creel_kernel::landlock::{self, Domain, Right};
use creel_kernel::{Named, SysError};
use std::path::{Path, PathBuf};

/// Confines the process, whose root is the finished tree.
pub(crate) fn confine(plan: &Plan) -> Result<Domain, JailError> {
    if plan.nested {
        // A domain that handles files refuses every mount, for good, whatever its rules say.
        return landlock::confine_scopes().map_err(JailError::step(Step::Landlock));
    }
    let rules = rules(plan).map_err(JailError::step(Step::Landlock))?;
    landlock::confine(&rules).map_err(JailError::step(Step::Landlock))
}

fn rules(plan: &Plan) -> Result<Vec<(PathBuf, Right)>, SysError> {
    let mut rules = vec![(PathBuf::from("/"), Right::List), (PathBuf::from("/dev/shm"), Right::All)];
    for entry in std::fs::read_dir("/").named("readdir", "/")?.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            rules.push((entry.path(), top_level(&entry.file_name().to_string_lossy())));
        } else if kind.is_file() {
            // Images of one program have it there.
            rules.push((entry.path(), Right::File));
        }
    }
    for place in &plan.places {
        let writable = matches!(place.what, What::Write(_) | What::Review { .. } | What::Scratch);
        if writable && right_of(&place.at) != Right::All {
            rules.push((place.at.clone(), Right::All));
        }
    }
    Ok(rules)
}

fn top_level(name: &str) -> Right {
    match name {
        "etc" => Right::ReadExecute,
        name if SYSTEM.contains(&name) => Right::ReadExecute,
        "dev" => Right::Devices,
        "proc" | "sys" => Right::Read,
        _ => Right::All,
    }
}

fn right_of(path: &Path) -> Right {
    path.components().nth(1).map_or(Right::List, |name| top_level(&name.as_os_str().to_string_lossy()))
}

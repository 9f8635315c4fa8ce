//! The Landlock domain: what each top-level directory of the finished tree is for.
//!
//! It follows the shape of the tree and not its content, so that mounts made later below a writable top-level
//! directory are covered; what may be written there is up to each mount.

use crate::root::SYSTEM;
use crate::{JailError, Step};
use creel_api::plan::{Injected, Plan, What};
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

/// What every program needs of the host's devices.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Files of the host beside the system's that are read by everybody: its processors, and where its name servers are
/// said, often behind a link.
const READ: [&str; 2] = ["/sys/devices/system/cpu", "/etc/resolv.conf"];

/// Confines the process on the host's own file tree: nothing else stands in the way to a file.
pub(crate) fn confine_alone(plan: &Plan) -> Result<Domain, JailError> {
    let mut rules: Vec<(PathBuf, Right)> = Vec::new();
    let system = SYSTEM.iter().map(|name| Path::new("/").join(name));
    rules.extend(system.filter_map(|path| Some((path.canonicalize().ok()?, Right::ReadExecute))));
    let private: Vec<PathBuf> =
        plan.etc.iter().filter(hidden).map(|file| Path::new("/etc").join(&file.path)).collect();
    readable(Path::new("/etc"), &private, &mut rules);
    rules.push((PathBuf::from("/proc"), Right::Read));
    let there = |paths: &[&str], right| {
        let found = paths.iter().filter_map(|path| Path::new(path).canonicalize().ok());
        found.map(|path| (path, right)).collect::<Vec<_>>()
    };
    rules.extend(there(&DEVICES, Right::Devices));
    rules.extend(there(&READ, Right::Read));
    for place in &plan.places {
        match &place.what {
            What::Read(source) => rules.push((source.clone(), Right::ReadExecute)),
            What::Write(source) => rules.push((source.clone(), Right::All)),
            What::Review { .. } | What::Hidden | What::Scratch => {
                return Err(JailError::plan(place.at.display(), "Landlock alone cannot do this"));
            }
        }
    }
    landlock::confine_alone(&rules).map_err(JailError::step(Step::Landlock))
}

fn hidden(file: &&Injected) -> bool {
    file.mode & 0o777 == 0
}

/// Rules for everything beneath `path` but what is private. A rule reaches all beneath it, so one is made for each
/// thing beside what is private.
fn readable(path: &Path, private: &[PathBuf], rules: &mut Vec<(PathBuf, Right)>) {
    if !private.iter().any(|hidden| hidden.starts_with(path)) {
        rules.push((path.to_owned(), Right::ReadExecute));
        return;
    }
    if private.iter().any(|hidden| hidden == path) {
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        // A link is judged where it leads.
        if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
            readable(&entry.path(), private, rules);
        }
    }
}

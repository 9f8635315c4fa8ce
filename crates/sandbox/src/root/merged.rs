//! Where paths lead in layers that lie over one another, as the overlay will show them, seen before it is mounted.

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fgetxattr, openat, openat2, readlinkat, statat,
};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links are followed, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// What a path leads to.
pub(super) struct Found {
    /// The path without links.
    pub path: PathBuf,
    /// The directory of the layer that has it, and its name there; the root itself has neither.
    pub at: Option<(OwnedFd, OsString)>,
}

/// One name in the directories that make one directory together.
enum Step {
    Directory(Vec<OwnedFd>, usize),
    Link(PathBuf),
    Other(usize),
}

/// Follows an absolute path through the layers, the topmost first. `None` when nothing is there.
pub(super) fn follow(layers: &[PathBuf], path: &Path) -> Option<Found> {
    let top: Vec<OwnedFd> = layers.iter().map(|layer| open(layer)).collect::<Option<_>>()?;
    let mut ahead: VecDeque<OsString> = steps(path);
    // Each directory on the way with the layers' directories that make it.
    let mut way: Vec<(OsString, Vec<OwnedFd>)> = vec![(OsString::new(), top)];
    let mut at = None;
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            way.truncate(way.len().saturating_sub(1).max(1));
            continue;
        }
        let (_, here) = way.last()?;
        match step(here, &name)? {
            Step::Directory(dirs, layer) => {
                at = Some((here[layer].try_clone().ok()?, name.clone()));
                way.push((name, dirs));
            }
            Step::Link(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                if target.is_absolute() {
                    way.truncate(1);
                }
                let mut next = steps(&target);
                next.extend(ahead);
                ahead = next;
            }
            // Nothing lies beneath a file.
            Step::Other(_) if !ahead.is_empty() => return None,
            Step::Other(layer) => {
                let at = Some((here[layer].try_clone().ok()?, name.clone()));
                return Some(Found { path: joined(&way).join(name), at });
            }
        }
    }
    Some(Found { path: joined(&way), at: if way.len() > 1 { at } else { None } })
}

fn joined(way: &[(OsString, Vec<OwnedFd>)]) -> PathBuf {
    way.iter().skip(1).fold(PathBuf::from("/"), |path, (name, _)| path.join(name))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn open(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).ok()
}

fn step(here: &[OwnedFd], name: &OsStr) -> Option<Step> {
    let (mut dirs, mut first) = (Vec::new(), 0);
    for (layer, dir) in here.iter().enumerate() {
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if dirs.is_empty() {
                    first = layer;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                let opened = openat2(dir, name, flags, Mode::empty(), how).ok()?;
                let opaque = fgetxattr(&opened, "user.overlay.opaque", &mut [0; 1]) == Ok(1);
                dirs.push(opened);
                if opaque {
                    break;
                }
            }
            // What is no directory ends one that was begun above it.
            _ if !dirs.is_empty() => break,
            FileType::Symlink => {
                let target = readlinkat(dir, name, Vec::new()).ok()?;
                return Some(Step::Link(PathBuf::from(OsString::from_vec(target.into_bytes()))));
            }
            FileType::CharacterDevice if stat.st_rdev == 0 => return None,
            _ => return Some(Step::Other(layer)),
        }
    }
    (!dirs.is_empty()).then_some(Step::Directory(dirs, first))
}

//! Following a granted path without being led by the sandbox.
//!
//! A symbolic link in a place that a sandbox can write may have been put there by it, in an earlier run or a moment
//! ago. Following it would let the agent choose what it is granted next, so it is followed only within that place.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many links are followed, as the kernel does (`path_resolution(7)`).
const MOST: usize = 40;

/// Why a path was not followed to its end.
#[derive(Debug)]
pub enum Astray {
    /// It could not be looked at.
    Io(io::Error),
    /// A link that a sandbox could have made leads out of the place where it could.
    Planted {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
}

impl From<io::Error> for Astray {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The true path of `path`. `writable` gives the root of the place that a sandbox can write and that holds a
/// directory, if there is one.
pub fn follow(path: &Path, writable: &dyn Fn(&Path) -> Option<PathBuf>) -> Result<PathBuf, Astray> {
    let mut rest: Vec<OsString> = reversed(path);
    let mut at = PathBuf::from("/");
    let mut planted: Option<(PathBuf, PathBuf)> = None;
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        if !fs::symlink_metadata(&next)?.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MOST {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()).into());
        }
        if planted.is_none()
            && let Some(root) = writable(&at)
        {
            planted = Some((next.clone(), root));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        rest.extend(reversed(&target));
    }
    match planted {
        Some((link, root)) if !at.starts_with(&root) => Err(Astray::Planted { link, to: at }),
        _ => Ok(at),
    }
}

/// The names of a path, the last one first.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for name in ["ws/sub", "victim", "data"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        (dir, top)
    }

    fn within(top: &Path) -> impl Fn(&Path) -> Option<PathBuf> {
        let ws = top.join("ws");
        move |dir| dir.starts_with(&ws).then(|| ws.clone())
    }

    #[test]
    fn a_link_that_the_sandbox_could_have_made_is_not_followed_out_of_its_place() {
        let (_dir, top) = scene();
        symlink(top.join("victim"), top.join("ws/out")).unwrap();
        symlink(top.join("ws/out"), top.join("data/detour")).unwrap();
        for path in ["ws/out", "data/detour"] {
            let astray = follow(&top.join(path), &within(&top));
            assert!(matches!(astray, Err(Astray::Planted { .. })), "{path}: {astray:?}");
        }
    }

    #[test]
    fn other_links_are_followed() {
        let (_dir, top) = scene();
        symlink("sub", top.join("ws/inner")).unwrap();
        symlink("../victim", top.join("data/link")).unwrap();
        assert_eq!(follow(&top.join("ws/inner"), &within(&top)).unwrap(), top.join("ws/sub"));
        assert_eq!(follow(&top.join("data/link"), &within(&top)).unwrap(), top.join("victim"));
        symlink("loop", top.join("data/loop")).unwrap();
        assert!(matches!(follow(&top.join("data/loop"), &within(&top)), Err(Astray::Io(_))));
        assert!(matches!(follow(&top.join("none"), &within(&top)), Err(Astray::Io(_))));
    }
}

//! The sandbox's file tree: a tmpfs of our own, with the system read-only and what the plan places in it.
//!
//! The new root is attached over the old one, which stays the process's root until the tree is complete; so host paths
//! are looked up by name and everything inside relative to the new root's descriptor. No symbolic link is followed
//! inside: what an agent left in a granted directory cannot lead a mount elsewhere.

mod devices;
mod etc;
mod layered;
mod patchwork;
mod places;
mod point;
mod system;
mod view;

pub(crate) use system::SYSTEM;

use crate::assignment::Assignment;
use crate::walls::{Wall, stands};
use crate::{JailError, Step};
use creel_api::plan::Root;
use creel_kernel::mount::{self, Flags};
use creel_kernel::{Named, SysError};
use etc::Voids;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The finished tree, which is the process's root.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root's own file system, writable and detached, to make mount points from outside.
    pub scaffold: OwnedFd,
}

/// Builds the tree and makes it the root of the calling process's own mount namespace.
pub(crate) fn build(assignment: &Assignment) -> Result<Tree, JailError> {
    let plan = &assignment.plan;
    let failed = JailError::step(Step::Root);
    etc::check(plan)?;
    let (mut ground, scaffold, voids) = lay(assignment).map_err(&failed)?;
    system::place(&ground, &plan.root).map_err(&failed)?;
    devices::place(&mut ground, plan, &voids).map_err(&failed)?;
    places::place(&mut ground, plan, &voids)?;
    finish(&ground).map_err(failed)?;
    Ok(Tree { scaffold })
}

/// The ground, its scaffold, and what hides things.
fn lay(assignment: &Assignment) -> Result<(Ground, OwnedFd, Voids), SysError> {
    mount::make_private()?;
    let (ground, voids) = match &assignment.plan.root {
        Root::Host => {
            let ground = Ground::bare()?;
            let voids = etc::lay(&ground, assignment)?;
            (ground, voids)
        }
        Root::Layers(layers) => layered::lay(layers, assignment)?,
    };
    let scaffold = mount::clone_alone(&ground.root)?;
    Ok((ground, scaffold, voids))
}

fn finish(ground: &Ground) -> Result<(), SysError> {
    if stands(Wall::Root) {
        mount::set_one(&ground.root, mount::READ, Flags::empty())?;
    }
    mount::pivot_into(&ground.root)
}

/// The new root while things are placed in it.
struct Ground {
    root: OwnedFd,
    /// Devices of the file systems that are the sandbox's own: where mount points may be made.
    own: Vec<u64>,
}

impl Ground {
    /// An empty tmpfs.
    fn bare() -> Result<Self, SysError> {
        // It holds directories and links only.
        let options = [("mode", "0755"), ("size", "8m"), ("nr_inodes", "16384")];
        Self::on(mount::new("tmpfs", &options, mount::WRITE)?)
    }

    /// A detached file system of the sandbox's own.
    fn on(root: OwnedFd) -> Result<Self, SysError> {
        mount::attach_over_root(&root)?;
        let mut ground = Self { root, own: Vec::new() };
        ground.adopt(ground.root.try_clone().named("dup", "the new root")?.as_fd())?;
        ground.copy_names()?;
        Ok(ground)
    }

    /// Makes a directory for each of the host's top-level ones, so that later grants have their mount points.
    fn copy_names(&self) -> Result<(), SysError> {
        for entry in std::fs::read_dir("/").named("readdir", "/")?.flatten() {
            let name = entry.file_name();
            let system = name.to_str().is_some_and(|name| SYSTEM.contains(&name));
            if !system && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.make_dir(Path::new(&name), 0o755)?;
            }
        }
        Ok(())
    }

    /// Notes that the file system behind `fd` is the sandbox's own.
    fn adopt(&mut self, fd: BorrowedFd<'_>) -> Result<(), SysError> {
        let stat = rustix::fs::fstat(fd).named("fstat", "a new file system")?;
        self.own.push(stat.st_dev);
        Ok(())
    }

    /// A directory directly below the root, or below one made before. One that is there stays as it is.
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), SysError> {
        match rustix::fs::mkdirat(&self.root, path, Mode::from_raw_mode(mode)) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            other => other.named("mkdir", path.display()),
        }
    }

    fn link(&self, path: &str, target: &Path) -> Result<(), SysError> {
        rustix::fs::symlinkat(target, &self.root, path).named("symlink", path)
    }

    /// Attaches a detached tree on a directory directly below the root, which is made if need be.
    fn attach(&self, tree: impl AsFd, path: &str) -> Result<(), SysError> {
        self.make_dir(Path::new(path), 0o755)?;
        mount::attach(tree, self.open(path)?, path)
    }

    /// Opens what is at a path inside that only we have made so far.
    fn open(&self, path: &str) -> Result<OwnedFd, SysError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, path, flags, Mode::empty()).named("open", path)
    }

    /// A new throw-away file system at a path directly below the root.
    fn scratch(&mut self, path: &str, mode: &str, size: u64) -> Result<OwnedFd, SysError> {
        let tree = scratch(mode, size)?;
        self.attach(&tree, path)?;
        self.adopt(tree.as_fd())?;
        Ok(tree)
    }
}

/// A detached tmpfs. Its files are bounded in number, too, as each costs the host memory.
fn scratch(mode: &str, size: u64) -> Result<OwnedFd, SysError> {
    let files = (size / 4096).clamp(1024, 1 << 20);
    let options =
        [("mode", mode), ("size", &size.to_string() as &str), ("nr_inodes", &files.to_string() as &str)];
    mount::new("tmpfs", &options, mount::WRITE)
}

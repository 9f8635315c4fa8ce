//! A root of the plan's own: read-only directories laid over one another, beneath a throw-away layer that holds
//! Creel's files of `/etc` and the mount points.
//!
//! What the layers hold is not trusted. Every directory that something is placed in later is made in the throw-away
//! layer first, where it hides a symbolic link of that name: an image whose `/var` leads to the host's leads nowhere.

use super::Ground;
use super::etc::{self, Voids};
use crate::assignment::Assignment;
use creel_kernel::SysError;
use creel_kernel::mount;
use rustix::fs::CWD;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The directories that are the sandbox's own whatever the layers say, a parent before its children.
const OWN: [&str; 11] = [
    "etc",
    "proc",
    "dev",
    "tmp",
    "run",
    "var",
    "var/tmp",
    "sys",
    "sys/devices",
    "sys/devices/system",
    "sys/devices/system/cpu",
];

/// The ground on `layers`, the topmost first, and what hides things.
pub(super) fn lay(layers: &[PathBuf], assignment: &Assignment) -> Result<(Ground, Voids), SysError> {
    // Its files are Creel's own; what the agent writes lands in other file systems.
    let options = [("mode", "0755"), ("size", "64m"), ("nr_inodes", "65536")];
    let staging = mount::new("tmpfs", &options, mount::WRITE)?;
    // An overlay's layers must be attached while it is made, and only then.
    mount::attach_over_root(&staging)?;
    for name in ["upper", "work", "merged"] {
        etc::make_dir(&staging, Path::new(name), 0o755)?;
    }
    let upper = dir(&staging, "upper")?;
    OWN.iter().try_for_each(|name| etc::make_dir(&upper, Path::new(name), 0o755))?;
    etc::fill(&dir(&upper, "etc")?, assignment)?;
    let lower = layers.iter().map(|path| etc::open_dir(CWD, path)).collect::<Result<Vec<_>, _>>()?;
    let names = layers.first().map_or(Path::new("no layer"), PathBuf::as_path).display();
    mount::overlay(&lower, &upper, &dir(&staging, "work")?, &dir(&staging, "merged")?, names)?;
    let ground = mount::clone_alone(dir(&staging, "merged")?)?;
    mount::detach_from_root(&staging)?;
    let ground = Ground::on(ground)?;
    let voids = voids(&ground)?;
    Ok((ground, voids))
}

/// They must be attached as long as they are cloned; what is attached at `/tmp` later covers them.
fn voids(ground: &Ground) -> Result<Voids, SysError> {
    let tree = mount::new("tmpfs", &[("mode", "0755"), ("size", "64k")], mount::WRITE)?;
    ground.attach(&tree, "tmp")?;
    Voids::make(tree)
}

fn dir(at: &OwnedFd, name: &str) -> Result<OwnedFd, SysError> {
    etc::open_dir(at, Path::new(name))
}

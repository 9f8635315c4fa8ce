//! The system directories: the host's, read-only. A root of the plan's own brings them along ([`super::layered`]).

use super::Ground;
use creel_api::plan::Root;
use creel_kernel::mount::{self, Flags};
use creel_kernel::{Named, SysError};
use std::fs;
use std::path::Path;

/// What is a symbolic link there is one here.
pub(crate) use creel_types::SYSTEM_DIRECTORIES as SYSTEM;

/// Processors, which programs count to choose their number of threads.
const PROCESSORS: &str = "sys/devices/system/cpu";

pub(super) fn place(ground: &Ground, root: &Root) -> Result<(), SysError> {
    if *root == Root::Host {
        hosts(ground)?;
    }
    processors(ground)
}

fn hosts(ground: &Ground) -> Result<(), SysError> {
    for name in SYSTEM {
        let source = Path::new("/").join(name);
        let Ok(meta) = fs::symlink_metadata(&source) else { continue };
        if meta.is_symlink() {
            let target = fs::read_link(&source).named("readlink", source.display())?;
            ground.link(name, &target)?;
        } else if meta.is_dir() {
            let tree = mount::clone_tree(rustix::fs::CWD, &source)?;
            mount::set_tree(&tree, mount::READ, Flags::empty())?;
            ground.attach(tree, name)?;
        }
    }
    Ok(())
}

fn processors(ground: &Ground) -> Result<(), SysError> {
    let source = Path::new("/").join(PROCESSORS);
    if !source.is_dir() {
        return Ok(());
    }
    for dir in ["sys", "sys/devices", "sys/devices/system"] {
        ground.make_dir(Path::new(dir), 0o755)?;
    }
    let tree = mount::clone_tree(rustix::fs::CWD, &source)?;
    mount::set_tree(&tree, mount::READ_NOEXEC, Flags::empty())?;
    ground.attach(tree, PROCESSORS)
}

//! Removes a sandbox's control groups after a warden that could not do it itself.
//!
//! Namespaces, mounts and sockets end with their last process; a control group is a directory and stays. So where
//! there is one, a small process of its own waits for the warden's end, however it comes, and removes what is left. It
//! is this same program under the name `internal-sweep`; when it is killed itself, the warden still removes them. The private
//! directory of a sandbox without namespaces is removed in the same way.

use crate::survivor::{self, Survivor};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a group that still holds a dying process is tried again, and after which pause.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a sweeper for these directories; none when there is nothing to remove.
pub fn start(directories: &[PathBuf]) -> io::Result<Option<Survivor>> {
    if directories.is_empty() { Ok(None) } else { Survivor::start("internal-sweep", directories).map(Some) }
}

/// Starts a sweeper for a directory that may not be there yet, with all that will be in it.
pub fn start_for_tree(tree: &Path) -> io::Result<Survivor> {
    Survivor::start("internal-sweep", [OsStr::new("--tree"), tree.as_os_str()])
}

/// The role `internal-sweep`: waits for the end of standard input, then removes the directories, which must be empty, and
/// the tree.
pub fn role(directories: &[PathBuf], tree: Option<&Path>) -> u8 {
    // It waits as long as the sandbox lives, and memory that stays is only wasted.
    let _ = creel_kernel::memory::settle();
    survivor::outlive();
    // What a warden held still when it was killed must be let go to die (v1; a frozen v2 group dies as it is).
    for dir in directories {
        let _ = std::fs::write(dir.join("freezer.state"), "THAWED");
    }
    for _ in 0..ATTEMPTS {
        let left = directories.iter().filter(|dir| std::fs::remove_dir(dir).is_err() && dir.exists()).count();
        // Whoever writes there is about to die.
        let gone = tree.is_none_or(|tree| creel_kernel::remove::tree(tree).is_ok());
        if left == 0 && gone {
            return 0;
        }
        std::thread::sleep(PAUSE);
    }
    crate::EXIT_OWN_FAILURE
}

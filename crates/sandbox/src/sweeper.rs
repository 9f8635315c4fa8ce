//! Removes a sandbox's control groups after a warden that could not do it itself.
//!
//! Namespaces, mounts and sockets end with their last process; a control group is a directory and stays. So where
//! there is one, a small process of its own waits for the warden's end, however it comes, and removes what is left. It
//! is this same program under the name `internal-sweep`; when it is killed itself, the warden still removes them.

use crate::survivor::{self, Survivor};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often a group that still holds a dying process is tried again, and after which pause.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a sweeper for these directories; none when there is nothing to remove.
pub fn start(directories: &[PathBuf]) -> io::Result<Option<Survivor>> {
    if directories.is_empty() { Ok(None) } else { Survivor::start("internal-sweep", directories).map(Some) }
}

/// The role `internal-sweep`: waits for the end of standard input, then removes the directories, which must be empty.
pub fn role(directories: &[PathBuf]) -> u8 {
    // It waits as long as the sandbox lives, and memory that stays is only wasted.
    let _ = creel_kernel::memory::settle();
    survivor::outlive();
    // What a warden held still when it was killed must be let go to die (v1; a frozen v2 group dies as it is).
    for dir in directories {
        let _ = std::fs::write(dir.join("freezer.state"), "THAWED");
    }
    for _ in 0..ATTEMPTS {
        let left = directories.iter().filter(|dir| std::fs::remove_dir(dir).is_err() && dir.exists()).count();
        if left == 0 {
            return 0;
        }
        std::thread::sleep(PAUSE);
    }
    crate::EXIT_OWN_FAILURE
}

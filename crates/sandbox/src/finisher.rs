//! Brings an interrupted apply to its end without waiting for the next command.
//!
//! While an operator's command changes a workspace a small process of its own waits for that command's end, however it
//! comes, and finishes or takes back what it left. It is this same program under the name `internal-finish`, in a
//! process group of its own; when both are killed, or the machine fails, the next command still does it.

use crate::survivor::{self, Survivor};
use creel_review::Shelf;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often it is tried while the killed command still holds its locks, and after which pause.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Starts a finisher for the reviews below Creel's state directory.
pub fn start(state: &Path) -> io::Result<Survivor> {
    Survivor::start("internal-finish", [state])
}

/// The role `internal-finish`: waits for the end of standard input, then ends what was interrupted.
pub fn role(state: &Path) -> u8 {
    survivor::outlive();
    let shelf = Shelf::at(state);
    for _ in 0..ATTEMPTS {
        shelf.recover();
        if !shelf.is_interrupted() {
            return 0;
        }
        std::thread::sleep(PAUSE);
    }
    crate::EXIT_OWN_FAILURE
}

//! Brings an interrupted apply to its end without waiting for the next command.
//!
//! While an operator's command changes a workspace a small process of its own waits for that command's end, however it
//! comes, and finishes or takes back what it left. It is this same program under the name `internal-finish`, in a
//! process group of its own; when both are killed, or the machine fails, the next command still does it.

use creel_review::Shelf;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// How often it is tried while the killed command still holds its locks, and after which pause.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// A waiting finisher; it ends when this is dropped.
pub struct Finisher {
    child: Child,
    alive: Option<ChildStdin>,
}

impl Finisher {
    /// Starts one for the reviews below Creel's state directory.
    pub fn start(state: &Path) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg("internal-finish")
            .arg(state)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let alive = child.stdin.take();
        Ok(Self { child, alive })
    }
}

impl Drop for Finisher {
    fn drop(&mut self) {
        self.alive.take();
        let _ = self.child.wait();
    }
}

/// The role `internal-finish`: waits for the end of standard input, then ends what was interrupted.
pub fn role(state: &Path) -> u8 {
    let _ = io::stdin().read_to_end(&mut Vec::new());
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

//! Removes a sandbox's control groups after a warden that could not do it itself.
//!
//! Namespaces, mounts and sockets end with their last process; a control group is a directory and stays. So where
//! there is one, a small process of its own waits for the warden's end, however it comes, and removes what is left. It
//! is this same program under the name `internal-sweep`; when it is killed itself, the warden still removes them.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// How often a group that still holds a dying process is tried again, and after which pause.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// A waiting sweeper; it ends when this is dropped.
pub struct Sweeper {
    child: Child,
    alive: Option<ChildStdin>,
}

impl Sweeper {
    /// Starts one for these directories; none when there is nothing to remove.
    pub fn start<'a>(directories: impl Iterator<Item = &'a Path>) -> io::Result<Option<Self>> {
        let directories: Vec<&Path> = directories.collect();
        if directories.is_empty() {
            return Ok(None);
        }
        let mut child = Command::new("/proc/self/exe")
            .arg("internal-sweep")
            .args(directories)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let alive = child.stdin.take();
        Ok(Some(Self { child, alive }))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.alive.take();
        let _ = self.child.wait();
    }
}

/// The role `internal-sweep`: waits for the end of standard input, then removes the directories, which must be empty.
pub fn role(directories: &[PathBuf]) -> u8 {
    // It waits as long as the sandbox lives, and memory that stays is only wasted.
    let _ = creel_kernel::memory::settle();
    let _ = io::stdin().read_to_end(&mut Vec::new());
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

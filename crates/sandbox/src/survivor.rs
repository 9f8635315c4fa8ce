//! A small process that waits for its maker's end, however that comes, and then does what the maker no longer can.
//!
//! It is this same program in a role of its own, in a process group of its own, so that neither Ctrl-C nor a kill of
//! the maker's group reaches it. What tells it is the end of its standard input: the kernel closes a dead maker's pipes.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// One that waits; when this is dropped it does its work and has ended.
#[derive(Debug)]
pub struct Survivor {
    child: Child,
    alive: Option<ChildStdin>,
}

impl Survivor {
    /// Starts this program in `role` with these arguments, without any variable of the maker's.
    pub fn start(role: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(role)
            .args(arguments)
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

impl Drop for Survivor {
    fn drop(&mut self) {
        self.alive.take();
        let _ = self.child.wait();
    }
}

/// Waits in the role itself until the maker has ended.
pub fn outlive() {
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

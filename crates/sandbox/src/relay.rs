//! Carries bytes between the operator's terminal and the sandbox's, and keeps their sizes equal.
//!
//! Two threads, so that neither direction can hold up the other. The size is looked at five times a second rather
//! than by `SIGWINCH`: a handler would need process-wide state for something that nobody notices.

use crate::terminal::{self, RawMode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const CHUNK: usize = 16 * 1024;

/// A running relay; when it is dropped, what the command wrote last is shown and the terminal is as it was.
pub struct Relay {
    over: Arc<AtomicBool>,
    output: Option<JoinHandle<()>>,
    input: Option<JoinHandle<()>>,
    _raw: Option<RawMode>,
}

impl Relay {
    /// Relays between this process's standard descriptors and the terminal whose master is `master`.
    pub fn start(master: OwnedFd) -> io::Result<Self> {
        let raw = RawMode::enter()?;
        let over = Arc::new(AtomicBool::new(false));
        let reading = master.try_clone()?;
        let (over_out, over_in) = (Arc::clone(&over), Arc::clone(&over));
        let output =
            thread::Builder::new().name("terminal-out".into()).spawn(move || show(&reading, &over_out))?;
        let input =
            thread::Builder::new().name("terminal-in".into()).spawn(move || feed(&master, &over_in))?;
        Ok(Self { over, output: Some(output), input: Some(input), _raw: raw })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in [self.output.take(), self.input.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

/// Shows what the command writes until it is over and nothing is left.
fn show(master: &OwnedFd, over: &AtomicBool) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let was_over = over.load(Ordering::Relaxed);
        if !readable(master) {
            if was_over {
                return;
            }
            continue;
        }
        match rustix::io::read(master, &mut buffer) {
            Ok(n) if n > 0 => {
                if write_all(rustix::stdio::stdout(), &buffer[..n]).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            _ => return, // EIO: every slave is closed
        }
    }
}

/// Feeds the command what the operator types until it is over.
fn feed(master: &OwnedFd, over: &AtomicBool) {
    let mut size = None;
    let mut buffer = vec![0; CHUNK];
    let mut open = true;
    while !over.load(Ordering::Relaxed) {
        let now = terminal::size(rustix::stdio::stdout());
        if size != Some(now) {
            let _ = terminal::resize(master, now);
            size = Some(now);
        }
        if !open {
            thread::sleep(std::time::Duration::from_nanos(GLANCE.tv_nsec as u64));
        } else if readable(rustix::stdio::stdin()) {
            open = pass_input(master, &mut buffer);
        }
    }
}

/// Passes one chunk on. At the end of input that is no terminal, the command is told by its own end-of-file
/// character, as a terminal would.
fn pass_input(master: &OwnedFd, buffer: &mut [u8]) -> bool {
    const END_OF_TRANSMISSION: u8 = 4;
    match rustix::io::read(rustix::stdio::stdin(), &mut *buffer) {
        Ok(0) => {
            let _ = write_all(master, &[END_OF_TRANSMISSION]);
            false
        }
        Ok(n) => write_all(master, &buffer[..n]).is_ok(),
        Err(Errno::INTR | Errno::AGAIN) => true,
        Err(_) => false,
    }
}

fn readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&GLANCE)), Ok(n) if n > 0)
}

fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
                let _ = poll(&mut fds, Some(&GLANCE));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

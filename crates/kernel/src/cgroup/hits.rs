//! How often a group's limits were reached, and what wakes whoever wants to know.
//!
//! The kernel counts in a file for each limit and marks the file as urgent when it counts; of memory in its own
//! hierarchy it says nothing there and takes an eventfd instead. Every descriptor is opened at the start, so that the
//! counts can still be read by a caller that has confined itself.

use super::{Controller, Means, write};
use crate::{Named, SysError};
use rustix::event::EventfdFlags;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What was counted, in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Processes that the kernel killed for memory.
    Killed,
    /// Processes and threads that were not made.
    NotMade,
}

/// Counts how often one limit was reached.
#[derive(Debug)]
pub struct Watch {
    /// The limit.
    pub controller: Controller,
    /// What it counts.
    pub count: Count,
    file: OwnedFd,
    word: &'static str,
    bell: Option<OwnedFd>,
}

impl Watch {
    /// `EOPNOTSUPP` for a limit that is never reached in a way that anybody could be told: CPU time is given out
    /// slowly, and swap that is used up is memory that is used up.
    pub(super) fn open(controller: Controller, means: &Means) -> Result<Self, SysError> {
        let (name, word, count) = match (controller, means.unified) {
            (Controller::Pids, _) => ("pids.events", "max", Count::NotMade),
            (Controller::Memory, true) => ("memory.events", "oom_kill", Count::Killed),
            (Controller::Memory, false) => ("memory.oom_control", "oom_kill", Count::Killed),
            (other, _) => {
                return Err(SysError::new("open", other.name(), rustix::io::Errno::OPNOTSUPP));
            }
        };
        let path = means.dir.join(name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty()).named("open", path.display())?;
        let rings = matches!((controller, means.unified), (Controller::Memory, false));
        let bell = rings.then(|| bell(&means.dir, &file)).transpose()?;
        Ok(Self { controller, count, file, word, bell })
    }

    /// How often so far; 0 where the kernel does not say.
    pub fn so_far(&self) -> u64 {
        let mut buffer = [0; 1024];
        let length = rustix::io::pread(&self.file, &mut buffer, 0).unwrap_or(0);
        counted(&String::from_utf8_lossy(&buffer[..length]), self.word)
    }

    /// A copy of what becomes ready when something was counted, and whether by being readable; otherwise by having
    /// urgent data.
    pub fn wakes(&self) -> Result<(OwnedFd, bool), SysError> {
        let fd: BorrowedFd<'_> = self.bell.as_ref().map_or(self.file.as_fd(), AsFd::as_fd);
        Ok((fd.try_clone_to_owned().named("dup", self.word)?, self.bell.is_some()))
    }
}

/// An eventfd that the kernel rings when memory runs out in a group of the separate hierarchy.
fn bell(dir: &Path, counter: &OwnedFd) -> Result<OwnedFd, SysError> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let bell = rustix::event::eventfd(0, flags).named("eventfd", "memory")?;
    write(&dir.join("cgroup.event_control"), &format!("{} {}", bell.as_raw_fd(), counter.as_raw_fd()))?;
    Ok(bell)
}

/// The number after a word at the beginning of a line.
fn counted(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_whole_word_counts() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        for (word, want) in [("max", 12), ("oom_kill", 2), ("oom", 3), ("none", 0)] {
            assert_eq!(counted(events, word), want, "{word}");
        }
        assert_eq!(counted("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "oom_kill"), 7);
    }
}

//! Executable code in a process that the agent could have written.
//!
//! What a process has mapped is asked of the kernel at every look, because a program may map whatever it likes at any
//! time and nobody is told. What is kept is which files are firm, and that holds as long as the sandbox's mounts do: such
//! a file lies on read-only mounts, where nobody inside can change it or put another in its place, and one that is
//! unlinked from elsewhere is listed with ` (deleted)` behind its name, as another file. The kernel tells when a mount
//! changes (`mountinfo` can be polled for it); where it cannot be asked, nothing is kept.

use super::ground::Ground;
use super::lineage::FileId;
use creel_kernel::proc::{Entry, Mapping};
use creel_types::Program;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags, open};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How many files are remembered; then all are forgotten at once.
const MOST: usize = 4096;

/// Tells foreign code from a program's own.
#[derive(Default)]
pub struct Code {
    firm: HashSet<Mapping>,
    /// The list of the sandbox's mounts, which becomes readable when it changes.
    mounts: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Code {
    /// In the sandbox of this init.
    pub fn of(init: u32) -> Self {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = open(format!("/proc/{init}/mountinfo"), flags, Mode::empty()).ok();
        Self { mounts, ..Self::default() }
    }

    /// What to poll to learn that the mounts changed.
    pub fn mounts(&self) -> Option<PollFd<'_>> {
        self.mounts.as_ref().map(|mounts| PollFd::new(mounts, PollFlags::PRI))
    }

    /// The mounts changed: every verdict is to be found anew.
    pub fn mounts_changed(&mut self) {
        self.firm.clear();
    }

    /// The first file with executable code in the process, other than the program itself, that the agent could have
    /// written. What cannot be told counts as written by it.
    pub fn foreign(&mut self, process: &Entry, program: &Program, executable: FileId) -> Option<PathBuf> {
        let Ok(mappings) = process.executable_mappings(&mut self.buffer) else {
            return Some(program.path.clone());
        };
        let own =
            |mapping: &Mapping| mapping.path == program.path.as_os_str() && executable.1 == mapping.file.2;
        let mut ground = None;
        mappings
            .into_iter()
            .find(|mapping| !own(mapping) && !self.is_firm(mapping, process.pid(), &mut ground))
            .map(|mapping| mapping.path.into())
    }

    fn is_firm(&mut self, mapping: &Mapping, pid: u32, ground: &mut Option<Ground>) -> bool {
        if self.firm.contains(mapping) {
            return true;
        }
        if ground.is_none() {
            *ground = Ground::of(pid);
        }
        let firm = ground.as_ref().is_some_and(|ground| ground.carries(mapping));
        // Only what is firm: the rest may have been a process that was about to end.
        if firm && self.mounts.is_some() {
            if self.firm.len() >= MOST {
                self.firm.clear();
            }
            self.firm.insert(mapping.clone());
        }
        firm
    }
}

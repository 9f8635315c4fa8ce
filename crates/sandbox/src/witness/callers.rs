//! Who a thread is: its program, and the programs that started it.
//!
//! What was found out is kept as long as it holds: the thread lives (its pidfd says so), it has not called `execve`
//! since (then it is forgotten), and its executable is the same file.

use super::becoming::{self, executable};
use super::digests::Digests;
use super::ground::Ground;
use super::lineage::{Announced, FileId, Lineage, Member};
use creel_kernel::notify::Call;
use creel_kernel::proc::Stat;
use creel_kernel::{notify, proc};
use creel_types::{Caller, Program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How many threads are remembered; then all are forgotten at once.
const MOST: usize = 1024;
/// How many programs of a chain are looked at.
const DEEPEST: usize = 16;

/// What is known of one thread.
struct Known {
    pidfd: OwnedFd,
    process: u32,
    executable: Option<FileId>,
    caller: Arc<Caller>,
}

impl Known {
    /// Whether the thread is still the one that was looked at.
    fn lives(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }
}

/// Every thread that called so far.
pub struct Callers {
    init: u32,
    known: HashMap<u32, Known>,
    digests: Digests,
    lineage: Lineage,
}

impl Callers {
    /// Callers below the sandbox's `init`.
    pub fn new(init: u32) -> Self {
        Self { init, known: HashMap::new(), digests: Digests::default(), lineage: Lineage::default() }
    }

    /// The digests of executables.
    pub fn digests(&mut self) -> &mut Digests {
        &mut self.digests
    }

    /// A pidfd of the thread, through which its descriptors can be had.
    pub fn descriptor(&mut self, thread: u32) -> Result<OwnedFd, Errno> {
        if let Some(known) = self.known.get(&thread)
            && known.lives()
        {
            return known.pidfd.try_clone().map_err(|_| Errno::MFILE);
        }
        notify::pidfd(thread).map_err(|error| error.errno)
    }

    /// Who the thread is. Foreign code is not looked for.
    pub fn of(&mut self, thread: u32) -> Arc<Caller> {
        let executable = executable(thread).ok();
        if let Some(known) = self.known.get(&thread)
            && known.lives()
            && known.executable == executable
        {
            return Arc::clone(&known.caller);
        }
        let Some((process, caller)) = self.find_out(thread, false) else { return Arc::new(Caller::UNKNOWN) };
        let caller = Arc::new(caller);
        if self.known.len() >= MOST {
            self.known.clear();
        }
        if let Ok(pidfd) = self.descriptor(thread) {
            let known = Known { pidfd, process, executable, caller: Arc::clone(&caller) };
            self.known.insert(thread, known);
        }
        caller
    }

    /// Who the thread is, with what is foreign in its program and its parents. It is found out anew each time,
    /// because a program may load code whenever it likes.
    ///
    /// What stays possible: code that another thread loads between this look and the connection, and code that has
    /// hidden its mapping before it (see `environment` for what is done against that).
    pub fn searched(&mut self, thread: u32) -> Arc<Caller> {
        self.find_out(thread, true).map_or_else(|| Arc::new(Caller::UNKNOWN), |(_, caller)| Arc::new(caller))
    }

    /// What is about to be executed; to be given back through [`Callers::note`] when the call still waits then.
    pub fn announced(&self, call: &Call) -> Option<Announced> {
        let own = self.digests.own().filter(|own| !self.lineage.is_tainted(Some(*own)));
        becoming::announced(call, self.init, own)
    }

    /// Remembers what is about to be executed.
    pub fn note(&mut self, announced: Announced) {
        self.lineage.announce(announced, becoming::lives);
    }

    /// Forgets the thread's process: it is about to become another program.
    pub fn forget(&mut self, thread: u32) {
        let process = self.known.get(&thread).map_or(thread, |known| known.process);
        self.known.retain(|_, known| known.process != process);
    }

    fn find_out(&mut self, thread: u32, search: bool) -> Option<(u32, Caller)> {
        let process = proc::process_of(thread).ok()?;
        let line = proc::line(process, self.init).ok()?;
        let mut chain = Vec::new();
        let mut child: Option<Member> = None;
        for stat in line.into_iter().take(DEEPEST) {
            // Init's own program cannot be looked at from outside; the chain then ends before it.
            let Some((member, program)) = self.program(stat, search) else { break };
            if child.is_some_and(|child| !self.lineage.descends(child, member)) {
                break;
            }
            chain.push(program);
            child = Some(member);
        }
        (!chain.is_empty()).then_some((process, Caller { chain }))
    }

    fn program(&mut self, stat: Stat, search: bool) -> Option<(Member, Program)> {
        let pid = stat.identity.pid;
        let path = proc::executable(pid).ok()?;
        let file = proc::open_executable(pid).ok()?;
        let executable = file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        let member = Member { stat, executable };
        let digest = self.digests.of(&file);
        let mut program = Program { pid, path, digest, foreign_code: None };
        if search {
            program.foreign_code = self.lineage.code(member).or_else(|| foreign_code(&program, executable));
        }
        Some((member, program))
    }
}

/// The first file with executable code in the process, other than the program itself, that the agent could have
/// written. What cannot be told counts as written by it.
fn foreign_code(program: &Program, executable: Option<FileId>) -> Option<PathBuf> {
    let Ok(mappings) = proc::executable_mappings(program.pid) else { return Some(program.path.clone()) };
    let own = |mapping: &proc::Mapping| {
        mapping.path == program.path && executable.is_some_and(|(_, inode)| inode == mapping.file.2)
    };
    let ground = Ground::of(program.pid);
    mappings
        .into_iter()
        .find(|mapping| !own(mapping) && !ground.as_ref().is_some_and(|ground| ground.carries(mapping)))
        .map(|mapping| mapping.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_executable_and_its_parents() {
        let me = std::process::id();
        let mut callers = Callers::new(1);
        let caller = callers.of(me);
        assert_eq!(caller.chain[0].path, std::env::current_exe().unwrap());
        assert_eq!(caller.chain[0].pid, me);
        assert!(caller.chain.len() > 1 && caller.chain[1].digest.is_some());
        assert!(Arc::ptr_eq(&caller, &callers.of(me)), "what holds is not found out twice");
        callers.forget(me);
        assert!(!Arc::ptr_eq(&caller, &callers.of(me)));
    }

    #[test]
    fn code_on_a_writable_mount_is_foreign_and_the_program_itself_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        let caller = Callers::new(1).searched(child.id());
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(caller.chain[0].path, program);
        assert_ne!(caller.chain[0].foreign_code.as_ref(), Some(&program));
    }

    #[test]
    fn nobody_is_not_somebody() {
        assert!(Callers::new(1).searched(u32::try_from(i32::MAX).unwrap()).chain.is_empty());
    }
}

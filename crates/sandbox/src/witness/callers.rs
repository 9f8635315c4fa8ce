//! Who a thread is: its program, and the programs that started it.
//!
//! **What is kept, and why it holds.** A thread's process is the same as long as the thread lives: the kernel gives
//! descriptors through its pidfd only then, and where a pidfd cannot be had of a thread, the process is asked whether
//! the thread is one of its own. Of a process its directory in `/proc` is kept, which tells nothing once it has
//! ended, and its executable is looked at again at every use: file and time of change decide whether path and digest
//! hold. The path may be another name that the same file had when it was looked at, which gives nothing: whoever runs
//! the file under one of its names can run it under the other. A parent stays the parent until it ends; so while the one that was seen still runs a program, it is. What an
//! `execve` changes besides is not kept here: code that it brings in is told by [`Lineage`] and code that is mapped by
//! [`Code`], at every connection.

use super::becoming::{self, Asking};
use super::code::Code;
use super::digests::{Digests, State};
use super::environment;
use super::lineage::{Announced, Lineage, Member};
use creel_kernel::notify::{self, Pidfd};
use creel_kernel::proc::{self, Entry, Identity, Stat};
use creel_types::{Caller, Program};
use rustix::event::PollFd;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How many threads are remembered, and how many processes; then all are forgotten at once.
const MOST: usize = 1024;
/// How many programs of a chain are looked at.
const DEEPEST: usize = 16;

/// What is known of one thread.
struct Thread {
    pidfd: OwnedFd,
    /// The process's directory, where the pidfd is not the thread's own.
    inexact: Option<Entry>,
    process: u32,
}

impl Thread {
    fn of(thread: u32) -> Option<Self> {
        let Pidfd { fd: pidfd, exact } = notify::pidfd(thread).ok()?;
        let process = proc::process_of(thread).ok()?;
        let inexact = if exact { None } else { Some(Entry::of(process).ok()?) };
        Some(Self { pidfd, inexact, process })
    }
}

/// What is known of one process.
struct Process {
    entry: Entry,
    stat: Stat,
    /// Whether that was read just now, and not yet used.
    fresh: bool,
    /// Its parent, once that was seen.
    parent: Option<Identity>,
    executable: State,
    /// Without what is foreign in it.
    program: Program,
    /// Who it was when nobody asked for foreign code.
    caller: Option<Arc<Caller>>,
}

impl Process {
    /// Whether it still runs, and runs the same file.
    fn holds(&self) -> bool {
        self.entry.executable().is_ok_and(|stat| State::of(&stat) == self.executable)
    }

    /// Whether its file still has the name that it had.
    fn is_named(&self) -> bool {
        self.entry.executable_path().is_ok_and(|path| path == self.program.path)
    }

    fn member(&self) -> Member {
        Member { stat: self.stat, executable: Some(self.executable.file()) }
    }
}

/// Every thread that called so far.
pub struct Callers {
    init: u32,
    most: usize,
    /// Whether init's own program cannot be looked at.
    init_is_closed: bool,
    threads: HashMap<u32, Thread>,
    processes: HashMap<u32, Process>,
    digests: Digests,
    lineage: Lineage,
    code: Code,
    environment: Vec<u8>,
}

impl Callers {
    /// Callers below the sandbox's `init`; not more than `most` threads, and processes, are remembered.
    pub fn new(init: u32, most: usize) -> Self {
        Self {
            init,
            most: most.min(MOST),
            init_is_closed: false,
            threads: HashMap::new(),
            processes: HashMap::new(),
            digests: Digests::default(),
            lineage: Lineage::default(),
            code: Code::of(init),
            environment: Vec::new(),
        }
    }

    /// The digests of executables.
    pub fn digests(&mut self) -> &mut Digests {
        &mut self.digests
    }

    /// What to poll to learn that the mounts changed.
    pub fn mounts(&self) -> Option<PollFd<'_>> {
        self.code.mounts()
    }

    /// The mounts changed: what was found firm may be so no more.
    pub fn mounts_changed(&mut self) {
        self.code.mounts_changed();
    }

    /// Duplicates a descriptor of the thread's.
    pub fn descriptor(&mut self, thread: u32, number: i32) -> Result<OwnedFd, Errno> {
        for _ in 0..2 {
            let Some(known) = self.thread(thread) else { break };
            match notify::descriptor(&known.pidfd, number).map_err(|error| error.errno) {
                // It was another of this number.
                Err(Errno::SRCH) => self.threads.remove(&thread),
                other => return other,
            };
        }
        Err(Errno::SRCH)
    }

    /// Who the thread is. Foreign code is not looked for.
    pub fn of(&mut self, thread: u32) -> Arc<Caller> {
        match self.process_of(thread) {
            Some(process) => self.of_process(process),
            None => Arc::new(Caller::UNKNOWN),
        }
    }

    /// The same of a process.
    pub fn of_process(&mut self, process: u32) -> Arc<Caller> {
        if let Some(known) = self.processes.get(&process)
            && let Some(caller) = &known.caller
            && known.holds()
        {
            return Arc::clone(caller);
        }
        let caller = Arc::new(self.find_out(process, false));
        if let Some(known) = self.processes.get_mut(&process) {
            known.caller = Some(Arc::clone(&caller));
        }
        caller
    }

    /// Who the thread is, with what is foreign in its program and its parents. It is looked for each time, because a
    /// program may load code whenever it likes.
    ///
    /// What stays possible: code that another thread loads between this look and the connection, and code that has
    /// hidden its mapping before it (see `environment` for what is done against that).
    pub fn searched(&mut self, thread: u32) -> Arc<Caller> {
        match self.process_of(thread) {
            Some(process) => self.searched_process(process),
            None => Arc::new(Caller::UNKNOWN),
        }
    }

    /// The same of a process.
    pub fn searched_process(&mut self, process: u32) -> Arc<Caller> {
        Arc::new(self.find_out(process, true))
    }

    /// What is about to be executed; to be given back through [`Callers::note`] when the call still waits then.
    pub fn announced(&mut self, asking: &Asking<'_>) -> Option<Announced> {
        let own = self.digests.own().filter(|own| !self.lineage.is_tainted(Some(*own)));
        becoming::announced(asking, self.init, own, |parent| self.member_of(parent))
    }

    /// A process as it is now.
    fn member_of(&mut self, pid: u32) -> Option<Member> {
        if self.look(pid) {
            return self.processes.get(&pid).map(Process::member);
        }
        proc::stat(pid).ok().map(becoming::member)
    }

    /// Remembers what is about to be executed.
    pub fn note(&mut self, announced: Announced) {
        self.lineage.announce(announced, becoming::lives);
    }

    /// Looks at what the thread's program began with; to be given back through [`Callers::found`] when the call still
    /// waits then.
    pub fn begun(&mut self, thread: u32) -> Option<(Member, PathBuf)> {
        let code = environment::begun_with(thread, &mut self.environment)?;
        let stat = proc::stat(proc::process_of(thread).ok()?).ok()?;
        Some((becoming::member(stat), code))
    }

    /// Remembers code that a program began with.
    pub fn found(&mut self, (process, code): (Member, PathBuf)) {
        self.lineage.found(process, &code);
    }

    /// Forgets a process: it is about to become another program.
    pub fn forget(&mut self, process: u32) {
        self.threads.retain(|_, known| known.process != process);
        self.processes.remove(&process);
    }

    fn process_of(&mut self, thread: u32) -> Option<u32> {
        self.thread(thread).map(|known| known.process)
    }

    fn thread(&mut self, thread: u32) -> Option<&Thread> {
        let stale = |known: &Thread| known.inexact.as_ref().is_some_and(|entry| !entry.has_thread(thread));
        if self.threads.get(&thread).is_none_or(stale) {
            self.threads.remove(&thread);
            let found = Thread::of(thread)?;
            if self.threads.len() >= self.most {
                self.threads.clear();
            }
            self.threads.insert(thread, found);
        }
        self.threads.get(&thread)
    }

    fn find_out(&mut self, process: u32, search: bool) -> Caller {
        let mut chain = Vec::new();
        let mut child: Option<Member> = None;
        let mut next = self.look(process).then_some(process);
        while let Some(pid) = next.filter(|_| chain.len() < DEEPEST) {
            // Init is Creel itself, which maps nothing but itself.
            let foreign = if search && pid != self.init { self.foreign_code(pid) } else { None };
            let Some(known) = self.processes.get(&pid) else { break };
            let member = known.member();
            if child.is_some_and(|child| !self.lineage.descends(child, member)) {
                break;
            }
            chain.push(Program { foreign_code: foreign, ..known.program.clone() });
            child = Some(member);
            next = self.parent(pid);
        }
        Caller { chain }
    }

    /// What is foreign in a process that was looked at.
    fn foreign_code(&mut self, pid: u32) -> Option<PathBuf> {
        let known = self.processes.get(&pid)?;
        if let Some(brought) = self.lineage.code(known.member()) {
            return Some(brought);
        }
        let mapped = self.code.foreign(&known.entry, &known.program, known.executable.file())?;
        // It may be its own file, under another name than when it was looked at.
        if known.is_named() {
            return Some(mapped);
        }
        self.processes.remove(&pid);
        if !self.look(pid) {
            return Some(mapped);
        }
        let known = self.processes.get(&pid)?;
        self.code.foreign(&known.entry, &known.program, known.executable.file())
    }

    /// The parent of a process that was looked at, looked at in its turn.
    fn parent(&mut self, pid: u32) -> Option<u32> {
        if pid == self.init {
            return None;
        }
        let known = self.processes.get(&pid)?;
        // Who init has adopted stays init's.
        if self.init_is_closed && known.stat.parent == self.init {
            return None;
        }
        if let Some(seen) = known.parent
            && self.look(seen.pid)
            && self.processes.get(&seen.pid)?.stat.identity == seen
        {
            return Some(seen.pid);
        }
        let known = self.processes.get_mut(&pid)?;
        let now = if std::mem::take(&mut known.fresh) { known.stat } else { known.entry.stat().ok()? };
        let parent = Some(now.parent).filter(|&parent| parent != 0 && self.look(parent))?;
        let identity = self.processes.get(&parent)?.stat.identity;
        let known = self.processes.get_mut(&pid)?;
        (known.stat, known.parent) = (now, Some(identity));
        Some(parent)
    }

    /// Whether the process runs a program that can be looked at; then it is among those that are known.
    fn look(&mut self, pid: u32) -> bool {
        // Init lives as long as anybody, and never becomes another program.
        if self.processes.get(&pid).is_some_and(|known| pid == self.init || known.holds()) {
            return true;
        }
        self.processes.remove(&pid);
        if pid == self.init && self.init_is_closed {
            return false;
        }
        match self.read(pid) {
            Ok(process) => {
                if self.processes.len() >= self.most {
                    self.processes.clear();
                }
                self.processes.insert(pid, process);
                true
            }
            Err(errno) => {
                self.init_is_closed |= pid == self.init && errno == Errno::ACCESS;
                false
            }
        }
    }

    fn read(&mut self, pid: u32) -> Result<Process, Errno> {
        let read = || {
            let entry = Entry::of(pid)?;
            let (path, file, stat) = (entry.executable_path()?, entry.executable()?, entry.stat()?);
            Ok((entry, path, State::of(&file), stat))
        };
        let (entry, path, executable, stat) = read().map_err(|error: creel_kernel::SysError| error.errno)?;
        let digest = self.digests.known(executable).or_else(|| {
            let file = entry.open_executable().ok()?;
            self.digests.of(&file)
        });
        let program = Program { pid, path, digest, foreign_code: None };
        Ok(Process { entry, stat, fresh: true, parent: None, executable, program, caller: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_executable_and_its_parents() {
        let me = std::process::id();
        let mut callers = Callers::new(1, MOST);
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
        let caller = Callers::new(1, MOST).searched(child.id());
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(caller.chain[0].path, program);
        assert_ne!(caller.chain[0].foreign_code.as_ref(), Some(&program));
    }

    #[test]
    fn nobody_is_not_somebody() {
        assert!(Callers::new(1, MOST).searched(u32::try_from(i32::MAX).unwrap()).chain.is_empty());
    }
}

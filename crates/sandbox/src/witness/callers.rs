//! Who a thread is: its program, and the programs that started it.
//!
//! What was found out is kept as long as it holds: the thread lives (its pidfd says so), it has not called `execve`
//! since (then it is forgotten), and its executable is the same file.

use super::digests::Digests;
use creel_kernel::{notify, proc};
use creel_types::{Caller, Program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstatvfs, open, openat2};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many threads are remembered; then all are forgotten at once.
const MOST: usize = 1024;
/// How many programs of a chain are looked at.
const DEEPEST: usize = 16;

/// What is known of one thread.
struct Known {
    pidfd: OwnedFd,
    process: u32,
    executable: Option<(u64, u64)>,
    /// Whether foreign code was looked for.
    searched: bool,
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
}

impl Callers {
    /// Callers below the sandbox's `init`.
    pub fn new(init: u32) -> Self {
        Self { init, known: HashMap::new(), digests: Digests::default() }
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

    /// Who the thread is. With `search`, foreign code is looked for.
    pub fn of(&mut self, thread: u32, search: bool) -> Arc<Caller> {
        let executable = executable_id(thread);
        if let Some(known) = self.known.get(&thread)
            && known.lives()
            && known.executable == executable
            && (known.searched || !search)
        {
            return Arc::clone(&known.caller);
        }
        let Some((process, caller)) = self.find_out(thread, search) else { return Arc::new(Caller::UNKNOWN) };
        let caller = Arc::new(caller);
        if self.known.len() >= MOST {
            self.known.clear();
        }
        if let Ok(pidfd) = self.descriptor(thread) {
            let known = Known { pidfd, process, executable, searched: search, caller: Arc::clone(&caller) };
            self.known.insert(thread, known);
        }
        caller
    }

    /// Forgets the thread's process: it is about to become another program.
    pub fn forget(&mut self, thread: u32) {
        let process = self.known.get(&thread).map_or(thread, |known| known.process);
        self.known.retain(|_, known| known.process != process);
    }

    fn find_out(&mut self, thread: u32, search: bool) -> Option<(u32, Caller)> {
        let process = proc::process_of(thread).ok()?;
        let line = proc::line(process, self.init).ok()?;
        let mut chain = vec![self.program(process, search)?];
        // Init's own program cannot be looked at from outside; the chain then ends before it.
        chain.extend(
            line.iter()
                .skip(1)
                .take(DEEPEST - 1)
                .map_while(|parent| self.program(parent.identity.pid, false)),
        );
        Some((process, Caller { chain }))
    }

    fn program(&mut self, pid: u32, search: bool) -> Option<Program> {
        let path = proc::executable(pid).ok()?;
        let digest = self.digests.of(&proc::open_executable(pid).ok()?);
        let foreign_code = if search { foreign_code(pid, &path) } else { None };
        Some(Program { pid, path, digest, foreign_code })
    }
}

fn executable_id(thread: u32) -> Option<(u64, u64)> {
    std::fs::metadata(format!("/proc/{thread}/exe")).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The first file with executable code in the process, other than the program itself, that the agent could have
/// written. What cannot be told counts as written by it.
fn foreign_code(pid: u32, program: &Path) -> Option<PathBuf> {
    let Ok(mappings) = proc::executable_mappings(pid) else { return Some(program.to_owned()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(format!("/proc/{pid}/root"), flags, Mode::empty());
    let mut paths = mappings.into_iter().map(|mapping| mapping.path).filter(|path| path != program);
    match root {
        Ok(root) => paths.find(|path| is_writable(&root, path)),
        Err(_) => paths.next(),
    }
}

/// Whether the file at `path` below `root` lies on a mount that is not read-only. A file that is not there any more
/// could be anything.
fn is_writable(root: &OwnedFd, path: &Path) -> bool {
    let relative = path.strip_prefix("/").unwrap_or(path);
    match openat2(root, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(file) => fstatvfs(&file).map_or(true, |stat| !stat.f_flag.contains(StatVfsMountFlags::RDONLY)),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_executable_and_its_parents() {
        let me = std::process::id();
        let mut callers = Callers::new(1);
        let caller = callers.of(me, false);
        assert_eq!(caller.chain[0].path, std::env::current_exe().unwrap());
        assert_eq!(caller.chain[0].pid, me);
        assert!(caller.chain.len() > 1 && caller.chain[1].digest.is_some());
        assert!(Arc::ptr_eq(&caller, &callers.of(me, false)), "what holds is not found out twice");
        callers.forget(me);
        assert!(!Arc::ptr_eq(&caller, &callers.of(me, false)));
    }

    #[test]
    fn nobody_is_not_somebody() {
        assert!(Callers::new(1).of(u32::try_from(i32::MAX).unwrap(), true).chain.is_empty());
    }
}

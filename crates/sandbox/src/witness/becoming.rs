//! What a process is about to become: everything about an `execve` that [`Lineage`](super::lineage::Lineage)
//! remembers, gathered while the caller waits.

use super::environment;
use super::execution;
use super::ground::Ground;
use super::interpreter::{self, Interpreter};
use super::lineage::{Announced, Becoming, Elders, FileId, Member};
use super::memory::Memory;
use creel_kernel::notify::Call;
use creel_kernel::{proc, seccomp};
use rustix::fs::{OFlags, ResolveFlags, fstat};
use rustix::io::Errno;
use std::io;
use std::os::unix::fs::MetadataExt;

/// How many descendants of a process are listed.
const MOST_ELDERS: usize = 4096;
/// How often a script's interpreter may be a script itself, as the kernel bounds it.
pub const MOST_INTERPRETERS: usize = 5;

/// The executable of a process or thread.
pub fn executable(id: u32) -> io::Result<FileId> {
    std::fs::metadata(format!("/proc/{id}/exe")).map(|meta| (meta.dev(), meta.ino()))
}

/// A process as it is now.
pub fn member(stat: proc::Stat) -> Member {
    Member { stat, executable: executable(stat.identity.pid).ok() }
}

/// Whether the process still is.
pub fn lives(identity: proc::Identity) -> bool {
    proc::stat(identity.pid).is_ok_and(|stat| stat.identity == identity)
}

/// Who asks for an `execve`, and where from.
pub struct Asking<'a> {
    /// The call.
    pub call: &'a Call,
    /// The process of the thread that calls, as it was found out while the call waited.
    pub process: u32,
    /// Its root.
    pub ground: Option<&'a Ground>,
}

/// Gathers what the call announces; `None` when its process has gone. `own` is Creel's own executable, as long as
/// only init runs it; `parent` looks at a parent by its number.
pub fn announced(
    Asking { call, process, ground }: &Asking<'_>,
    init: u32,
    own: Option<FileId>,
    parent: impl FnOnce(u32) -> Option<Member>,
) -> Option<Announced> {
    let at = proc::now();
    let (stat, threads) = proc::stat_and_threads(*process).ok()?;
    // Of the thread that calls: the process's own entry is empty once its first thread has ended.
    let executable = executable(call.thread);
    let ordered = stat.parent == init && is_inits_own(&executable, own) && proc::is_fork(stat.identity.pid);
    let envp = call.args[if i64::from(call.number) == seccomp::EXECVEAT { 3 } else { 2 }];
    let mut memory = Memory::of(call.thread);
    let code = if ordered { None } else { environment::brought_in(&mut memory, envp, *ground) };
    let becoming = match (&code, ground) {
        (Some(_), Some(ground)) => becoming(&mut memory, call, ground),
        _ => Becoming::Anything,
    };
    let process = Member { stat, executable: executable.ok() };
    let parent = parent(stat.parent);
    // Its only thread waits here, so it makes neither threads nor children meanwhile.
    let threads = threads != 1;
    let elders = elders(stat.identity.pid, threads);
    Some(Announced { process, parent, ordered, code, becoming, elders, threads, at })
}

/// Whether this may be the executable of what init forked: Creel's own, which may not be looked at. An agent's process
/// that runs a program which its user cannot read may not be looked at either, and is init's child once its parent has
/// ended; but it has executed that program, and what init forked has executed nothing yet.
fn is_inits_own(executable: &io::Result<FileId>, own: Option<FileId>) -> bool {
    match executable {
        Ok(file) => Some(*file) == own,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// Those that descend from the process.
fn elders(pid: u32, threads: bool) -> Elders {
    if !threads && proc::is_childless(pid) {
        return Elders::default();
    }
    match proc::descendants(pid, MOST_ELDERS) {
        Some(known) => Elders { known, more: false },
        None => Elders { more: true, ..Elders::default() },
    }
}

/// The files that the call may lead to.
fn becoming(memory: &mut Memory, call: &Call, ground: &Ground) -> Becoming {
    let Some(mut path) = execution::asked(memory, call) else { return Becoming::Anything };
    let mut files = Vec::new();
    for _ in 0..MOST_INTERPRETERS {
        let file = match ground.open(&path, OFlags::empty(), ResolveFlags::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) if ground.is_nothing(&path) => return Becoming::Files(files),
            Err(_) => return Becoming::Anything,
        };
        let Ok(stat) = fstat(&file) else { return Becoming::Anything };
        files.push((stat.st_dev, stat.st_ino));
        match interpreter::of(&file) {
            Interpreter::None => return Becoming::Files(files),
            Interpreter::Is(next) => path = execution::working_directory(call.thread).join(next.path()),
            Interpreter::Unknown => return Becoming::Anything,
        }
    }
    Becoming::Anything
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_children_has_elders() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = elders(std::process::id(), true);
        let _ = child.kill();
        assert!(found.known.iter().any(|identity| identity.pid == child.id()) && !found.more);
        assert!(!proc::is_childless(0), "nobody's children cannot be told");
        assert!(lives(*found.known.iter().find(|identity| identity.pid == child.id()).unwrap()));
        child.wait().unwrap();
        assert!(!found.known.iter().any(|i| i.pid == child.id() && lives(*i)));
    }
}

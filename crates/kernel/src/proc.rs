//! What `/proc` tells of a process. Every answer is of the moment: the process may end, and its number be another's;
//! a pair of number and start time is one process for good.

mod entry;

pub use entry::{Entry, Mapping};

use crate::{Named, SysError};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A process, for good: its number and when it started, in clock ticks after boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its number in the reader's pid namespace.
    pub pid: u32,
    /// When it started.
    pub started: u64,
}

/// What `stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Who.
    pub identity: Identity,
    /// Its parent's number; 0 when the parent is outside of the reader's pid namespace.
    pub parent: u32,
}

/// Reads `/proc/<pid>/stat`.
pub fn stat(pid: u32) -> Result<Stat, SysError> {
    stat_and_threads(pid).map(|(stat, _)| stat)
}

/// The same, with how many threads the process has.
pub fn stat_and_threads(pid: u32) -> Result<(Stat, u32), SysError> {
    let path = format!("/proc/{pid}/stat");
    let mut bytes = [0; 1024];
    let text = start(&path, &mut bytes)?;
    parse_stat(pid, text).ok_or_else(|| SysError::new("read", path, Errno::BADMSG))
}

/// The name, in brackets, may hold anything: fields are counted from the last bracket.
fn parse_stat(pid: u32, text: &[u8]) -> Option<(Stat, u32)> {
    let end = text.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(15)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some((Stat { identity: Identity { pid, started }, parent }, threads))
}

/// Whether a process has executed nothing since it was forked. The kernel says so itself (`PF_FORKNOEXEC`, field 9 of
/// `proc_pid_stat(5)`), and no process can make it say so again.
pub fn is_fork(pid: u32) -> bool {
    let mut bytes = [0; 1024];
    start(&format!("/proc/{pid}/stat"), &mut bytes)
        .ok()
        .and_then(flags)
        .is_some_and(|flags| flags & FORKED != 0)
}

/// `PF_FORKNOEXEC` of the kernel's `sched.h`.
const FORKED: u64 = 0x40;

fn flags(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    std::str::from_utf8(stat.get(end + 2..)?).ok()?.split_ascii_whitespace().nth(6)?.parse().ok()
}

/// The process that a thread belongs to.
pub fn process_of(thread: u32) -> Result<u32, SysError> {
    // A descriptor without `PIDFD_THREAD` is to be had of a process's first thread only, and costs a fifth of a look.
    let number = i32::try_from(thread).ok().and_then(Pid::from_raw);
    if number.is_some_and(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).is_ok()) {
        return Ok(thread);
    }
    let path = format!("/proc/{thread}/status");
    // It stands among the first lines.
    let mut bytes = [0; 512];
    String::from_utf8_lossy(start(&path, &mut bytes)?)
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:\t")?.parse().ok())
        .ok_or_else(|| SysError::new("read", path, Errno::BADMSG))
}

/// The start of a file, as much as one read gives.
fn start<'a>(path: &str, bytes: &'a mut [u8]) -> Result<&'a [u8], SysError> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named("open", path)?;
    let read = rustix::io::read(&file, &mut *bytes).named("read", path)?;
    Ok(&bytes[..read])
}

/// Reads the environment that a process's program began with, as its memory shows it now; false when it is longer than
/// `most` bytes.
pub fn environment(id: u32, buffer: &mut Vec<u8>, most: usize) -> Result<bool, SysError> {
    const PIECE: usize = 16 * 1024;
    let path = format!("/proc/{id}/environ");
    let file = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named("open", &path)?;
    buffer.clear();
    while buffer.len() <= most {
        buffer.reserve(PIECE);
        if rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)).named("read", &path)? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process has ended, or ends: its memory is given back, or was never there.
pub fn is_over(pid: u32) -> bool {
    let mut bytes = [0; 1024];
    let path = format!("/proc/{pid}/stat");
    let Ok(text) = start(&path, &mut bytes) else { return true };
    let state = text.iter().rposition(|&b| b == b')').and_then(|end| text.get(end + 2));
    matches!(state, None | Some(b'Z' | b'X'))
}

/// The threads of a process.
pub fn threads(pid: u32) -> Result<Vec<u32>, SysError> {
    numbers(&format!("/proc/{pid}/task"))
}

/// Whether a process that has one thread has no child: one look instead of a walk. False also where it cannot be told.
pub fn is_childless(pid: u32) -> bool {
    let mut bytes = [0; 16];
    start(&format!("/proc/{pid}/task/{pid}/children"), &mut bytes).is_ok_and(<[u8]>::is_empty)
}

/// The processes that descend from `pid` at the moment; `None` when they are more than `most` or cannot be listed.
/// One that is forked meanwhile may be missing.
pub fn descendants(pid: u32, most: usize) -> Option<HashSet<Identity>> {
    let mut found = HashSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children(parent, parent == pid)? {
            // A child that ended meanwhile has left its own children to another.
            let Ok(stat) = stat(child) else { continue };
            if found.contains(&stat.identity) {
                continue;
            }
            if found.len() == most {
                return None;
            }
            found.insert(stat.identity);
            parents.push(child);
        }
    }
    Some(found)
}

/// The children of all threads of a process. Of one that must be there, `None` when they cannot be listed.
fn children(pid: u32, must_be: bool) -> Option<Vec<u32>> {
    if !has_children_files() {
        let all = numbers("/proc").ok()?;
        return Some(all.into_iter().filter(|&p| stat(p).is_ok_and(|s| s.parent == pid)).collect());
    }
    let Ok(threads) = threads(pid) else { return (!must_be).then(Vec::new) };
    let texts =
        threads.iter().filter_map(|t| fs::read_to_string(format!("/proc/{pid}/task/{t}/children")).ok());
    Some(
        texts
            .flat_map(|text| text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>())
            .collect(),
    )
}

/// Whether the kernel lists children (`CONFIG_PROC_CHILDREN`); else every process is asked for its parent.
fn has_children_files() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| Path::new("/proc/thread-self/children").exists())
}

/// The names in a directory that are numbers.
fn numbers(path: &str) -> Result<Vec<u32>, SysError> {
    let entries = fs::read_dir(path).named("readdir", path)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The time that [`Identity::started`] is measured in: clock ticks after boot.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, which the call fills; it stays zero where the clock is unknown.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    // SAFETY: the call takes a number; where it knows nothing it gives -1, which counts as the usual 100.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * per_second + u64::try_from(time.tv_nsec).unwrap_or(0) * per_second / 1_000_000_000
}

/// Something that keeps a mount in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whose.
    pub pid: u32,
    /// What: `fd 3`, `cwd`, `root`, `exe` or `map /path`.
    pub what: String,
}

/// Who of these processes has something open on the mount of this id: descriptors, working directories, roots,
/// programs and mappings. A process that ends meanwhile holds nothing.
pub fn holders(pids: &[u32], mount: u64) -> Vec<Holder> {
    pids.iter().flat_map(|&pid| holdings(pid, mount)).collect()
}

fn holdings(pid: u32, mount: u64) -> Vec<Holder> {
    let base = PathBuf::from(format!("/proc/{pid}"));
    let mut found = Vec::new();
    for entry in fs::read_dir(base.join("fdinfo")).into_iter().flatten().flatten() {
        if fdinfo_mount(&entry.path()) == Some(mount) {
            found.push(format!("fd {}", entry.file_name().to_string_lossy()));
        }
    }
    for name in ["cwd", "root", "exe"] {
        if mount_of(&base.join(name)) == Some(mount) {
            found.push(name.to_owned());
        }
    }
    for entry in fs::read_dir(base.join("map_files")).into_iter().flatten().flatten() {
        if mount_of(&entry.path()) == Some(mount) {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            found.push(format!("map {}", target.display()));
        }
    }
    found.into_iter().map(|what| Holder { pid, what }).collect()
}

fn fdinfo_mount(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// The id of the mount behind a path, with the last link followed (also a link of `/proc`).
pub fn mount_of(path: &Path) -> Option<u64> {
    use rustix::fs::{AtFlags, CWD, StatxFlags};
    let stat =
        rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::from_bits_retain(libc::STATX_MNT_ID))
            .ok()?;
    (stat.stx_mask & libc::STATX_MNT_ID != 0).then_some(stat.stx_mnt_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_call_itself_what_it_likes() {
        let tail = "S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654 10 20\n";
        for name in ["sh", "a) S 1 (", ") ) )", "x y"] {
            let text = format!("42 ({name}) {tail}");
            let expected = Stat { identity: Identity { pid: 42, started: 987_654 }, parent: 41 };
            assert_eq!(parse_stat(42, text.as_bytes()), Some((expected, 3)), "{name}");
        }
        for bad in ["", "42", "42 (sh)", "42 (sh) S x"] {
            assert_eq!(parse_stat(42, bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn descendants_are_listed_and_start_no_later_than_now() {
        let me = std::process::id();
        let before = now();
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let begun = std::time::Instant::now();
        let mut sleeper = None;
        while sleeper.is_none() && begun.elapsed().as_secs() < 10 {
            sleeper = descendants(child.id(), 8).unwrap().iter().next().copied();
        }
        let (all, bounded) = (descendants(me, 100).unwrap(), descendants(me, 1));
        let parent = stat(sleeper.unwrap().pid).unwrap().parent;
        let _ = std::process::Command::new("kill").arg(sleeper.unwrap().pid.to_string()).status();
        child.wait().unwrap();
        assert_eq!(parent, child.id());
        assert!(all.contains(&sleeper.unwrap()) && bounded.is_none());
        assert!((before..=now()).contains(&sleeper.unwrap().started));
    }

    #[test]
    fn an_environment_is_what_the_program_began_with() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env_clear()
            .envs([("A", "b"), ("C", "")])
            .spawn()
            .unwrap();
        let mut text = Vec::new();
        let mut read = Ok(true);
        // The program is given it a moment after its parent goes on.
        while text.is_empty() && read.is_ok() {
            read = environment(child.id(), &mut text, 100);
        }
        let read = [read, environment(child.id(), &mut Vec::new(), 3)];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((read, text.as_slice()), ([Ok(true), Ok(false)], b"A=b\0C=\0".as_slice()));
        assert!(environment(child.id(), &mut text, 100).is_err());
    }

    #[test]
    fn a_fork_is_told_from_what_executed_something() {
        assert!(!is_fork(std::process::id()));
        let (read, write) = rustix::pipe::pipe().unwrap();
        let child = match crate::process::fork().unwrap() {
            None => {
                drop(write);
                let _ = rustix::io::read(&read, &mut [0; 1][..]);
                crate::process::exit_now(0)
            }
            Some(child) => child,
        };
        let mut executed = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = (is_fork(child), is_fork(executed.id()));
        drop(write);
        executed.kill().unwrap();
        executed.wait().unwrap();
        let _ = rustix::process::waitpid(Pid::from_raw(child as i32), rustix::process::WaitOptions::empty());
        assert_eq!(found, (true, false));
        assert_eq!(flags(b"42 (a) b) S 41 7 7 0 -1 64 1"), Some(64));
    }

    #[test]
    fn this_process_and_its_parent_are_known() {
        let pid = std::process::id();
        assert_eq!(stat(pid).unwrap().parent, std::os::unix::process::parent_id());
        assert_eq!(Entry::of(pid).unwrap().stat().unwrap(), stat(pid).unwrap());
        assert_eq!(process_of(pid).unwrap(), pid);
        let other = std::thread::spawn(|| {
            process_of(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
        });
        assert_eq!(other.join().unwrap().unwrap(), pid);
        assert!(process_of(u32::try_from(i32::MAX).unwrap()).is_err());
    }
}

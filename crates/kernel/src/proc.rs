//! What `/proc` tells of a process. Every answer is of the moment: the process may end, and its number be another's;
//! a pair of number and start time is one process for good.

use crate::{Named, SysError};
use rustix::io::Errno;
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
    let path = format!("/proc/{pid}/stat");
    let text = fs::read(&path).named("read", &path)?;
    parse_stat(pid, &text).ok_or_else(|| SysError::new("read", path, Errno::BADMSG))
}

/// The name, in brackets, may hold anything: fields are counted from the last bracket.
fn parse_stat(pid: u32, text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { identity: Identity { pid, started }, parent })
}

/// The process that a thread belongs to.
pub fn process_of(thread: u32) -> Result<u32, SysError> {
    let path = format!("/proc/{thread}/status");
    let text = fs::read_to_string(&path).named("read", &path)?;
    text.lines()
        .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
        .ok_or_else(|| SysError::new("read", path, Errno::BADMSG))
}

/// The program, as a path of the process's own root (with ` (deleted)` behind it when it was unlinked).
pub fn executable(pid: u32) -> Result<PathBuf, SysError> {
    let path = format!("/proc/{pid}/exe");
    fs::read_link(&path).named("readlink", path)
}

/// Opens the program itself, whatever stands at its path now.
pub fn open_executable(pid: u32) -> Result<fs::File, SysError> {
    let path = format!("/proc/{pid}/exe");
    fs::File::open(&path).named("open", path)
}

/// A process and its parents, nearest first, up to the one whose parent is not seen or `top`, whichever is first; at
/// most 64.
pub fn line(pid: u32, top: u32) -> Result<Vec<Stat>, SysError> {
    let mut line = vec![stat(pid)?];
    while let Some(last) = line.last() {
        if last.parent == 0 || last.identity.pid == top || line.len() == 64 {
            break;
        }
        line.push(stat(last.parent)?);
    }
    Ok(line)
}

/// A file that a process has mapped executable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Its path as `/proc` shows it.
    pub path: PathBuf,
    /// Device numbers, major and minor, and inode.
    pub file: (u32, u32, u64),
}

/// The files that a process has mapped executable, each once, in order of address.
pub fn executable_mappings(pid: u32) -> Result<Vec<Mapping>, SysError> {
    let path = format!("/proc/{pid}/maps");
    let text = fs::read(&path).named("read", path)?;
    let mut mappings = Vec::new();
    for mapping in text.split(|&b| b == b'\n').filter_map(parse_mapping) {
        if !mappings.contains(&mapping) {
            mappings.push(mapping);
        }
    }
    Ok(mappings)
}

fn parse_mapping(line: &[u8]) -> Option<Mapping> {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.splitn(6, ' ');
    let rights = fields.nth(1)?;
    let (device, inode) = (fields.nth(1)?, fields.next()?.parse().ok()?);
    let path = fields.next()?.trim_start();
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let mapped = rights.as_bytes().get(2) == Some(&b'x') && inode != 0;
    mapped.then_some(Mapping { path: path.into(), file: (number(major)?, number(minor)?, inode) })
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
        let tail = "S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 20\n";
        for name in ["sh", "a) S 1 (", ") ) )", "x y"] {
            let text = format!("42 ({name}) {tail}");
            let expected = Stat { identity: Identity { pid: 42, started: 987_654 }, parent: 41 };
            assert_eq!(parse_stat(42, text.as_bytes()), Some(expected), "{name}");
        }
        for bad in ["", "42", "42 (sh)", "42 (sh) S x"] {
            assert_eq!(parse_stat(42, bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_executable_files_are_mappings_of_code() {
        let mapping = Mapping { path: "/usr/lib/a b.so".into(), file: (0xfe, 0, 131) };
        for (line, expected) in [
            ("7f00-7f01 r-xp 00000000 fe:00 131        /usr/lib/a b.so", Some(mapping)),
            ("7f00-7f01 rw-p 00000000 fe:00 131        /usr/lib/a b.so", None),
            ("7ffc-7ffd r-xp 00000000 00:00 0          [vdso]", None),
            ("", None),
        ] {
            assert_eq!(parse_mapping(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn this_process_and_its_parents_are_known() {
        let pid = std::process::id();
        let line = line(pid, 1).unwrap();
        assert_eq!(line[0].identity.pid, pid);
        assert_eq!(process_of(pid).unwrap(), pid);
        assert!(!executable_mappings(pid).unwrap().is_empty());
    }
}

//! The directory of one process in `/proc`, kept open: it stays that process's whatever becomes of its number, and has
//! nothing to tell once the process has ended.

use super::{Stat, parse_stat};
use crate::procmap;
use crate::{Named, SysError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Longer than any `stat` file.
const STAT_BYTES: usize = 1024;

/// A process's directory.
#[derive(Debug)]
pub struct Entry {
    pid: u32,
    dir: OwnedFd,
}

/// A file that a process has mapped executable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Device numbers, major and minor, and inode.
    pub file: (u32, u32, u64),
    /// Its path as `/proc` shows it, to the byte.
    pub path: OsString,
}

impl Entry {
    /// That of the process (or thread) which has this number now.
    pub fn of(pid: u32) -> Result<Self, SysError> {
        let path = format!("/proc/{pid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, &path, flags, Mode::empty()).named("open", path)?;
        Ok(Self { pid, dir })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Who it is, and its parent's number now.
    pub fn stat(&self) -> Result<Stat, SysError> {
        let file = self.open("stat", OFlags::RDONLY)?;
        let mut bytes = [0; STAT_BYTES];
        let read = rustix::io::read(&file, &mut bytes).named("read", self.name("stat"))?;
        parse_stat(self.pid, &bytes[..read])
            .map(|(stat, _)| stat)
            .ok_or_else(|| SysError::new("read", self.name("stat"), Errno::BADMSG))
    }

    /// The file that it runs, whatever stands at its path now. Fails when the process has ended.
    pub fn executable(&self) -> Result<rustix::fs::Stat, SysError> {
        statat(&self.dir, c"exe", AtFlags::empty()).named("stat", self.name("exe"))
    }

    /// The same as a path of its own root (with ` (deleted)` behind it when it was unlinked).
    pub fn executable_path(&self) -> Result<PathBuf, SysError> {
        let path =
            readlinkat(&self.dir, c"exe", Vec::with_capacity(256)).named("readlink", self.name("exe"))?;
        Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
    }

    /// The same, open for reading.
    pub fn open_executable(&self) -> Result<File, SysError> {
        self.open("exe", OFlags::RDONLY).map(File::from)
    }

    /// The first `most` bytes of the arguments that its program began with, each with a NUL behind it. Only of a
    /// program that has not run yet is it sure that they are those.
    pub fn arguments(&self, most: usize) -> Result<Vec<u8>, SysError> {
        let file = self.open("cmdline", OFlags::RDONLY).map(File::from)?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).named("read", self.name("cmdline"))?;
        Ok(bytes)
    }

    /// Whether this thread is one of the process's.
    pub fn has_thread(&self, thread: u32) -> bool {
        statat(&self.dir, format!("task/{thread}"), AtFlags::empty()).is_ok()
    }

    /// The files that it has mapped executable, each once, in order of address. `buffer` is room that can be used
    /// again.
    pub fn executable_mappings(&self, buffer: &mut Vec<u8>) -> Result<Vec<Mapping>, SysError> {
        let maps = self.open("maps", OFlags::RDONLY)?;
        match procmap::executable(&maps, buffer) {
            Err(error) if error.errno == Errno::NOTTY => self.listed(&maps, buffer),
            other => other,
        }
    }

    /// The same out of the text, where the kernel cannot be asked.
    fn listed(&self, maps: &OwnedFd, buffer: &mut Vec<u8>) -> Result<Vec<Mapping>, SysError> {
        const PIECE: usize = 64 * 1024;
        buffer.clear();
        loop {
            buffer.reserve(PIECE);
            let read = rustix::io::read(maps, rustix::buffer::spare_capacity(buffer));
            if read.named("read", self.name("maps"))? == 0 {
                break;
            }
        }
        let mut mappings = Vec::new();
        for mapping in buffer.split(|&b| b == b'\n').filter_map(parse_mapping) {
            if !mappings.contains(&mapping) {
                mappings.push(mapping);
            }
        }
        Ok(mappings)
    }

    fn open(&self, name: &str, flags: OFlags) -> Result<OwnedFd, SysError> {
        openat(&self.dir, name, flags | OFlags::CLOEXEC, Mode::empty()).named("open", self.name(name))
    }

    fn name<'a>(&self, name: &'a str) -> Name<'a> {
        Name(self.pid, name)
    }
}

/// Written only when something fails.
struct Name<'a>(u32, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/proc/{}/{}", self.0, self.1)
    }
}

fn parse_mapping(line: &[u8]) -> Option<Mapping> {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.splitn(6, ' ');
    let rights = fields.nth(1)?;
    let (device, inode) = (fields.nth(1)?, fields.next()?.parse().ok()?);
    // A file without a path is a mapping, too.
    let path = fields.next().unwrap_or_default().trim_start();
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let mapped = rights.as_bytes().get(2) == Some(&b'x') && inode != 0;
    mapped.then_some(Mapping { path: path.into(), file: (number(major)?, number(minor)?, inode) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executable_files_are_mappings_of_code() {
        let mapping = Mapping { path: "/usr/lib/a b.so".into(), file: (0xfe, 0, 131) };
        let nameless = Mapping { path: OsString::new(), file: (0, 5, 9) };
        for (line, expected) in [
            ("7f00-7f01 r-xp 00000000 fe:00 131        /usr/lib/a b.so", Some(mapping)),
            ("7f00-7f01 rw-p 00000000 fe:00 131        /usr/lib/a b.so", None),
            ("7ffc-7ffd r-xp 00000000 00:00 0          [vdso]", None),
            ("7ffc-7ffd r-xp 00000000 00:00 0 ", None),
            ("7f00-7f01 r-xp 00000000 00:05 9 ", Some(nameless)),
            ("", None),
        ] {
            assert_eq!(parse_mapping(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_the_kernel_is_asked_is_what_it_lists() {
        let me = Entry::of(std::process::id()).unwrap();
        let mut buffer = Vec::new();
        let listed = me.listed(&me.open("maps", OFlags::RDONLY).unwrap(), &mut buffer).unwrap();
        assert_eq!(me.executable_mappings(&mut buffer).unwrap(), listed);
        let path = me.executable_path().unwrap();
        assert!(
            listed.iter().any(|m| m.path == path.as_os_str() && m.file.2 == me.executable().unwrap().st_ino)
        );
        assert!(listed.len() > 1, "a test has a C library");
    }

    #[test]
    fn an_entry_knows_its_threads_and_is_empty_once_its_process_has_ended() {
        let me = Entry::of(std::process::id()).unwrap();
        assert!(me.has_thread(std::process::id()) && !me.has_thread(1));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let entry = Entry::of(child.id()).unwrap();
        assert_eq!(entry.stat().unwrap().parent, me.pid());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(entry.executable().is_err() && entry.stat().is_err() && entry.executable_path().is_err());
    }
}

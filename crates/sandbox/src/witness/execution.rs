//! What an `execve` asks for, as it is asked: read from the caller's memory for the record.
//!
//! The kernel reads the same memory again afterwards, so this is a record of what was asked and not a judgement of
//! what will run. What runs is known when it acts: the executable of a caller is read from the kernel.

use super::digests::Digests;
use creel_audit::{Argv, Disposition, Exec, Program};
use creel_kernel::notify::{self, Call};
use creel_kernel::seccomp;
use creel_types::{Caller, Generation};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// How many arguments, and how many bytes of each, are recorded.
const MOST_ARGUMENTS: usize = 128;
const LONGEST: usize = 4096;

/// Reads the call; `None` when the caller's memory cannot be read, because then the kernel cannot either.
pub fn read(call: &Call, caller: &Caller, digests: &mut Digests, generation: Generation) -> Option<Exec> {
    let at = i64::from(call.number) == seccomp::EXECVEAT;
    let (path, argv) = if at { (call.args[1], call.args[2]) } else { (call.args[0], call.args[1]) };
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", call.thread)).unwrap_or_default();
    let directory = if at { descriptor_path(call) } else { None };
    let path = PathBuf::from(string(call.thread, path)?);
    let asked = match (directory, path.as_os_str().is_empty()) {
        (Some(directory), true) => directory,
        (Some(directory), false) => directory.join(path),
        (None, _) => cwd.join(path),
    };
    let (path, digest) = match resolve(call.thread, &asked) {
        Some((path, file)) => (path, file.and_then(|file| digests.of(&file))),
        None => (asked, None),
    };
    let parents = caller.chain.clone();
    let program = creel_types::Program {
        pid: caller.program().map_or(call.thread, |p| p.pid),
        path,
        digest,
        foreign_code: None,
    };
    let chain = Caller { chain: std::iter::once(program).chain(parents).collect() };
    Some(Exec {
        program: Program::of(&chain)?,
        argv: Argv::new(arguments(call.thread, argv)),
        cwd: creel_audit::text_of_path(&cwd),
        rule: None,
        generation: generation.0,
        disposition: Disposition::Allowed,
    })
}

/// What the warden ordered init to run, where the call itself cannot be looked at.
pub fn ordered(call: &Call, command: &[OsString], generation: Generation) -> Exec {
    let path = command.first().map(PathBuf::from).unwrap_or_default();
    Exec {
        program: Program {
            pid: call.thread,
            path: creel_audit::text_of_path(&path),
            digest: None,
            foreign_code: None,
            parents: Vec::new(),
        },
        argv: Argv::new(command),
        cwd: String::new(),
        rule: None,
        generation: generation.0,
        disposition: Disposition::Allowed,
    }
}

/// The directory (or file) behind `execveat`'s descriptor.
fn descriptor_path(call: &Call) -> Option<PathBuf> {
    let number = i32::try_from(call.args[0].cast_signed()).ok()?;
    std::fs::read_link(format!("/proc/{}/fd/{number}", call.thread)).ok()
}

/// The file behind a path as the caller's own root shows it, with its true name.
fn resolve(thread: u32, path: &Path) -> Option<(PathBuf, Option<File>)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(format!("/proc/{thread}/root"), flags, Mode::empty()).ok()?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let reading = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat2(&root, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
        .ok()?;
    use std::os::fd::AsRawFd;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = std::fs::read_link(&own).ok()?;
    let regular = rustix::fs::fstat(&file)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    let file = if regular { open(own, reading, Mode::empty()).ok().map(File::from) } else { None };
    Some((path, file))
}

fn arguments(thread: u32, address: u64) -> Vec<OsString> {
    let mut found = Vec::new();
    let mut pointers = [0; 8 * MOST_ARGUMENTS];
    let read = memory(thread, address, &mut pointers);
    for pointer in pointers[..read].chunks_exact(8) {
        let pointer = u64::from_ne_bytes(pointer.try_into().unwrap_or_default());
        match (pointer != 0).then(|| string(thread, pointer)).flatten() {
            Some(argument) => found.push(argument),
            None => break,
        }
    }
    found
}

/// A string that ends with a NUL, or its first [`LONGEST`] bytes.
fn string(thread: u32, address: u64) -> Option<OsString> {
    let mut bytes = vec![0; LONGEST];
    let read = memory(thread, address, &mut bytes);
    if read == 0 {
        return None;
    }
    let end = bytes[..read].iter().position(|&b| b == 0).unwrap_or(read);
    bytes.truncate(end);
    Some(OsString::from_vec(bytes))
}

/// Reads up to the end of the buffer or of the memory that can be read, page by page.
fn memory(thread: u32, address: u64, buffer: &mut [u8]) -> usize {
    const PAGE: u64 = 4096;
    let mut done = 0;
    while done < buffer.len() {
        let Some(from) = address.checked_add(done as u64) else { break };
        let to_page_end = usize::try_from(PAGE - from % PAGE).unwrap_or(1);
        let end = (done + to_page_end).min(buffer.len());
        match notify::read_memory(thread, from, &mut buffer[done..end]) {
            Ok(n) if n > 0 => done += n,
            _ => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_from_memory_up_to_their_end() {
        let text = c"hello";
        let me = std::process::id();
        assert_eq!(string(me, text.as_ptr() as u64), Some("hello".into()));
        assert_eq!(string(me, 8), None);
        let argv = [text.as_ptr(), text.as_ptr(), std::ptr::null()];
        assert_eq!(arguments(me, argv.as_ptr() as u64), ["hello", "hello"]);
    }

    #[test]
    fn a_path_is_resolved_to_its_true_name() {
        let (path, file) = resolve(std::process::id(), Path::new("/bin/sh")).unwrap();
        assert_eq!(path, Path::new("/bin/sh").canonicalize().unwrap());
        assert!(file.is_some());
    }
}

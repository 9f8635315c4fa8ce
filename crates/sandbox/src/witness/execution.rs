//! What an `execve` asks for, as it is asked: read from the caller's memory for the record.
//!
//! The kernel reads the same memory again afterwards, so this is a record of what was asked and not a judgement of
//! what will run. What runs is known when it acts: the executable of a caller is read from the kernel.

use super::digests::{Digests, State};
use super::ground::Ground;
use super::memory::Memory;
use creel_audit::{Argv, Disposition, Exec, Program};
use creel_kernel::notify::Call;
use creel_kernel::seccomp;
use creel_types::{Caller, Digest, Generation};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open};
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// How many arguments, and how many bytes of each, are recorded.
const MOST_ARGUMENTS: usize = 128;
const LONGEST: usize = 4096;
/// How many bytes of all arguments together are recorded.
const ARGUMENT_BYTES: usize = 2048;

/// Reads the call; `None` when the caller's memory cannot be read, because then the kernel cannot either.
pub fn read(
    (call, memory): (&Call, &mut Memory),
    ground: Option<&Ground>,
    caller: &Caller,
    digests: &mut Digests,
    generation: Generation,
) -> Option<Exec> {
    let asked = asked(memory, call)?;
    let cwd = working_directory(call.thread);
    let found = ground.and_then(|ground| resolve(ground, &asked, digests));
    let (path, digest) = found.unwrap_or((asked, None));
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
        argv: Argv::new(arguments(memory, argv(call))),
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

/// Where the arguments lie.
pub fn argv(call: &Call) -> u64 {
    call.args[if is_at(call) { 2 } else { 1 }]
}

/// Whether the file is named by a descriptor, or from one on.
pub fn is_at(call: &Call) -> bool {
    i64::from(call.number) == seccomp::EXECVEAT
}

/// The path that the call names, made absolute; `None` when the caller's memory cannot be read.
pub fn asked(memory: &mut Memory, call: &Call) -> Option<PathBuf> {
    let text = memory.string(call.args[usize::from(is_at(call))], LONGEST)?;
    let path = PathBuf::from(OsString::from_vec(text.bytes));
    let directory = if is_at(call) { descriptor_path(call) } else { None };
    Some(match (directory, path.as_os_str().is_empty()) {
        (Some(directory), true) => directory,
        (Some(directory), false) => directory.join(path),
        (None, false) if path.is_absolute() => path,
        (None, _) => working_directory(call.thread).join(path),
    })
}

/// The caller's working directory; empty when it cannot be told.
pub fn working_directory(thread: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{thread}/cwd")).unwrap_or_default()
}

/// The directory (or file) behind `execveat`'s descriptor.
fn descriptor_path(call: &Call) -> Option<PathBuf> {
    let number = i32::try_from(call.args[0].cast_signed()).ok()?;
    std::fs::read_link(format!("/proc/{}/fd/{number}", call.thread)).ok()
}

/// The true name of the file behind a path as the caller's own root shows it, and its digest.
fn resolve(ground: &Ground, path: &Path, digests: &mut Digests) -> Option<(PathBuf, Option<Digest>)> {
    let file = ground.open(path, OFlags::empty(), ResolveFlags::empty()).ok()?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = std::fs::read_link(&own).ok()?;
    let regular = |stat: &Stat| FileType::from_raw_mode(stat.st_mode).is_file();
    let digest = fstat(&file).ok().filter(regular).and_then(|stat| {
        digests.known(State::of(&stat)).or_else(|| {
            let reading = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            digests.of(&open(own, reading, Mode::empty()).ok()?.into())
        })
    });
    Some((path, digest))
}

fn arguments(memory: &mut Memory, address: u64) -> Vec<OsString> {
    let (pointers, _) = memory.pointers(address, MOST_ARGUMENTS);
    let mut left = ARGUMENT_BYTES;
    let mut texts = Vec::new();
    let many = pointers.len();
    for pointer in pointers {
        if left == 0 {
            // The agent must not be able to fill the disk with its arguments.
            texts.push(format!("... of {many} arguments").into());
            break;
        }
        let Some(mut text) = memory.string(pointer, LONGEST) else { break };
        text.bytes.truncate(left);
        left -= text.bytes.len();
        texts.push(OsString::from_vec(text.bytes));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_up_to_the_first_that_cannot_be() {
        let text = c"hello".as_ptr() as u64;
        let argv = [text, text, 8, text, 0];
        let mut memory = Memory::of(std::process::id());
        assert_eq!(arguments(&mut memory, argv.as_ptr() as u64), ["hello", "hello"]);
    }

    #[test]
    fn long_arguments_are_recorded_in_part() {
        let long = std::ffi::CString::new(vec![b'x'; 3000]).unwrap();
        let argv = [long.as_ptr() as u64, long.as_ptr() as u64, 0];
        let read = arguments(&mut Memory::of(std::process::id()), argv.as_ptr() as u64);
        assert_eq!((read[0].len(), read[1].to_str()), (ARGUMENT_BYTES, Some("... of 2 arguments")));
    }

    #[test]
    fn a_path_is_resolved_to_its_true_name() {
        let (ground, mut digests) = (Ground::of(std::process::id()).unwrap(), Digests::default());
        let (path, digest) = resolve(&ground, Path::new("/bin/sh"), &mut digests).unwrap();
        assert_eq!(path, Path::new("/bin/sh").canonicalize().unwrap());
        assert!(digest.is_some());
        assert_eq!(resolve(&ground, Path::new("/bin/sh"), &mut digests), Some((path, digest)));
    }
}

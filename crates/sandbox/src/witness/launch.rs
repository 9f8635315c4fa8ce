//! What an `execve` would start: the file, the interpreters in front of it, and the arguments of each, put together as
//! the kernel puts them together, out of one reading of the caller's memory.
//!
//! The kernel reads the same memory and the same names again. So what stands here is what is judged, and [`Hold`]
//! compares it with what then really stands ready to run.
//!
//! [`Hold`]: super::hold::Hold

use super::becoming::MOST_INTERPRETERS;
use super::digests::{Digests, State};
use super::execution;
use super::ground::Ground;
use super::interpreter::{self, Interpreter};
use super::memory::Memory;
use creel_kernel::notify::Call;
use creel_types::Digest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, open};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How many bytes of arguments, with a NUL behind each, are compared, and how many arguments.
const COMPARED: usize = 128 * 1024;
const MOST_ARGUMENTS: usize = 16 * 1024;
/// The longest path, as the kernel bounds it.
const LONGEST_PATH: usize = 4096;

/// What would be started.
#[derive(Debug)]
pub struct Launch {
    /// What is asked for, then its interpreter, and that one's. The last is what runs.
    pub files: Vec<Launched>,
}

/// One file of a launch.
#[derive(Debug)]
pub struct Launched {
    /// Its true name, with ` (deleted)` behind it when it has none any more.
    pub path: PathBuf,
    /// The name by which it is asked for.
    pub asked: PathBuf,
    /// Which file, and in which state.
    pub state: State,
    /// Whether it still has a name.
    pub named: bool,
    /// SHA-256, when it could be taken.
    pub digest: Option<Digest>,
    /// All its arguments, its own name first.
    pub arguments: Vec<Vec<u8>>,
    /// Whether these are all.
    pub whole: bool,
}

/// Why a launch cannot be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Untold {
    /// The kernel will not be able either.
    Fails(Errno),
    /// Something that is not looked into; what.
    Because(&'static str),
}

impl Launch {
    /// Reads the call.
    pub fn of((call, memory): (&Call, &mut Memory), digests: &mut Digests) -> Result<Self, Untold> {
        let ground = Ground::of(call.thread).ok_or(Untold::Fails(Errno::SRCH))?;
        let mut arguments = arguments(memory, execution::argv(call))?;
        let (mut file, mut asked, mut name) = first((call, memory), &ground)?;
        let mut files = Vec::new();
        loop {
            let launched = launched(&file, asked, arguments.clone(), digests)?;
            files.push(launched);
            let Interpreter::Is(line) = interpreter::of(&file) else { return Ok(Self { files }) };
            if files.len() > MOST_INTERPRETERS {
                return Err(Untold::Fails(Errno::LOOP));
            }
            asked = execution::working_directory(call.thread).join(line.path());
            file = place(&ground, &asked)?;
            arguments.interpreted(&line, name);
            name = line.name;
        }
    }

    /// What runs.
    pub fn last(&self) -> Option<&Launched> {
        self.files.last()
    }
}

impl Launched {
    /// The arguments as `/proc/PID/cmdline` shows them, as far as they were read: if that is not to their end, the last
    /// may be a piece of one.
    pub fn command_line(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for argument in &self.arguments {
            bytes.extend_from_slice(argument);
            bytes.push(0);
        }
        if !self.whole {
            bytes.pop();
            bytes.truncate(COMPARED);
        }
        bytes
    }
}

/// Arguments, and whether they are all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arguments(Vec<Vec<u8>>, bool);

impl Arguments {
    /// What a script's first line makes of them: the script's name takes the place of the first.
    fn interpreted(&mut self, line: &interpreter::Line, script: Vec<u8>) {
        let front = [Some(line.name.clone()), line.argument.clone(), Some(script)];
        self.0.splice(..1.min(self.0.len()), front.into_iter().flatten());
    }
}

fn arguments(memory: &mut Memory, address: u64) -> Result<Arguments, Untold> {
    let (pointers, mut whole) = memory.pointers(address, MOST_ARGUMENTS);
    if !whole && pointers.len() < MOST_ARGUMENTS && !memory.is_full() {
        return Err(Untold::Fails(Errno::FAULT));
    }
    let (mut texts, mut left) = (Vec::new(), COMPARED);
    for pointer in pointers {
        let text = match memory.string(pointer, left + 1) {
            Some(text) => text,
            None if memory.is_full() => return Ok(Arguments(texts, false)),
            None => return Err(Untold::Fails(Errno::FAULT)),
        };
        whole &= text.whole;
        left = left.saturating_sub(text.bytes.len() + 1);
        texts.push(text.bytes);
        if left == 0 || !text.whole {
            return Ok(Arguments(texts, false));
        }
    }
    if texts.is_empty() {
        // The kernel gives every program a name.
        texts.push(Vec::new());
    }
    Ok(Arguments(texts, whole))
}

/// The file that the call names, the path that it names it by, and the name that a script is handed to its interpreter
/// under.
fn first(
    (call, memory): (&Call, &mut Memory),
    ground: &Ground,
) -> Result<(OwnedFd, PathBuf, Vec<u8>), Untold> {
    let at = execution::is_at(call);
    let text = memory.string(call.args[usize::from(at)], LONGEST_PATH).ok_or(Untold::Fails(Errno::FAULT))?;
    if !text.whole {
        return Err(Untold::Fails(Errno::NAMETOOLONG));
    }
    let path = PathBuf::from(OsString::from_vec(text.bytes.clone()));
    let number = if at { i32::try_from(call.args[0].cast_signed()).ok().filter(|n| *n >= 0) } else { None };
    if let Some(number) = number.filter(|_| path.as_os_str().is_empty()) {
        let link = format!("/proc/{}/fd/{number}", call.thread);
        let asked = std::fs::read_link(&link).map_err(|_| Untold::Fails(Errno::BADF))?;
        return Ok((followed(&link)?, asked, format!("/dev/fd/{number}").into_bytes()));
    }
    let asked = execution::asked(memory, call).ok_or(Untold::Fails(Errno::FAULT))?;
    let name = match number.filter(|_| !path.is_absolute()) {
        Some(number) => [format!("/dev/fd/{number}/").into_bytes(), text.bytes].concat(),
        None => text.bytes,
    };
    let file = match own(&asked, call.thread) {
        Some(link) => followed(&link)?,
        None => place(ground, &asked)?,
    };
    let nofollow = u64::from(AtFlags::SYMLINK_NOFOLLOW.bits());
    if at && call.args[4] & nofollow != 0 {
        return Err(Untold::Because("a path whose last link is not to be followed"));
    }
    Ok((file, asked, name))
}

/// Where the caller's own entries of `/proc` are seen from here: a path into `/proc` means another process to each who
/// follows it.
fn own(asked: &Path, thread: u32) -> Option<String> {
    let text = asked.to_str()?;
    let below =
        |prefix: &str| text.strip_prefix(prefix).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if matches!(text, "/proc/self/exe" | "/proc/thread-self/exe") {
        return Some(format!("/proc/{thread}/exe"));
    }
    let number =
        below("/proc/self/fd/").or_else(|| below("/dev/fd/")).or_else(|| below("/proc/thread-self/fd/"))?;
    Some(format!("/proc/{thread}/fd/{number}"))
}

fn followed(link: &str) -> Result<OwnedFd, Untold> {
    open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Untold::Fails)
}

fn place(ground: &Ground, path: &Path) -> Result<OwnedFd, Untold> {
    ground.open(path, OFlags::empty(), ResolveFlags::empty()).map_err(|errno| match errno {
        Errno::NOENT if !ground.is_nothing(path) => Untold::Because("a link through /proc"),
        Errno::LOOP | Errno::XDEV => Untold::Because("a link through /proc"),
        other => Untold::Fails(other),
    })
}

fn launched(
    file: &OwnedFd,
    asked: PathBuf,
    Arguments(arguments, whole): Arguments,
    digests: &mut Digests,
) -> Result<Launched, Untold> {
    let stat = fstat(file).map_err(Untold::Fails)?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = std::fs::read_link(&own).map_err(|_| Untold::Fails(Errno::NOENT))?;
    // Opening a pipe or device could wait.
    let regular = FileType::from_raw_mode(stat.st_mode).is_file();
    let digest = if regular { File::open(own).ok().and_then(|file| digests.of(&file)) } else { None };
    let named = stat.st_nlink > 0 && !path.as_os_str().as_bytes().ends_with(b" (deleted)");
    Ok(Launched { path, asked, state: State::of(&stat), named, digest, arguments, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_script_hands_its_name_and_arguments_to_its_interpreter() {
        for (argument, given, expected) in [
            (Some("-x y"), &["me", "a"][..], &["/bin/i", "-x y", "./s", "a"][..]),
            (None, &["me"], &["/bin/i", "./s"]),
            (None, &[""], &["/bin/i", "./s"]),
        ] {
            let line = interpreter::Line { name: "/bin/i".into(), argument: argument.map(Into::into) };
            let mut arguments = Arguments(texts(given), true);
            arguments.interpreted(&line, "./s".into());
            assert_eq!(arguments.0, texts(expected));
        }
    }

    #[test]
    fn arguments_are_read_whole_or_said_not_to_be() {
        let long = std::ffi::CString::new(vec![b'x'; COMPARED + 10]).unwrap();
        let word = c"word".as_ptr() as u64;
        for (argv, expected) in [
            (vec![word, word, 0], Ok((2, true))),
            (vec![0], Ok((1, true))),
            (vec![word, long.as_ptr() as u64, word, 0], Ok((2, false))),
            (vec![word, 8, 0], Err(Untold::Fails(Errno::FAULT))),
        ] {
            let read = arguments(&mut Memory::of(std::process::id()), argv.as_ptr() as u64);
            assert_eq!(read.map(|read| (read.0.len(), read.1)), expected);
        }
    }
}

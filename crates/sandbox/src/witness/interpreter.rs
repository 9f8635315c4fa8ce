//! What the first bytes of a file make of it: a program, or a script and who reads it (`execve(2)`), read as the kernel
//! reads them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many bytes the kernel looks at (`BINPRM_BUF_SIZE`).
const LOOKED_AT: usize = 256;

/// Who runs a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// The kernel itself.
    None,
    /// The program that its first line names.
    Is(Line),
    /// Nobody, or one that only the kernel knows.
    Unknown,
}

/// The first line of a script.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The interpreter.
    pub name: Vec<u8>,
    /// Its one argument, with all blanks inside.
    pub argument: Option<Vec<u8>>,
}

impl Line {
    /// The interpreter as a path.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.name))
    }
}

/// Who runs the file, which is open as a place only.
pub fn of(file: &OwnedFd) -> Interpreter {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let regular = std::fs::metadata(&own).is_ok_and(|meta| meta.is_file());
    let mut start = Vec::new();
    // A pipe or device is no program, and opening it could wait.
    let read = regular
        && File::open(own).is_ok_and(|file| file.take(LOOKED_AT as u64).read_to_end(&mut start).is_ok());
    if read { parse(&start) } else { Interpreter::Unknown }
}

fn parse(start: &[u8]) -> Interpreter {
    if start.starts_with(b"\x7fELF") {
        return Interpreter::None;
    }
    let Some(rest) = start.strip_prefix(b"#!") else { return Interpreter::Unknown };
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let end = rest.iter().position(|&b| b == b'\n');
    let line = &rest[..end.unwrap_or(rest.len())];
    let from = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let to = line.iter().rposition(|b| !blank(b)).map_or(from, |last| last + 1);
    let line = &line[from..to.max(from)];
    let name_end = line.iter().position(|b| blank(b) || *b == 0);
    // A name that may go on behind what is looked at is none.
    if line.is_empty() || (name_end.is_none() && end.is_none() && start.len() == LOOKED_AT) {
        return Interpreter::Unknown;
    }
    let (name, rest) = line.split_at(name_end.unwrap_or(line.len()));
    let text = |bytes: &[u8]| bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    let begins = rest.iter().position(|b| !blank(b));
    let argument = begins.map(|at| text(&rest[at..])).filter(|argument| !argument.is_empty());
    if name.is_empty() {
        Interpreter::Unknown
    } else {
        Interpreter::Is(Line { name: name.to_vec(), argument })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_what_the_first_line_names() {
        let is = |name: &str, argument: Option<&str>| {
            Interpreter::Is(Line { name: name.into(), argument: argument.map(Into::into) })
        };
        let long = format!("#!/bin/sh {}", "x".repeat(300));
        let endless = format!("#!/{}", "x".repeat(300));
        for (start, expected) in [
            ("\x7fELF\x02\x01", Interpreter::None),
            ("#!/bin/sh\necho", is("/bin/sh", None)),
            ("#!/bin/sh", is("/bin/sh", None)),
            ("#! \t/usr/bin/env -S  python3 -u \t\n", is("/usr/bin/env", Some("-S  python3 -u"))),
            ("#!/bin/sh\0x y\n", is("/bin/sh", None)),
            ("#!\n", Interpreter::Unknown),
            ("#!   ", Interpreter::Unknown),
            ("MZ", Interpreter::Unknown),
            ("", Interpreter::Unknown),
            (&long, is("/bin/sh", Some(&"x".repeat(LOOKED_AT - 10)))),
            (&endless, Interpreter::Unknown),
        ] {
            let start = &start.as_bytes()[..start.len().min(LOOKED_AT)];
            assert_eq!(parse(start), expected, "{}", start.escape_ascii());
        }
    }
}

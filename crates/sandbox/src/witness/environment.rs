//! Which code the environment of a new program brings in: what the dynamic loader, iconv and OpenSSL load because a
//! variable says so.
//!
//! It is read before any code runs that it brings in, because that can hide afterwards: it can replace its own mapping
//! by anonymous memory and overwrite `/proc/PID/environ`. And it is read twice. At `execve` it is what the caller asks
//! for; but the kernel reads the caller's memory again, which another thread may have changed in between. So what the
//! new program really began with is read at its `set_tid_address`: glibc's loader makes that call after it has mapped
//! what it was told to and before it runs any of it (relocation, constructors; before it opens the modules of
//! `LD_AUDIT`), and musl's before it looks for libraries. The memory is the new program's own by then: nobody shares
//! it, and nobody else in a sandbox may write it. A program that never makes the call has no loader that would read
//! these variables.
//!
//! The call itself tells nothing of who makes it: any code may, at any time, also while an `execve` of its process is
//! on its way. So it only ever adds to what is known.
//!
//! **What stays possible.** Code that a program loads for any other reason (an option, a configuration file, a module
//! of its language) is seen only as long as it stays mapped from its file. Anonymous executable memory is not held
//! against a program, because just-in-time compilers need it.

use super::ground::Ground;
use super::memory::Memory;
use creel_kernel::proc;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many variables are looked at, and how many bytes of one that matters. What is longer counts as foreign.
const MOST: usize = 8192;
const LONGEST: usize = 64 * 1024;
/// More than the kernel gives any program (three quarters of 8 MiB).
const MOST_BYTES: usize = 8 << 20;

const UNREADABLE: &str = "an environment that cannot be read";

/// What a variable lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// Files. A name without a slash is looked up in the library path.
    Files,
    /// Directories. An empty one is the working directory.
    Directories,
}

/// The variables, what separates their elements, and what these are (`ld.so(8)`, `iconv_open(3)`, `openssl-env(7)`).
/// musl's loader knows the first and the third, and takes a line feed for a separator too: an element with one in it
/// names nothing that exists in a place that can be trusted.
const VARIABLES: [(&str, &[u8], Lists); 7] = [
    ("LD_PRELOAD", b" :", Lists::Files),
    ("LD_AUDIT", b":", Lists::Files),
    ("LD_LIBRARY_PATH", b":;", Lists::Directories),
    ("GCONV_PATH", b":", Lists::Directories),
    ("OPENSSL_CONF", b"", Lists::Files),
    ("OPENSSL_MODULES", b"", Lists::Directories),
    ("OPENSSL_ENGINES", b"", Lists::Directories),
];

/// The first thing that the environment at `envp` brings in from a place that the agent can write. What cannot be
/// read or told counts as that.
pub fn brought_in(memory: &mut Memory, envp: u64, ground: Option<&Ground>) -> Option<PathBuf> {
    let (pointers, whole) = memory.pointers(envp, MOST);
    let unknown = || Some(PathBuf::from(UNREADABLE));
    if !whole {
        return unknown();
    }
    memory.gather(&pointers);
    for pointer in pointers {
        // Long enough for the longest name; most variables end here.
        let Some(start) = memory.string(pointer, 16) else { return unknown() };
        let Some(variable) = VARIABLES.iter().find(|(name, ..)| names(&start.bytes, name)) else { continue };
        let Some(text) = memory.string(pointer, LONGEST).filter(|text| text.whole) else {
            return Some(variable.0.into());
        };
        let value = &text.bytes[(variable.0.len() + 1).min(text.bytes.len())..];
        if let Some(found) = judge(*variable, value, ground) {
            return Some(found);
        }
    }
    None
}

/// The same of the environment that the thread's program began with. `buffer` is room that can be used again.
pub fn begun_with(thread: u32, buffer: &mut Vec<u8>) -> Option<PathBuf> {
    if !proc::environment(thread, buffer, MOST_BYTES).unwrap_or(false) {
        return Some(PathBuf::from(UNREADABLE));
    }
    let mut ground = None;
    buffer.split(|&b| b == 0).find_map(|text| {
        let variable = VARIABLES.iter().find(|(name, ..)| names(text, name))?;
        if text.len() > LONGEST {
            return Some(variable.0.into());
        }
        let ground = ground.get_or_insert_with(|| Ground::of(thread));
        judge(*variable, &text[variable.0.len() + 1..], ground.as_ref())
    })
}

fn names(start: &[u8], name: &str) -> bool {
    start.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
}

/// The first element of a variable's value that is not in a firm place.
fn judge(
    (name, separators, lists): (&str, &[u8], Lists),
    value: &[u8],
    ground: Option<&Ground>,
) -> Option<PathBuf> {
    if value.is_empty() {
        return None;
    }
    let foreign = value.split(|b| separators.contains(b)).find(|element| match lists {
        Lists::Files if element.is_empty() => false,
        // Found in the library path, which is judged by itself, or in the system's own directories.
        Lists::Files if !element.contains(&b'/') && name.starts_with("LD_") => element.contains(&b'$'),
        _ => !is_firm(element, ground),
    })?;
    let path = Path::new(OsStr::from_bytes(foreign));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    let said = [name.as_bytes(), b"=", value].concat();
    Some(PathBuf::from(OsStr::from_bytes(&said)))
}

/// A `$` may stand for the loader's own words (`$ORIGIN`), which are not resolved here.
fn is_firm(element: &[u8], ground: Option<&Ground>) -> bool {
    element.starts_with(b"/")
        && !element.contains(&b'$')
        && ground.is_some_and(|ground| ground.is_firm(Path::new(OsStr::from_bytes(element))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn found(variables: &[&str]) -> Option<String> {
        let texts: Vec<CString> = variables.iter().map(|v| CString::new(*v).unwrap()).collect();
        let list: Vec<u64> = texts.iter().map(|t| t.as_ptr() as u64).chain([0]).collect();
        let me = std::process::id();
        brought_in(&mut Memory::of(me), list.as_ptr() as u64, Ground::of(me).as_ref())
            .map(|path| path.display().to_string())
    }

    #[test]
    fn what_the_agent_can_write_is_brought_in_by_a_variable_of_the_loader() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_str().unwrap();
        for (variable, expected) in [
            (format!("LD_PRELOAD={dir}/e.so"), format!("{dir}/e.so")),
            (format!("LD_PRELOAD=libc.so.6 {dir}/e.so"), format!("{dir}/e.so")),
            (format!("LD_AUDIT={dir}/e.so"), format!("{dir}/e.so")),
            (format!("LD_LIBRARY_PATH={dir}"), dir.to_owned()),
            ("LD_PRELOAD=./e.so".into(), "LD_PRELOAD=./e.so".into()),
            ("LD_PRELOAD=$LIB".into(), "LD_PRELOAD=$LIB".into()),
            ("LD_LIBRARY_PATH=:".into(), "LD_LIBRARY_PATH=:".into()),
            ("LD_LIBRARY_PATH=lib".into(), "LD_LIBRARY_PATH=lib".into()),
            ("OPENSSL_CONF=x.cnf".into(), "OPENSSL_CONF=x.cnf".into()),
            (format!("GCONV_PATH={dir}"), dir.to_owned()),
        ] {
            assert_eq!(found(&["A=b", &variable, "C=d"]), Some(expected), "{variable}");
        }
        let second = found(&["LD_PRELOAD=libc.so.6", &format!("LD_PRELOAD={dir}/e.so")]);
        assert_eq!(second, Some(format!("{dir}/e.so")), "the loader may take either of two");
    }

    /// Waits until a program that was executed has its environment.
    fn begins(pid: u32) {
        let mut text = Vec::new();
        while text.is_empty() {
            proc::environment(pid, &mut text, MOST_BYTES).unwrap();
        }
    }

    #[test]
    fn what_a_program_began_with_is_judged_alike() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_str().unwrap();
        let long = "x".repeat(LONGEST);
        for (name, value, expected) in [
            ("LD_LIBRARY_PATH", dir, Some(dir)),
            ("LD_PRELOAD", "libm.so.6", None),
            ("LD_PRELOADED", dir, None),
            ("LD_AUDIT", &long, Some("LD_AUDIT")),
        ] {
            let mut command = std::process::Command::new("/bin/sleep");
            let mut child = command.arg("60").env_clear().env("A", "b").env(name, value).spawn().unwrap();
            begins(child.id());
            let found = begun_with(child.id(), &mut Vec::new());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(found.as_deref(), expected.map(Path::new), "{name}");
        }
        let nobody = u32::try_from(i32::MAX).unwrap();
        assert!(begun_with(nobody, &mut Vec::new()).is_some());
    }

    #[test]
    fn other_variables_and_bare_names_bring_nothing_in() {
        let clean =
            ["HOME=/x", "", "LD_PRELOADED=/x", "LD_PRELOAD=", "LD_LIBRARY_PATH=", "LD_PRELOAD=libm.so.6"];
        assert_eq!(found(&clean), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn an_environment_that_cannot_be_read_brings_in_something() {
        let unreadable = [8_u64, 0];
        for envp in [unreadable.as_ptr() as u64, 8] {
            assert!(brought_in(&mut Memory::of(std::process::id()), envp, None).is_some());
        }
        let long = format!("LD_PRELOAD={}", "x".repeat(LONGEST));
        assert_eq!(found(&[&long]).as_deref(), Some("LD_PRELOAD"));
    }
}

//! Holding a program before its first instruction (`ptrace(2)`): what it is can be looked at while nothing runs that
//! could change it, and nobody but the tracer lets it go on. A stop by signal would not do, because any process beside
//! it may send the signal that ends the stop.
//!
//! Tracing belongs to the thread that began it: every function here is to be called by one thread, which has no
//! children of its own.

use crate::SysError;
use rustix::io::Errno;

/// Why a traced thread no longer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It has executed a program of which nothing has run yet; the process's number.
    Executed(u32),
    /// It is about to run on as what it was, with this signal (0: none).
    Elsewhere(u32, i32),
    /// It has ended, or its process has.
    Ended(u32),
}

/// Whose types differ from one C library to the next.
#[derive(Debug, Clone, Copy)]
enum Request {
    Seize = 0x4206,
    Interrupt = 0x4207,
    Detach = 17,
}

/// Begins to trace a thread, which goes on. When the tracer ends, so does the traced process.
pub fn seize(thread: u32) -> Result<(), SysError> {
    request(Request::Seize, thread, libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL)
}

/// Stops a traced thread before it runs another instruction.
pub fn interrupt(thread: u32) -> Result<(), SysError> {
    request(Request::Interrupt, thread, 0)
}

/// Lets a stopped thread run on, untraced, with this signal (0: none).
pub fn release(thread: u32, signal: i32) -> Result<(), SysError> {
    request(Request::Detach, thread, signal)
}

/// Ends a traced process that was seen to stop and not yet to end: until then its number is its own.
pub fn kill(process: u32) -> Result<(), SysError> {
    // SAFETY: the call takes numbers only.
    match unsafe { libc::kill(process.cast_signed(), libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(SysError::last("kill", process)),
    }
}

/// Waits until some thread that this one traces stops or ends.
pub fn wait() -> Result<Stop, SysError> {
    const OWN: libc::c_int = libc::__WALL | libc::__WNOTHREAD;
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live integer, which the call writes.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, OWN) };
        match u32::try_from(pid) {
            Ok(pid) => return Ok(meaning(pid, status)),
            Err(_) => {
                let error = SysError::last("waitpid", "traced threads");
                if error.errno != Errno::INTR {
                    return Err(error);
                }
            }
        }
    }
}

fn meaning(pid: u32, status: libc::c_int) -> Stop {
    if !libc::WIFSTOPPED(status) {
        return Stop::Ended(pid);
    }
    match status >> 16 {
        libc::PTRACE_EVENT_EXEC => Stop::Executed(pid),
        0 => Stop::Elsewhere(pid, libc::WSTOPSIG(status)),
        _ => Stop::Elsewhere(pid, 0),
    }
}

fn request(what: Request, thread: u32, data: i32) -> Result<(), SysError> {
    let (number, thread) = (what as libc::c_long, libc::c_long::from(thread));
    // SAFETY: these requests take numbers, and read and write no memory of either process.
    match unsafe { libc::syscall(libc::SYS_ptrace, number, thread, 0, libc::c_long::from(data)) } {
        0 => Ok(()),
        _ => Err(SysError::last("ptrace", format_args!("{what:?} of {thread}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A shell that says that it runs, and after a line of input does what is said.
    fn shell(then: &str) -> (Child, BufReader<ChildStdout>) {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", &format!("echo up; read line; {then}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        (shell, output)
    }

    #[test]
    fn a_program_is_held_before_its_first_instruction() {
        let (mut shell, mut output) = shell("exec /bin/echo ran");
        let pid = shell.id();
        seize(pid).unwrap();
        drop(shell.stdin.take());
        assert_eq!(wait().unwrap(), Stop::Executed(pid));
        kill(pid).unwrap();
        assert_eq!(wait().unwrap(), Stop::Ended(pid));
        let mut shown = String::new();
        output.read_to_string(&mut shown).unwrap();
        assert_eq!(shown, "");
    }

    #[test]
    fn one_that_executes_nothing_is_let_go() {
        let (mut shell, mut output) = shell("echo on");
        seize(shell.id()).unwrap();
        interrupt(shell.id()).unwrap();
        assert_eq!(wait().unwrap(), Stop::Elsewhere(shell.id(), 0));
        release(shell.id(), 0).unwrap();
        drop(shell.stdin.take());
        let mut shown = String::new();
        output.read_to_string(&mut shown).unwrap();
        assert_eq!(shown, "on\n");
        shell.wait().unwrap();
    }
}

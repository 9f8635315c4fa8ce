//! What the exit must not be able to do, tried once by the exit itself, after its confinement and before it serves.
//!
//! A filter that was built wrongly, a kernel that answers `Ok` and does nothing, a machine on which Landlock is there and
//! switched off for this process: none of it shows in what the calls that confine it return. So each wall is run
//! against. Nothing here harms where it wrongly succeeds: arguments are nonsense, or what is opened is closed again.

use creel_kernel::{attempt, signal};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use std::fmt;

/// One thing that the exit must not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise(&'static str);

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

type Attempt = fn() -> Result<(), Errno>;

/// How walls answer: the filter and missing capabilities, Landlock, and the filter for sockets of other families.
const REFUSED: [Errno; 3] = [Errno::PERM, Errno::ACCESS, Errno::AFNOSUPPORT];

const PROMISES: &[(Promise, &[Attempt])] = &[
    (
        Promise("it reads and lists no file of the operator's"),
        &[
            || opens("/", OFlags::DIRECTORY),
            || opens("/etc/passwd", OFlags::RDONLY),
            || opens("/proc/self/environ", OFlags::RDONLY),
        ],
    ),
    (
        Promise("it writes no file"),
        &[
            || opens("/dev/null", OFlags::WRONLY),
            || opens("/proc/self/mem", OFlags::RDWR),
            || attempt::nonsense(libc::SYS_unlinkat),
            || attempt::nonsense(libc::SYS_renameat2),
        ],
    ),
    (
        Promise("it takes nothing from the record"),
        &[
            || attempt::nonsense(libc::SYS_ftruncate),
            || attempt::nonsense(libc::SYS_pwrite64),
            || attempt::nonsense(libc::SYS_pwritev2),
            || attempt::nonsense(libc::SYS_fallocate),
            || attempt::nonsense(libc::SYS_fcntl),
        ],
    ),
    (
        Promise("it executes nothing and makes no code and no process"),
        &[
            || attempt::nonsense(libc::SYS_execve),
            || attempt::nonsense(libc::SYS_execveat),
            || attempt::nonsense(libc::SYS_mmap),
            || attempt::nonsense(libc::SYS_mprotect),
            || attempt::nonsense(libc::SYS_memfd_create),
            || attempt::clone(0),
        ],
    ),
    (
        Promise("it reaches no other process"),
        &[
            || attempt::trace(parent()),
            || attempt::read_byte_of(parent().unsigned_abs()),
            || signal::kill(parent(), 0).map(drop).map_err(|error| error.errno),
            || attempt::nonsense(libc::SYS_pidfd_open),
            || attempt::nonsense(libc::SYS_pidfd_getfd),
        ],
    ),
    (
        Promise("it has sockets of the Internet only, and none that listens"),
        &[
            || socket(AddressFamily::UNIX, SocketType::STREAM, None).map(drop),
            || socket(AddressFamily::NETLINK, SocketType::RAW, None).map(drop),
            || socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).map(drop),
            || attempt::nonsense(libc::SYS_listen),
        ],
    ),
    (
        Promise("it changes neither its namespaces nor the kernel"),
        &[
            || attempt::unshare(libc::CLONE_NEWUSER),
            || attempt::nonsense(libc::SYS_setns),
            || attempt::nonsense(libc::SYS_mount),
            || attempt::nonsense(libc::SYS_bpf),
            || attempt::nonsense(libc::SYS_io_uring_setup),
            || attempt::nonsense(libc::SYS_keyctl),
        ],
    ),
];

/// The promises that do not hold for the calling process, in the order in which they are tried.
pub fn broken() -> Vec<Promise> {
    let holds = |attempts: &[Attempt]| {
        attempts.iter().all(|attempt| attempt().is_err_and(|errno| REFUSED.contains(&errno)))
    };
    PROMISES.iter().filter(|(_, attempts)| !holds(attempts)).map(|(promise, _)| *promise).collect()
}

/// How many promises there are.
pub fn promises() -> usize {
    PROMISES.len()
}

fn opens(path: &str, flags: OFlags) -> Result<(), Errno> {
    open(path, flags | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others than root are refused some of it on many machines: these attempts show nothing to them.
    #[test]
    fn each_attempt_is_one_that_root_is_not_refused_without_walls() {
        if !rustix::process::getuid().is_root() {
            return;
        }
        for (promise, attempts) in PROMISES {
            for (number, attempt) in attempts.iter().enumerate() {
                let got = attempt();
                assert!(!got.is_err_and(|errno| REFUSED.contains(&errno)), "{promise}, {number}: {got:?}");
            }
        }
    }
}

//! Calls that are made in the caller's place, where a sandbox stands on the host's own network and file tree.
//!
//! A call that is let go is carried out by the kernel, which reads the caller's memory anew: where nothing else stands
//! behind the judgement, that is too late. So these are never let go. What is asked for is read once, judged, and done
//! here on the caller's own open file; Landlock refuses the same calls to everybody inside.

use creel_kernel::notify::{self, Call};
use creel_kernel::seccomp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec as Time, Timestamps, openat2};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_domain, socket_error};
use rustix::net::{AddressFamily, SocketAddrUnix};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How long a connection to our own listener may take.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// The longest path, as the kernel bounds it.
const LONGEST_PATH: usize = 4096;
/// Bits of a mode by which a program runs as the owner or group of its file.
const SET_ID: u64 = 0o6000;

/// A number of the caller's for the directory that a path starts from, and how to come by what it stands for.
type From<'a> = (i32, &'a dyn Fn(i32) -> Result<OwnedFd, Errno>);

/// What a sandbox without namespaces may have done for it.
#[derive(Debug, Clone)]
pub struct Apart {
    /// Where the exit listens, on loopback: IPv4 and, where there is one, IPv6.
    pub listeners: Vec<SocketAddr>,
    /// Beneath these the policy lets files be changed.
    pub writable: Vec<PathBuf>,
    /// Beneath these lies what the policy grants, to read or to write.
    pub granted: Vec<PathBuf>,
}

impl Apart {
    /// The listener that a socket can be connected to which is meant for `to`, written as that socket writes addresses.
    pub fn listener(&self, socket: &OwnedFd, to: SocketAddr) -> Result<SocketAddr, Errno> {
        let of = |v4: bool| self.listeners.iter().find(|at| at.is_ipv4() == v4).copied();
        match socket_domain(socket)? {
            AddressFamily::INET => of(true).ok_or(Errno::NETUNREACH),
            AddressFamily::INET6 if to.ip().to_canonical().is_ipv4() => {
                let port = of(true).ok_or(Errno::NETUNREACH)?.port();
                Ok(SocketAddr::new(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), port))
            }
            AddressFamily::INET6 => of(false).ok_or(Errno::NETUNREACH),
            _ => Err(Errno::ACCESS),
        }
    }

    /// Connects to a Unix socket that has a name in a granted directory.
    pub fn connect_unix(&self, call: &Call, socket: &OwnedFd, address: &[u8]) -> Result<(), Errno> {
        let name = address.get(2..).unwrap_or_default();
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        if name.is_empty() {
            // Nameless or abstract: whose it is cannot be told.
            return Err(Errno::CONNREFUSED);
        }
        let file = open(call.thread, None, Path::new(OsStr::from_bytes(name)), OFlags::empty())?;
        within(&file, &self.granted).then_some(()).ok_or(Errno::ACCESS)?;
        connect(socket, &SocketAddrUnix::new(own(&file))?)
    }

    /// Has a Unix socket listen. A TCP socket that was never bound would listen on every address of the host.
    pub fn listen(call: &Call, socket: &OwnedFd) -> Result<(), Errno> {
        if socket_domain(socket)? != AddressFamily::UNIX {
            return Err(Errno::ACCESS);
        }
        rustix::net::listen(socket, low(call.args[1]))
    }

    /// Sets the mode of a file beneath what may be written; never one by which it runs as its owner.
    pub fn set_mode(
        &self,
        call: &Call,
        descriptor: impl Fn(i32) -> Result<OwnedFd, Errno>,
    ) -> Result<(), Errno> {
        let [a, b, c, d, ..] = call.args;
        let (file, mode) = match i64::from(call.number) {
            seccomp::FCHMOD => (descriptor(low(a))?, b),
            seccomp::CHMOD => (self.named(call, None, a, OFlags::empty())?, b),
            number => {
                if number == seccomp::FCHMODAT2 && d != 0 {
                    return Err(Errno::OPNOTSUPP);
                }
                (self.named(call, Some((low(a), &descriptor)), b, OFlags::empty())?, c)
            }
        };
        if mode & SET_ID != 0 || !within(&file, &self.writable) {
            return Err(Errno::PERM);
        }
        rustix::fs::chmod(own(&file), Mode::from_raw_mode(low(mode).cast_unsigned() & 0o1777))
    }

    /// Sets the times of a file beneath what may be written.
    pub fn set_times(
        &self,
        call: &Call,
        descriptor: impl Fn(i32) -> Result<OwnedFd, Errno>,
    ) -> Result<(), Errno> {
        let [at, path, times, flags, ..] = call.args;
        let times = read_times(call.thread, times)?;
        if path == 0 {
            let file = descriptor(low(at))?;
            within(&file, &self.writable).then_some(()).ok_or(Errno::PERM)?;
            return rustix::fs::futimens(&file, &times);
        }
        let nofollow = flags & u64::from(AtFlags::SYMLINK_NOFOLLOW.bits()) != 0;
        let how = if nofollow { OFlags::NOFOLLOW } else { OFlags::empty() };
        let file = self.named(call, Some((low(at), &descriptor)), path, how)?;
        within(&file, &self.writable).then_some(()).ok_or(Errno::PERM)?;
        rustix::fs::utimensat(&file, "", &times, AtFlags::EMPTY_PATH)
    }

    fn named(&self, call: &Call, at: Option<From<'_>>, path: u64, how: OFlags) -> Result<OwnedFd, Errno> {
        let path = read_path(call.thread, path)?;
        let base = match at {
            Some((number, descriptor)) if number != CWD.as_raw_fd() && !path.is_absolute() => {
                Some(descriptor(number)?)
            }
            _ => None,
        };
        open(call.thread, base.as_ref(), &path, how)
    }
}

/// The kernel reads an int: what is above it changes nothing.
#[allow(clippy::cast_possible_truncation)]
fn low(argument: u64) -> i32 {
    (argument as u32).cast_signed()
}

/// Connects at once, without waiting on the caller's terms: the listener is our own. A caller that does not wait is told
/// that it is under way, as the kernel would.
pub fn connect(socket: &OwnedFd, to: &impl rustix::net::addr::SocketAddrArg) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(socket)?;
    let waits = !flags.contains(OFlags::NONBLOCK);
    if waits {
        rustix::fs::fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
    }
    let mut result = rustix::net::connect(socket, to);
    if waits {
        if result == Err(Errno::INPROGRESS) {
            let mut fds = [PollFd::new(socket, PollFlags::OUT)];
            result = match poll(&mut fds, Some(&PATIENCE)) {
                Ok(0) => Err(Errno::TIMEDOUT),
                Ok(_) => socket_error(socket).and_then(|state| state),
                Err(errno) => Err(errno),
            };
        }
        rustix::fs::fcntl_setfl(socket, flags)?;
    }
    result
}

/// What the caller means by the path, as a place only. A magic link of `/proc` would be ours and not the caller's.
fn open(thread: u32, base: Option<&OwnedFd>, path: &Path, how: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | how;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    if path.is_absolute() {
        return openat2(CWD, path, flags, Mode::empty(), resolve);
    }
    match base {
        Some(base) => openat2(base, path, flags, Mode::empty(), resolve),
        None => {
            let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let cwd = rustix::fs::open(format!("/proc/{thread}/cwd"), directory, Mode::empty())?;
            openat2(&cwd, path, flags, Mode::empty(), resolve)
        }
    }
}

fn own(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Whether the open file lies beneath one of these, wherever its name led from.
fn within(file: &OwnedFd, places: &[PathBuf]) -> bool {
    std::fs::read_link(own(file)).is_ok_and(|path| places.iter().any(|place| path.starts_with(place)))
}

fn read_path(thread: u32, address: u64) -> Result<PathBuf, Errno> {
    const PIECE: usize = 256;
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_PATH {
        let mut piece = [0; PIECE];
        let at = address.checked_add(bytes.len() as u64).ok_or(Errno::FAULT)?;
        // A piece ends with its page, so that what follows the text need not be there.
        let most = PIECE.min(4096 - usize::try_from(at % 4096).unwrap_or(0));
        let read = notify::read_memory(thread, at, &mut piece[..most]).map_err(|_| Errno::FAULT)?;
        match piece[..read].iter().position(|&b| b == 0) {
            Some(end) => {
                bytes.extend_from_slice(&piece[..end]);
                return Ok(PathBuf::from(OsStr::from_bytes(&bytes)));
            }
            None if read == 0 => return Err(Errno::FAULT),
            None => bytes.extend_from_slice(&piece[..read]),
        }
    }
    Err(Errno::NAMETOOLONG)
}

/// Access and change; now, where none are said.
fn read_times(thread: u32, address: u64) -> Result<Timestamps, Errno> {
    const WHOLE: usize = 32;
    if address == 0 {
        let now = Time { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        return Ok(Timestamps { last_access: now, last_modification: now });
    }
    let mut bytes = [0; WHOLE];
    if notify::read_memory(thread, address, &mut bytes).map_err(|_| Errno::FAULT)? != WHOLE {
        return Err(Errno::FAULT);
    }
    let number = |at: usize| -> Result<i64, Errno> {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(i64::from_ne_bytes).ok_or(Errno::FAULT)
    };
    Ok(Timestamps {
        last_access: Time { tv_sec: number(0)?, tv_nsec: number(8)? },
        last_modification: Time { tv_sec: number(16)?, tv_nsec: number(24)? },
    })
}

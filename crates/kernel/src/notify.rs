//! The listener of a seccomp filter (`seccomp_unotify(2)`): who calls, with what, and the answer.
//!
//! What a caller's registers say is a copy and holds; what its memory says may change at any time. So a decision on
//! memory must act on the copy that was read, or decide only who is let through to a check that the kernel makes.

use crate::{Named, SysError};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A listener that is being served.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The kernel's number of this notification.
    pub id: u64,
    /// The calling *thread*, in the listener's pid namespace.
    pub thread: u32,
    /// Number of the system call.
    pub number: i32,
    /// Its arguments.
    pub args: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does it, reading the caller's memory anew.
    Continue,
    /// It fails.
    Refuse(Errno),
    /// It was done on the caller's behalf, with this result.
    Done(i64),
}

const RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
const ID_VALID: libc::Ioctl = 0x4008_2102_u32 as libc::Ioctl;
const SET_FLAGS: libc::Ioctl = 0x4008_2104_u32 as libc::Ioctl;
const SYNC_WAKE_UP: u64 = 1;
const CONTINUE: u32 = 1;

impl Listener {
    /// Begins to serve. Where the kernel knows it (6.6), a caller and the listener run in turn on one processor,
    /// which halves the time of an answer.
    pub fn new(fd: OwnedFd) -> Self {
        // SAFETY: the call takes a number; a kernel that does not know it refuses, and nothing is lost.
        unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
        Self(fd)
    }

    /// The next call; `None` when its caller has gone meanwhile. Waits for one: poll first.
    pub fn next(&self) -> Result<Option<Call>, SysError> {
        // The kernel wants zeroes.
        let mut raw = libc::seccomp_notif {
            id: 0,
            pid: 0,
            flags: 0,
            data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
        };
        // SAFETY: `raw` is live, writable and of the layout that RECV fills.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), RECV, &raw mut raw) };
        if result < 0 {
            let error = SysError::last("ioctl", "SECCOMP_IOCTL_NOTIF_RECV");
            return if matches!(error.errno, Errno::NOENT | Errno::INTR) { Ok(None) } else { Err(error) };
        }
        Ok(Some(Call { id: raw.id, thread: raw.pid, number: raw.data.nr, args: raw.data.args }))
    }

    /// Whether the caller still waits: only then is `call.thread` still that thread, and what was read of it its own.
    pub fn still_waits(&self, call: &Call) -> bool {
        // SAFETY: the pointer is to a live u64, which the call reads.
        unsafe { libc::ioctl(self.0.as_raw_fd(), ID_VALID, &raw const call.id) == 0 }
    }

    /// Answers. `ENOENT` when the caller has gone.
    pub fn answer(&self, call: &Call, answer: Answer) -> Result<(), SysError> {
        let mut raw = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: 0 };
        match answer {
            Answer::Continue => raw.flags = CONTINUE,
            Answer::Refuse(errno) => raw.error = -errno.raw_os_error(),
            Answer::Done(value) => raw.val = value,
        }
        // SAFETY: `raw` is live and of the layout that SEND reads.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), SEND, &raw mut raw) };
        if result < 0 { Err(SysError::last("ioctl", "SECCOMP_IOCTL_NOTIF_SEND")) } else { Ok(()) }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Copies memory of a waiting caller, as much of `buffer` as is readable from `address` on. Ask
/// [`Listener::still_waits`] afterwards before believing it.
pub fn read_memory(thread: u32, address: u64, buffer: &mut [u8]) -> Result<usize, SysError> {
    let named = || format!("memory of {thread} at {address:#x}");
    let from =
        usize::try_from(address).map_err(|_| SysError::new("process_vm_readv", named(), Errno::FAULT))?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(from), iov_len: buffer.len() };
    // SAFETY: the local vector is the live buffer; the remote one is the other process's address, which the kernel
    // checks and this process never uses.
    let length =
        unsafe { libc::process_vm_readv(thread.cast_signed(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(length).map_err(|_| SysError::last("process_vm_readv", named()))
}

/// Copies whole pieces of a waiting caller's memory, each as long as `piece`, one behind the other into `buffer`: how
/// many were copied, up to the first that cannot be read. As many as `buffer` has room for, and 1024 at most.
pub fn read_pieces(
    thread: u32,
    addresses: &[u64],
    piece: usize,
    buffer: &mut [u8],
) -> Result<usize, SysError> {
    let many = addresses.len().min(1024).min(buffer.len() / piece.max(1));
    let named = || format!("memory of {thread} in {many} places");
    let at = |address: &u64| {
        let from = usize::try_from(*address)
            .map_err(|_| SysError::new("process_vm_readv", named(), Errno::FAULT))?;
        Ok(libc::iovec { iov_base: std::ptr::without_provenance_mut(from), iov_len: piece })
    };
    let remote = addresses[..many].iter().map(at).collect::<Result<Vec<_>, SysError>>()?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: many * piece };
    let (to, from, length) = (&raw const local, remote.as_ptr(), many as libc::c_ulong);
    // SAFETY: the local vector is the beginning of the live buffer, and `remote` has as many elements as is said; what
    // they name are the other process's addresses, which the kernel checks and this process never uses.
    let read = unsafe { libc::process_vm_readv(thread.cast_signed(), to, 1, from, length, 0) };
    let read = usize::try_from(read).map_err(|_| SysError::last("process_vm_readv", named()))?;
    Ok(read / piece.max(1))
}

/// A pidfd of a caller.
#[derive(Debug)]
pub struct Pidfd {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Whether it is the thread's own, rather than its process's.
    pub exact: bool,
}

/// A pidfd of the caller: of the thread itself where the kernel has those (6.9), else of its process.
pub fn pidfd(thread: u32) -> Result<Pidfd, SysError> {
    const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let pid = |number: u32| {
        i32::try_from(number)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| SysError::new("pidfd_open", number, Errno::SRCH))
    };
    match rustix::process::pidfd_open(pid(thread)?, THREAD) {
        Err(Errno::INVAL) => {
            let process = crate::proc::process_of(thread)?;
            let fd = rustix::process::pidfd_open(pid(process)?, PidfdFlags::empty())
                .named("pidfd_open", process)?;
            Ok(Pidfd { fd, exact: false })
        }
        other => other.map(|fd| Pidfd { fd, exact: true }).named("pidfd_open", thread),
    }
}

/// A duplicate of a descriptor of the caller's: the same open file, so what is done to it is done to the caller's.
pub fn descriptor(pidfd: impl AsFd, number: i32) -> Result<OwnedFd, SysError> {
    rustix::process::pidfd_getfd(pidfd, number, rustix::process::PidfdGetfdFlags::empty())
        .named("pidfd_getfd", number)
}

/// The inode behind a descriptor: for a socket the number by which `/proc/net` knows it.
pub fn inode(fd: impl AsFd) -> Result<u64, SysError> {
    rustix::fs::fstat(fd).named("fstat", "a descriptor").map(|stat| stat.st_ino)
}

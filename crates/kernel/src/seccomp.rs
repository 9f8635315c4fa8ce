//! Installing a seccomp filter whose listener is served by another process.

use crate::SysError;
use crate::bpf::Instruction;
use rustix::io::Errno;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// What a filter returns for a call (`SECCOMP_RET_*`).
pub mod verdict {
    /// Let it happen.
    pub const ALLOW: u32 = 0x7fff_0000;
    /// Ask the listener.
    pub const NOTIFY: u32 = 0x7fc0_0000;
    /// End the process.
    pub const KILL: u32 = 0x8000_0000;

    /// Refuse with this error number.
    pub const fn errno(number: u16) -> u32 {
        0x0005_0000 | number as u32
    }
}

/// `connect(2)` on this machine's own architecture.
pub const CONNECT: i64 = libc::SYS_connect;
/// `listen(2)` on this machine's own architecture.
pub const LISTEN: i64 = libc::SYS_listen;
/// `fchmod(2)` on this machine's own architecture.
pub const FCHMOD: i64 = libc::SYS_fchmod;
/// `fchmodat(2)` on this machine's own architecture.
pub const FCHMODAT: i64 = libc::SYS_fchmodat;
/// `fchmodat2(2)` on this machine's own architecture.
pub const FCHMODAT2: i64 = libc::SYS_fchmodat2;
/// `chmod(2)`, where the architecture has it.
#[cfg(target_arch = "x86_64")]
pub const CHMOD: i64 = libc::SYS_chmod;
/// `chmod(2)`, where the architecture has it.
#[cfg(not(target_arch = "x86_64"))]
pub const CHMOD: i64 = -1;
/// `utimensat(2)` on this machine's own architecture.
pub const UTIMENSAT: i64 = libc::SYS_utimensat;
/// `set_tid_address(2)` on this machine's own architecture.
pub const SET_TID_ADDRESS: i64 = libc::SYS_set_tid_address;
/// `execve(2)` on this machine's own architecture.
pub const EXECVE: i64 = libc::SYS_execve;
/// `execveat(2)` on this machine's own architecture.
pub const EXECVEAT: i64 = libc::SYS_execveat;

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Installs the filter on this thread and what it becomes, and gives its listener. The thread must have
/// `no_new_privs`.
///
/// Where the kernel knows it (5.19), a caller whose notification was read waits killably only, so that a signal does
/// not make it call twice.
pub fn install_with_listener(filter: &[Instruction]) -> Result<OwnedFd, SysError> {
    const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
    const NEW_LISTENER: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match install(filter, NEW_LISTENER | WAIT_KILLABLE) {
        Err(e) if e.errno == Errno::INVAL => install(filter, NEW_LISTENER),
        other => other,
    }
}

/// Installs the filter on this thread and all that it starts. The thread must have `no_new_privs`.
pub fn install_alone(filter: &[Instruction]) -> Result<(), SysError> {
    load(filter, 0).map(drop)
}

fn install(filter: &[Instruction], flags: libc::c_ulong) -> Result<OwnedFd, SysError> {
    let fd = load(filter, flags)?;
    // SAFETY: with NEW_LISTENER the result is a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn load(filter: &[Instruction], flags: libc::c_ulong) -> Result<RawFd, SysError> {
    let length = u16::try_from(filter.len()).map_err(|_| {
        SysError::new("seccomp", format_args!("{} instructions", filter.len()), Errno::TOOBIG)
    })?;
    let program = Program { length, instructions: filter.as_ptr() };
    // SAFETY: the program is live, has the layout of sock_fprog, and its length is that of the slice.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if result < 0 {
        return Err(SysError::last("seccomp", format_args!("a filter of {length} instructions")));
    }
    Ok(result as RawFd)
}

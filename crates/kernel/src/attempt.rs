//! System calls that a sandbox must refuse, made only to see that it does.
//!
//! Each is chosen so that little comes of it where it is not refused: arguments are all ones and so no address, no open
//! descriptor and no known flag, or what changes is the caller, a process that is made for this and ends.

use crate::SysError;
use rustix::io::Errno;

/// Calls that cannot be made with nonsense: those that come back twice on one stack, or read what they return to from it.
const RETURN_ELSEWHERE: &[i64] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_clone,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The bits that ask `clone` and `unshare` for a new namespace; `CLONE_NEWTIME` only exists for the latter.
const NAMESPACES: libc::c_long = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | 0x80) as libc::c_long;

fn outcome(result: libc::c_long) -> Result<(), Errno> {
    if result < 0 { Err(SysError::last("", "").errno) } else { Ok(()) }
}

/// Makes a system call whose arguments are all ones.
///
/// `ENOTSUP`, without a call, for the few that would not come back here.
pub fn nonsense(number: i64) -> Result<(), Errno> {
    if RETURN_ELSEWHERE.contains(&number) {
        return Err(Errno::NOTSUP);
    }
    let one = -1 as libc::c_long;
    // SAFETY: all ones is no address of this process, so the kernel neither reads nor writes its memory for the call;
    // those that change the flow of control were sorted out above.
    outcome(unsafe { libc::syscall(number as libc::c_long, one, one, one, one, one, one) })
}

/// Moves this process into new namespaces (`CLONE_NEW*`; other bits are ignored).
pub fn unshare(namespaces: i32) -> Result<(), Errno> {
    let flags = libc::c_long::from(namespaces) & NAMESPACES;
    // SAFETY: namespaces change what names mean to the kernel, not this process's memory.
    outcome(unsafe { libc::syscall(libc::SYS_unshare, flags) })
}

/// Makes a child in new namespaces (`CLONE_NEW*`; other bits are ignored), which ends at once.
pub fn clone(namespaces: i32) -> Result<(), Errno> {
    let flags = (libc::c_long::from(namespaces) & NAMESPACES & !0xff) | libc::c_long::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child runs on its own copy of this stack, and does nothing but end.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        0 => crate::process::exit_now(0),
        result => outcome(result),
    }
}

/// Begins to trace a process without stopping it; the tracing ends with the caller.
pub fn trace(pid: i32) -> Result<(), Errno> {
    const SEIZE: libc::c_long = 0x4206;
    // SAFETY: the call takes numbers only, and reads or writes nothing of either process.
    outcome(unsafe { libc::syscall(libc::SYS_ptrace, SEIZE, libc::c_long::from(pid), 0, 0) })
}

/// An `ioctl` on a descriptor that is not open.
pub fn ioctl(request: u32) -> Result<(), Errno> {
    // SAFETY: there is no such descriptor, so no driver reads the argument, which is no address either.
    outcome(unsafe { libc::syscall(libc::SYS_ioctl, -1 as libc::c_long, request as libc::c_ulong, 0) })
}

/// Asks for another execution domain (`personality(2)`).
pub fn personality(domain: u32) -> Result<(), Errno> {
    // SAFETY: the flags that matter to memory take effect at the next `execve`, and the call takes a number.
    outcome(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) })
}

/// Asks for the process id by the entry that 32-bit programs use. A kernel without that entry ends the process with
/// SIGSEGV.
#[cfg(target_arch = "x86_64")]
pub fn by_i386_entry() -> Result<(), Errno> {
    const GETPID: i64 = 20;
    let mut result = GETPID;
    // SAFETY: the call takes no argument and touches no memory; the registers that this entry may change are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack)
        );
    }
    match -(result as i32) {
        errno @ 1..4096 => Err(Errno::from_raw_os_error(errno)),
        _ => Ok(()),
    }
}

/// `pread` of one byte of another process's memory (`process_vm_readv`), from an address that a fork of this one has,
/// too.
pub fn read_byte_of(pid: u32) -> Result<(), Errno> {
    static KNOWN: u8 = 7;
    crate::notify::read_memory(pid, (&raw const KNOWN).addr() as u64, &mut [0])
        .map(drop)
        .map_err(|error| error.errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_reaches_the_kernel_and_does_nothing() {
        for (number, answer) in [
            (libc::SYS_close, Err(Errno::BADF)),
            (libc::SYS_setns, Err(Errno::BADF)),
            (libc::SYS_getpid, Ok(())),
            (libc::SYS_rt_sigreturn, Err(Errno::NOTSUP)),
        ] {
            assert_eq!(nonsense(number), answer, "call {number}");
        }
    }

    #[test]
    fn what_is_not_refused_happens() {
        assert_eq!(ioctl(0x5412), Err(Errno::BADF));
        assert_eq!(personality(u32::MAX), Ok(()));
        assert_eq!(read_byte_of(std::process::id()), Ok(()));
    }
}

//! Signals for a process that waits in one place and for one that is about to `exec`.

use crate::SysError;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks every signal and gives a descriptor that is readable when a child has changed state.
pub fn block_all_and_watch_children() -> Result<OwnedFd, SysError> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to a live sigset_t, which the call fills.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    set_mask(&all)?;
    let mut child = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: as above.
    unsafe { libc::sigemptyset(child.as_mut_ptr()) };
    // SAFETY: the set was initialised by the call before.
    unsafe { libc::sigaddset(child.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: -1 asks for a new descriptor; the set is initialised and only read.
    let fd = unsafe { libc::signalfd(-1, child.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(SysError::last("signalfd", "SIGCHLD"));
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Default dispositions for all signals and an empty mask, as a fresh program expects.
pub fn reset() -> Result<(), SysError> {
    for number in 1..=64 {
        if number != libc::SIGKILL && number != libc::SIGSTOP {
            // SAFETY: SIG_DFL is a disposition and no code; a number that is no signal is refused without effect.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to a live sigset_t, which the call fills.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    set_mask(&none)
}

fn set_mask(set: &MaybeUninit<libc::sigset_t>) -> Result<(), SysError> {
    // SAFETY: callers pass a set that sigfillset or sigemptyset has filled; the old mask is not asked for.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(SysError::last("sigprocmask", "SIG_SETMASK")) }
}

/// Sends signal `number` to one process, to a group (`-pgid`), or to all that the caller may signal (`-1`).
pub fn kill(whom: i32, number: i32) -> Result<(), SysError> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::kill(whom, number) };
    if result == 0 { Ok(()) } else { Err(SysError::last("kill", format_args!("{whom} with {number}"))) }
}

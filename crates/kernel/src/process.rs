//! Birth, change and end of processes, where the standard library's ways assume threads or the wrong namespaces.

use crate::{Named, SysError};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Both sides of a clone.
#[derive(Debug)]
pub enum Cloned {
    /// This is the new process.
    Child,
    /// This is the old one: the child's id in the caller's pid namespace, and its pidfd.
    Parent(u32, OwnedFd),
}

/// The namespaces of a sandbox: user, pid, mount, network, ipc, host name, cgroup.
pub const SANDBOX: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `clone3` with the given namespace flags and, if given, straight into a cgroup. The child gets a copy of the
/// memory, as with `fork`, but no `atfork` handler runs: the caller must have no second thread.
pub fn clone(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, SysError> {
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a live clone_args of the size given, its pidfd field points at a live RawFd, and without
    // CLONE_VM the child runs on its own copy of this stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(Cloned::Child),
        1.. => {
            // SAFETY: the kernel stored a new descriptor there, which nothing else owns.
            let fd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent(pid.unsigned_abs() as u32, fd))
        }
        _ => Err(SysError::last("clone3", format_args!("namespaces {namespaces:#x}"))),
    }
}

/// `fork`: `None` in the child, its process id in the parent. The caller must have no second thread.
pub fn fork() -> Result<Option<u32>, SysError> {
    // SAFETY: with one thread the child may do everything that the parent may.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid @ 1.. => Ok(Some(pid.unsigned_abs())),
        _ => Err(SysError::last("fork", "")),
    }
}

/// Ends this process at once: nothing is flushed and no destructor runs, which in a forked child belong to the parent.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` takes any status and has no other effect on memory.
    unsafe { libc::_exit(status) }
}

/// Runs `path` in place of this process; returns only with the reason why not.
pub fn exec(path: &CStr, argv: &[CString], env: &[CString]) -> SysError {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: all three are NUL-terminated, both lists end with a null pointer, and all live across the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    SysError::last("execve", path.to_string_lossy())
}

/// Closes every descriptor above the standard three, except `keep`.
///
/// For a fresh child only: the owners of the closed descriptors must never run their destructors there.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), SysError> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|&fd| u32::try_from(fd).ok()).filter(|&fd| fd > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), SysError> {
    // SAFETY: the call takes numbers only; the callers' contracts say who owned what is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(SysError::last("close_range", format_args!("{first}.."))) }
}

/// Takes a descriptor out of Rust's ownership rules by copying it to a fixed number (`dup2`).
pub fn dup_to(fd: BorrowedFd<'_>, number: RawFd) -> Result<(), SysError> {
    // SAFETY: `fd` is open; what `number` was before belongs to nobody, as only fresh children call this.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if result < 0 { Err(SysError::last("dup2", number)) } else { Ok(()) }
}

/// Asks for SIGKILL when the thread that made this process ends.
pub fn die_with_parent() -> Result<(), SysError> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .named("prctl", "PR_SET_PDEATHSIG")
}

/// Takes that wish back: this process sees by itself that the one that made it has ended.
pub fn outlive_parent() -> Result<(), SysError> {
    rustix::process::set_parent_process_death_signal(None).named("prctl", "PR_SET_PDEATHSIG")
}

/// Becomes the parent of every process below whose own parent has ended (`PR_SET_CHILD_SUBREAPER`).
pub fn adopt_orphans() -> Result<(), SysError> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(SysError::last("prctl", "PR_SET_CHILD_SUBREAPER")) }
}

/// Writes the maps of a new user namespace from inside: the caller's own ids stay what they are, all others are
/// nobody.
pub fn map_self(uid: u32, gid: u32) -> Result<(), SysError> {
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        std::fs::write(file, text).named("write", file)?;
    }
    Ok(())
}

/// Gives up every capability for good, also those that uid 0 would gain by `exec`, and privileges of files.
pub fn drop_privileges() -> Result<(), SysError> {
    use rustix::thread::{CapabilitiesSecureBits as Bits, CapabilitySet, CapabilitySets};
    rustix::thread::set_no_new_privs(true).named("prctl", "PR_SET_NO_NEW_PRIVS")?;
    let bits = Bits::NO_ROOT
        | Bits::NO_ROOT_LOCKED
        | Bits::NO_SETUID_FIXUP
        | Bits::NO_SETUID_FIXUP_LOCKED
        | Bits::KEEP_CAPS_LOCKED
        | Bits::NO_CAP_AMBIENT_RAISE
        | Bits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits).named("prctl", "PR_SET_SECUREBITS")?;
    drop_bounding_set()?;
    rustix::thread::clear_ambient_capability_set().named("prctl", "PR_CAP_AMBIENT_CLEAR_ALL")?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).named("capset", "nothing")
}

/// The same for a process outside any sandbox: what only `CAP_SETPCAP` may give up (the bounding set, the secure bits)
/// is given up where the caller has it. Who has it not gains nothing by them, as nothing is gained by `exec` any more.
pub fn renounce() -> Result<(), SysError> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let effective = rustix::thread::capabilities(None).named("capget", "own")?.effective;
    if effective.contains(CapabilitySet::SETPCAP) {
        return drop_privileges();
    }
    rustix::thread::set_no_new_privs(true).named("prctl", "PR_SET_NO_NEW_PRIVS")?;
    rustix::thread::clear_ambient_capability_set().named("prctl", "PR_CAP_AMBIENT_CLEAR_ALL")?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).named("capset", "nothing")
}

/// Gives the calling thread a name that `/proc` and `ps` show.
pub fn name(name: &CStr) -> Result<(), SysError> {
    rustix::thread::set_name(name).named("prctl", "PR_SET_NAME")
}

fn drop_bounding_set() -> Result<(), SysError> {
    for number in 0..64 {
        // SAFETY: the call takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        if result < 0 {
            let error = SysError::last("prctl", format_args!("PR_CAPBSET_DROP {number}"));
            // The first number that the kernel does not know ends the list.
            return if error.errno == Errno::INVAL && number > 0 { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Hides this process's memory and `/proc` files from others of the same uid, and forbids its core dumps.
pub fn forbid_inspection() -> Result<(), SysError> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).named("prctl", "PR_SET_DUMPABLE")
}

/// Overwrites the command line that this process copied from its parent, which `/proc` shows to everyone inside.
pub fn forget_arguments() {
    const ARG_START: usize = 47; // fields 48 and 49 of proc(5), counted from 1
    const NAME: &[u8] = b"creel-init";
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    // The first two fields stand before the bracket.
    let field = |number: usize| fields.get(number - 2).and_then(|field| field.parse::<usize>().ok());
    let (Some(start), Some(end)) = (field(ARG_START), field(ARG_START + 1)) else { return };
    if start == 0 || end <= start {
        return;
    }
    let area = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel put the arguments there, on this process's own stack, which is writable; one thread runs, and
    // no reference to them is held.
    unsafe { area.write_bytes(0, end - start) };
    let name = NAME.len().min(end - start - 1);
    // SAFETY: the same area, and no longer than it.
    unsafe { area.copy_from_nonoverlapping(NAME.as_ptr(), name) };
}

/// Overwrites the environment that this process copied from its parent, but the variables `keep`: users keep keys there,
/// and `/proc` shows it.
///
/// For a fresh child with one thread, which does not ask for the rest of its environment again.
pub fn forget_environment(keep: &[&str]) {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: no other thread exists that could change it.
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the list ends with a null pointer, which ends this loop.
        let text = unsafe { *entry };
        if text.is_null() {
            break;
        }
        // SAFETY: every entry is a NUL-terminated text, and nothing changes it while this looks at it.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        let (length, kept) = (bytes.len(), keep.iter().any(|name| is_of(bytes, name)));
        if !kept {
            // SAFETY: the text is writable (the stack or the heap), of this length, and nobody holds a reference to it.
            unsafe { text.write_bytes(0, length) };
        }
        // SAFETY: the entry was not the last one.
        entry = unsafe { entry.add(1) };
    }
}

/// Whether an entry of an environment is the variable of this name.
fn is_of(entry: &[u8], name: &str) -> bool {
    entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

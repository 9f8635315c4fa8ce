//! Which system calls the exit has, as data.
//!
//! Lists are by purpose; within one the order says nothing. What stands in no list is refused (`EPERM`), but `clone3`,
//! which does not exist (`ENOSYS`) so that every libc falls back to `clone`, whose flags a filter can read. That the
//! list is long enough is shown by everything that the end-to-end tests do through it.

use crate::filter::{self, ARCH, NAMESPACES, NUMBER, argument, one_of, refuse};
use crate::syscalls::AUDIT;
use creel_kernel::bpf::{Assembler, Instruction, NotAProgram};
use creel_kernel::seccomp::verdict;

#[rustfmt::skip]
const ALLOWED: &[&[i64]] = &[
    // What is open: connections, pipes between them, and the record, which is only ever appended to. There is no call
    // that writes at a place of one's choosing, shortens a file or takes its append flag away.
    &[
        libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_close, libc::SYS_fstat,
        libc::SYS_lseek, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_splice, libc::SYS_pipe2,
    ],
    // Waiting.
    &[
        libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2, libc::SYS_ppoll, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_futex,
        libc::SYS_sched_yield, libc::SYS_restart_syscall,
    ],
    // Files by name; Landlock judges what may be opened.
    &[
        libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_readlinkat, libc::SYS_getdents64,
        libc::SYS_getcwd, libc::SYS_faccessat, libc::SYS_faccessat2,
    ],
    // Sockets that are there already. None can be made to listen.
    &[
        libc::SYS_connect, libc::SYS_bind, libc::SYS_accept4, libc::SYS_getsockname, libc::SYS_getpeername,
        libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg,
        libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_shutdown,
    ],
    // Memory, none of which becomes code.
    &[
        libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier,
    ],
    // Threads, and their end.
    &[
        libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address, libc::SYS_sched_getaffinity,
        libc::SYS_sigaltstack, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
        libc::SYS_exit, libc::SYS_exit_group,
    ],
    // Who and when one is, and chance.
    &[
        libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
        libc::SYS_getegid, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
        libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getrandom,
    ],
    #[cfg(target_arch = "x86_64")]
    &[
        libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_access, libc::SYS_poll,
        libc::SYS_epoll_wait, libc::SYS_time,
    ],
];

/// What is asked of the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// `clone`: a thread, in no new namespace.
    Thread,
    /// `mmap`, `mprotect`: nothing executable (argument 2).
    NoCode,
    /// `socket`: TCP and UDP only. A Unix socket could reach every service of the operator's.
    Internet,
    /// `socketpair`: connected for good, which datagram sockets are not.
    Pair,
    /// `ioctl`: whether a socket waits, and how much is there to be read.
    Ioctl,
    /// `fcntl`: copies, close-on-exec and the size of pipes; the append flag stays.
    Descriptor,
    /// `prctl`: names of threads and of memory.
    Naming,
    /// `tgkill`: a thread of this process, as `abort` does.
    Own,
    /// `prlimit64`: of this process (0); a limit that was lowered stays.
    OwnLimits,
}

const CHECKED: &[(i64, Check)] = &[
    (libc::SYS_clone, Check::Thread),
    (libc::SYS_mmap, Check::NoCode),
    (libc::SYS_mprotect, Check::NoCode),
    (libc::SYS_socket, Check::Internet),
    (libc::SYS_socketpair, Check::Pair),
    (libc::SYS_ioctl, Check::Ioctl),
    (libc::SYS_fcntl, Check::Descriptor),
    (libc::SYS_prctl, Check::Naming),
    (libc::SYS_tgkill, Check::Own),
    (libc::SYS_prlimit64, Check::OwnLimits),
];

const IOCTLS: [u32; 2] = [libc::FIONBIO as u32, libc::FIONREAD as u32];

const DESCRIPTOR: [u32; 6] = [
    libc::F_DUPFD_CLOEXEC as u32,
    libc::F_GETFD as u32,
    libc::F_SETFD as u32,
    libc::F_GETFL as u32,
    libc::F_SETPIPE_SZ as u32,
    libc::F_GETPIPE_SZ as u32,
];

const NAMING: [u32; 3] = [libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32, libc::PR_SET_VMA as u32];

const EPERM: u32 = refuse(libc::EPERM);
const ENOSYS: u32 = refuse(libc::ENOSYS);

/// The filter for the process with this id.
pub(super) fn program(own: u32) -> Result<Vec<Instruction>, NotAProgram> {
    let mut a = Assembler::default();
    let (native, allow, absent) = (a.label(), a.label(), a.label());
    a.load(ARCH);
    a.if_equal(AUDIT, native);
    a.give(verdict::KILL);
    a.place(native);
    a.load(NUMBER);
    let checks: Vec<_> = CHECKED.iter().map(|&(number, check)| (number, check, a.label())).collect();
    for (number, _, label) in &checks {
        a.if_equal(*number as u32, *label);
    }
    for number in ALLOWED.iter().copied().flatten() {
        a.if_equal(*number as u32, allow);
    }
    a.if_equal(libc::SYS_clone3 as u32, absent);
    a.give(EPERM);
    a.place(absent);
    a.give(ENOSYS);
    for (_, check, label) in checks {
        a.place(label);
        compile(&mut a, check, own);
    }
    a.place(allow);
    a.give(verdict::ALLOW);
    a.finish()
}

fn compile(a: &mut Assembler, check: Check, own: u32) {
    match check {
        Check::Thread => thread(a),
        Check::NoCode => none_of_bits(a, 2, libc::PROT_EXEC as u32),
        Check::Internet => internet(a),
        Check::Pair => {
            const TYPE: u32 = 0xf;
            let good = a.label();
            a.load(argument(1));
            a.and(TYPE);
            a.if_equal(libc::SOCK_STREAM as u32, good);
            a.give(EPERM);
            a.place(good);
            one_of(a, 0, &[libc::AF_UNIX as u32], EPERM);
        }
        Check::Ioctl => one_of(a, 1, &IOCTLS, EPERM),
        Check::Descriptor => one_of(a, 1, &DESCRIPTOR, EPERM),
        Check::Naming => one_of(a, 0, &NAMING, EPERM),
        Check::Own => one_of(a, 0, &[own], EPERM),
        Check::OwnLimits => one_of(a, 0, &[0], EPERM),
    }
}

fn none_of_bits(a: &mut Assembler, index: u32, bits: u32) {
    let bad = a.label();
    a.load(argument(index));
    a.if_any_bit(bits, bad);
    a.give(verdict::ALLOW);
    a.place(bad);
    a.give(EPERM);
}

fn thread(a: &mut Assembler) {
    let thread = a.label();
    a.load(argument(0));
    a.if_any_bit(libc::CLONE_THREAD as u32, thread);
    a.give(EPERM);
    a.place(thread);
    none_of_bits(a, 0, NAMESPACES);
}

fn internet(a: &mut Assembler) {
    let good = a.label();
    a.load(argument(0));
    a.if_equal(libc::AF_INET as u32, good);
    a.if_equal(libc::AF_INET6 as u32, good);
    a.give(refuse(libc::EAFNOSUPPORT));
    a.place(good);
    filter::compile_internet(a);
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_kernel::bpf::interpret;

    const OWN: u32 = 4711;

    fn judge(number: i64, args: [u64; 3]) -> u32 {
        let mut data = (number as u32).to_ne_bytes().to_vec();
        data.extend_from_slice(&AUDIT.to_ne_bytes());
        data.extend_from_slice(&[0; 8]);
        args.iter().for_each(|arg| data.extend_from_slice(&arg.to_ne_bytes()));
        data.resize(64, 0);
        interpret(&program(OWN).unwrap(), &data).expect("the program ends")
    }

    fn check(cases: &[(i64, [u64; 3], u32)]) {
        for &(number, args, expected) in cases {
            let got = judge(number, args);
            assert_eq!(got, expected, "call {number} {args:x?}: {got:#x}, not {expected:#x}");
        }
    }

    #[test]
    fn no_call_is_in_two_lists() {
        let mut all: Vec<i64> = ALLOWED.iter().copied().flatten().copied().collect();
        all.extend(CHECKED.iter().map(|(number, _)| number));
        let many = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), many);
    }

    #[test]
    fn what_is_refused_inside_is_refused_here() {
        for number in crate::syscalls::refused(false) {
            assert_eq!(judge(number, [0; 3]), EPERM, "{number}");
        }
    }

    #[test]
    fn nothing_is_executed_or_made_that_outlives_it_or_undone_in_the_record() {
        for number in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_send_signal,
            libc::SYS_unshare,
            libc::SYS_listen,
            libc::SYS_ftruncate,
            libc::SYS_truncate,
            libc::SYS_fallocate,
            libc::SYS_pwrite64,
            libc::SYS_pwritev2,
            libc::SYS_copy_file_range,
            libc::SYS_unlinkat,
            libc::SYS_renameat2,
            libc::SYS_memfd_create,
            libc::SYS_seccomp,
            libc::SYS_dup3,
        ] {
            assert_eq!(judge(number, [0; 3]), EPERM, "{number}");
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let threads = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
        let (code, data) = (libc::PROT_EXEC as u64, (libc::PROT_READ | libc::PROT_WRITE) as u64);
        let unix = libc::AF_UNIX as u64;
        check(&[
            (libc::SYS_clone, [threads, 0, 0], verdict::ALLOW),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], EPERM),
            (libc::SYS_clone, [threads | libc::CLONE_NEWUSER as u64, 0, 0], EPERM),
            (libc::SYS_clone3, [0; 3], ENOSYS),
            (libc::SYS_mmap, [0, 4096, data], verdict::ALLOW),
            (libc::SYS_mmap, [0, 4096, code], EPERM),
            (libc::SYS_mprotect, [0, 4096, data | code], EPERM),
            (libc::SYS_socket, [libc::AF_INET as u64, libc::SOCK_STREAM as u64, 0], verdict::ALLOW),
            (libc::SYS_socket, [libc::AF_INET6 as u64, libc::SOCK_DGRAM as u64, 0], verdict::ALLOW),
            (libc::SYS_socket, [libc::AF_INET as u64, libc::SOCK_RAW as u64, 0], EPERM),
            (libc::SYS_socket, [unix, libc::SOCK_STREAM as u64, 0], refuse(libc::EAFNOSUPPORT)),
            (libc::SYS_socketpair, [unix, libc::SOCK_STREAM as u64, 0], verdict::ALLOW),
            (libc::SYS_socketpair, [unix, libc::SOCK_DGRAM as u64, 0], EPERM),
            (libc::SYS_fcntl, [3, libc::F_SETFL as u64, 0], EPERM),
            (libc::SYS_fcntl, [3, libc::F_GETFL as u64, 0], verdict::ALLOW),
            (libc::SYS_ioctl, [0, libc::TIOCSTI, 0], EPERM),
            (libc::SYS_ioctl, [0, libc::FIONBIO, 0], verdict::ALLOW),
            (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0], EPERM),
            (libc::SYS_tgkill, [OWN.into(), 1, 6], verdict::ALLOW),
            (libc::SYS_tgkill, [1, 1, 6], EPERM),
            (libc::SYS_prlimit64, [1, 0, 0], EPERM),
        ]);
    }
}

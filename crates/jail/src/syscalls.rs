//! Which system calls a sandbox has, as data.
//!
//! A call that stands in no list does not exist inside (`ENOSYS`): programs try something older. A call that is
//! refused by name gets `EPERM`, so that programs do not try something older that does the same. Lists are by purpose;
//! within one the order says nothing. Calls that exist on some architectures only have lists of their own.

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It happens.
    Allow,
    /// It fails with this error number.
    Errno(i32),
    /// The warden is asked.
    Notify,
    /// It depends on the arguments.
    Check(Check),
}

/// What is asked of the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// `clone`, `unshare`: no new namespace among the flags (argument 0).
    NoNamespaces,
    /// The same where sandboxes may be nested: no new control group namespace, whose owner could take the limits away.
    NestedNamespaces,
    /// `socket`: the families, types and protocols that the proxy sees, and Unix and routing sockets.
    Socket,
    /// `socketpair`: Unix only.
    UnixOnly,
    /// `ioctl`: no typing into terminals, no console, no line disciplines.
    Ioctl,
    /// `personality`: only the harmless ones.
    Personality,
    /// Confined: what makes files makes none that runs as its owner or group (set-id bits). Which argument holds the
    /// flags that say whether a file is made, if any does, and which the mode.
    Making(Option<u32>, u32),
    /// Confined: this argument is 0, the caller itself.
    OneselfIn(u32),
    /// Confined: the flags in this argument do not ask to connect while sending.
    NoFastOpen(u32),
    /// Confined: `setsockopt`: nothing that leads packets another way than to where a socket is connected.
    NoDetour,
    /// Confined: `socket`: TCP, Unix streams, and routing.
    StreamSocket,
    /// Confined: `socketpair`: Unix streams.
    StreamPair,
    /// Confined: [`Check::Ioctl`], and no attributes of files.
    ConfinedIoctl,
}

/// The warden is asked: who connects, what is executed, and with what it begins. Every C library makes the last call
/// before any code runs that its loader was told to bring in, and threads and forks do without it (but musl's forks).
const ASKED: &[i64] = &[libc::SYS_connect, libc::SYS_execve, libc::SYS_execveat, libc::SYS_set_tid_address];

const CHECKED: &[(i64, Check)] = &[
    (libc::SYS_clone, Check::NoNamespaces),
    (libc::SYS_unshare, Check::NoNamespaces),
    (libc::SYS_socket, Check::Socket),
    (libc::SYS_socketpair, Check::UnixOnly),
    (libc::SYS_ioctl, Check::Ioctl),
    (libc::SYS_personality, Check::Personality),
];

/// Confined only: where there are no namespaces, these are the warden's to do, in the caller's place.
const DONE_FOR: &[i64] =
    &[libc::SYS_listen, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_utimensat];

/// Confined only: owners and attributes of files, which Landlock does not look after, and what is shared with the
/// whole machine where there is no namespace of the sandbox's own.
#[rustfmt::skip]
const REFUSED_CONFINED: &[i64] = &[
    libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmdt, libc::SYS_shmctl,
    libc::SYS_semget, libc::SYS_semop, libc::SYS_semtimedop, libc::SYS_semctl, libc::SYS_msgget, libc::SYS_msgsnd,
    libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive, libc::SYS_mq_notify, libc::SYS_mq_getsetattr,
];

/// Confined only: as on a file system without extended attributes.
const NO_ATTRIBUTES: &[i64] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

const CHECKED_CONFINED: &[(i64, Check)] = &[
    (libc::SYS_openat, Check::Making(Some(2), 3)),
    (libc::SYS_mkdirat, Check::Making(None, 2)),
    (libc::SYS_mknodat, Check::Making(None, 2)),
    (libc::SYS_prlimit64, Check::OneselfIn(0)),
    (libc::SYS_sched_setaffinity, Check::OneselfIn(0)),
    (libc::SYS_sched_setparam, Check::OneselfIn(0)),
    (libc::SYS_sched_setscheduler, Check::OneselfIn(0)),
    (libc::SYS_sched_setattr, Check::OneselfIn(0)),
    (libc::SYS_setpriority, Check::OneselfIn(1)),
    (libc::SYS_ioprio_set, Check::OneselfIn(1)),
    (libc::SYS_sendto, Check::NoFastOpen(3)),
    (libc::SYS_sendmsg, Check::NoFastOpen(2)),
    (libc::SYS_sendmmsg, Check::NoFastOpen(3)),
    (libc::SYS_setsockopt, Check::NoDetour),
    (libc::SYS_socket, Check::StreamSocket),
    (libc::SYS_socketpair, Check::StreamPair),
    (libc::SYS_ioctl, Check::ConfinedIoctl),
];

/// Refused, with the reason. `clone3` is not here: its flags are in memory, which a filter cannot read, so it does not
/// exist and every libc falls back to `clone`.
const REFUSED: &[&[i64]] = &[
    // Reading and writing other processes.
    &[
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
    ],
    // Files by handle go around the file tree.
    &[libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at],
    // The kernel's key rings are not part of any namespace of ours.
    &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl],
    // Large and often broken parts of the kernel that no agent needs.
    &[
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_fanotify_init,
        libc::SYS_fanotify_mark,
        libc::SYS_vhangup,
    ],
    // Calls through a ring are seen by no filter.
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    // The machine.
    &[
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_reboot,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_syslog,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_nfsservctl,
        libc::SYS_lookup_dcookie,
        libc::SYS_move_pages,
        libc::SYS_migrate_pages,
    ],
];

/// Mounts, roots and namespaces: refused, because the file tree is the warden's. Where sandboxes may be nested they are
/// allowed: the kernel judges them by capabilities, which nobody has but in a user namespace of their own.
const NESTING: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Newer ways to mount: refused, and where sandboxes may be nested they do not exist, so that programs mount the older
/// way.
const NEWER_MOUNTS: &[i64] = &[
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
];

#[rustfmt::skip]
const ALLOWED: &[&[i64]] = &[
    // Files by descriptor.
    &[
        libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
        libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_lseek, libc::SYS_close,
        libc::SYS_close_range, libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fsync,
        libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range, libc::SYS_ftruncate,
        libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_readahead, libc::SYS_sendfile, libc::SYS_splice,
        libc::SYS_copy_file_range, libc::SYS_pipe2, libc::SYS_memfd_create,
        libc::SYS_eventfd2, libc::SYS_signalfd4, libc::SYS_timerfd_create, libc::SYS_timerfd_settime,
        libc::SYS_timerfd_gettime,
    ],
    // Files by name; the mount namespace and Landlock judge them.
    &[
        libc::SYS_openat, libc::SYS_openat2, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fstat,
        libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_getdents64,
        libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_unlinkat,
        libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_truncate,
        libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchown, libc::SYS_fchownat,
        libc::SYS_utimensat, libc::SYS_umask, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr,
        libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr, libc::SYS_listxattr, libc::SYS_llistxattr,
        libc::SYS_flistxattr, libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr,
        libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    ],
    // Memory.
    &[
        libc::SYS_brk, libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise,
        libc::SYS_msync, libc::SYS_mincore, libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_munlock, libc::SYS_mlockall,
        libc::SYS_munlockall, libc::SYS_mseal, libc::SYS_pkey_alloc, libc::SYS_pkey_free,
        libc::SYS_pkey_mprotect, libc::SYS_membarrier, libc::SYS_get_mempolicy, libc::SYS_set_mempolicy,
        libc::SYS_mbind,
    ],
    // Processes, threads and signals of the sandbox's own.
    &[
        libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_kill, libc::SYS_tkill,
        libc::SYS_tgkill, libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal,
        libc::SYS_set_robust_list, libc::SYS_futex, libc::SYS_futex_waitv,
        libc::SYS_rseq, libc::SYS_prctl,
        libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getpgid, libc::SYS_setpgid,
        libc::SYS_getsid, libc::SYS_setsid, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigpending, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigsuspend, libc::SYS_rt_sigtimedwait, libc::SYS_sigaltstack, libc::SYS_restart_syscall,
        libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity, libc::SYS_sched_getparam,
        libc::SYS_sched_setparam, libc::SYS_sched_getscheduler, libc::SYS_sched_setscheduler,
        libc::SYS_sched_getattr, libc::SYS_sched_setattr, libc::SYS_sched_get_priority_max,
        libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval, libc::SYS_getpriority,
        libc::SYS_setpriority, libc::SYS_ioprio_get, libc::SYS_ioprio_set, libc::SYS_getrlimit, libc::SYS_setrlimit,
        libc::SYS_prlimit64, libc::SYS_getrusage, libc::SYS_times, libc::SYS_getcpu, libc::SYS_capget,
        libc::SYS_capset,
    ],
    // Identity: there is one user and no capability, so nothing changes.
    &[
        libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getgroups,
        libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid,
        libc::SYS_setregid, libc::SYS_setresuid, libc::SYS_setresgid, libc::SYS_setfsuid, libc::SYS_setfsgid,
        libc::SYS_setgroups,
    ],
    // Further confinement of oneself.
    &[
        libc::SYS_seccomp, libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ],
    // Time.
    &[
        libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
        libc::SYS_gettimeofday, libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_timer_create,
        libc::SYS_timer_settime, libc::SYS_timer_gettime, libc::SYS_timer_getoverrun, libc::SYS_timer_delete,
    ],
    // Waiting.
    &[
        libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
    ],
    // Sockets, once made.
    &[
        libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_getsockname,
        libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_recvfrom,
        libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_shutdown,
    ],
    // System V and POSIX messages, in an ipc namespace of the sandbox's own.
    &[
        libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmdt, libc::SYS_shmctl, libc::SYS_semget, libc::SYS_semop,
        libc::SYS_semtimedop, libc::SYS_semctl, libc::SYS_msgget, libc::SYS_msgsnd, libc::SYS_msgrcv,
        libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive,
        libc::SYS_mq_notify, libc::SYS_mq_getsetattr,
    ],
    // Asynchronous input and output of the old kind.
    &[
        libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_io_getevents,
        libc::SYS_io_cancel, libc::SYS_io_destroy,
    ],
    // What the machine is, and chance.
    &[libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrandom],
];

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
mod arch {
    /// `AUDIT_ARCH_X86_64`.
    pub const AUDIT: u32 = 0xC000_003E;

    use super::{Action, Check};

    /// Older spellings of calls, and what only this architecture has.
    pub const ALLOWED: &[i64] = &[
        libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_pipe,
        libc::SYS_dup2, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_mknod, libc::SYS_link, libc::SYS_unlink,
        libc::SYS_symlink, libc::SYS_readlink, libc::SYS_rename, libc::SYS_renameat, libc::SYS_chmod,
        libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat,
        libc::SYS_getdents, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_create, libc::SYS_epoll_wait,
        libc::SYS_inotify_init, libc::SYS_fork, libc::SYS_vfork,
        libc::SYS_getpgrp, libc::SYS_alarm, libc::SYS_pause, libc::SYS_time, libc::SYS_arch_prctl,
    ];

    /// Older spellings of what is another matter where a sandbox is confined.
    pub const CONFINED: &[(i64, Action)] = &[
        (libc::SYS_chmod, Action::Notify),
        (libc::SYS_chown, Action::Errno(libc::EPERM)), (libc::SYS_lchown, Action::Errno(libc::EPERM)),
        (libc::SYS_open, Action::Check(Check::Making(Some(1), 2))),
        (libc::SYS_creat, Action::Check(Check::Making(None, 1))),
        (libc::SYS_mkdir, Action::Check(Check::Making(None, 1))),
        (libc::SYS_mknod, Action::Check(Check::Making(None, 1))),
        (libc::SYS_utime, Action::Errno(libc::ENOSYS)), (libc::SYS_utimes, Action::Errno(libc::ENOSYS)),
        (libc::SYS_futimesat, Action::Errno(libc::ENOSYS)),
    ];

    /// Descriptor tables and ports of the processor, kernel images, and calls that ended long ago.
    pub const REFUSED: &[i64] = &[
        libc::SYS_modify_ldt, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load, libc::SYS_uselib,
        libc::SYS_ustat, libc::SYS_sysfs, libc::SYS__sysctl,
    ];
}

#[cfg(target_arch = "aarch64")]
mod arch {
    /// `AUDIT_ARCH_AARCH64`.
    pub const AUDIT: u32 = 0xC000_00B7;
    pub const ALLOWED: &[i64] = &[libc::SYS_renameat];
    pub const CONFINED: &[(i64, super::Action)] = &[];
    pub const REFUSED: &[i64] = &[libc::SYS_kexec_file_load];
}

pub(crate) use arch::AUDIT;

/// Every call that is refused by name.
pub(crate) fn refused(nested: bool) -> impl Iterator<Item = i64> {
    let mounts = if nested { [&[][..], &[]] } else { [NESTING, NEWER_MOUNTS] };
    REFUSED.iter().copied().chain([arch::REFUSED]).chain(mounts).flatten().copied()
}

/// Every call that does not exist only because sandboxes may be nested.
pub(crate) fn absent_when_nested() -> &'static [i64] {
    NEWER_MOUNTS
}

/// Every call that is not `ENOSYS`, in order of its number.
pub(crate) fn table(nested: bool) -> Vec<(u32, Action)> {
    let more = if nested { NESTING } else { &[] };
    let allowed = ALLOWED.iter().copied().chain([arch::ALLOWED, more]).flatten();
    let by_nesting = |check| match check {
        Check::NoNamespaces if nested => Check::NestedNamespaces,
        other => other,
    };
    let mut table: Vec<(u32, Action)> = allowed
        .map(|&nr| (nr, Action::Allow))
        .chain(refused(nested).map(|nr| (nr, Action::Errno(libc::EPERM))))
        .chain(ASKED.iter().map(|&nr| (nr, Action::Notify)))
        .chain(CHECKED.iter().map(|&(nr, check)| (nr, Action::Check(by_nesting(check)))))
        .filter_map(|(nr, action)| Some((u32::try_from(nr).ok()?, action)))
        .collect();
    table.sort_by_key(|&(nr, _)| nr);
    table
}

/// The table of a sandbox that stands on the host's own file tree and network.
pub(crate) fn confined() -> Vec<(u32, Action)> {
    let other = DONE_FOR
        .iter()
        .map(|&nr| (nr, Action::Notify))
        .chain(refused_confined().map(|nr| (nr, Action::Errno(libc::EPERM))))
        .chain(NO_ATTRIBUTES.iter().map(|&nr| (nr, Action::Errno(libc::EOPNOTSUPP))))
        .chain(CHECKED_CONFINED.iter().map(|&(nr, check)| (nr, Action::Check(check))))
        // How it makes a file stands in memory, which a filter cannot read.
        .chain([(libc::SYS_openat2, Action::Errno(libc::ENOSYS))])
        .chain(arch::CONFINED.iter().copied());
    let other: Vec<(u32, Action)> =
        other.filter_map(|(nr, action)| Some((u32::try_from(nr).ok()?, action))).collect();
    let mut table = table(false);
    for (number, action) in &mut table {
        if let Some((_, instead)) = other.iter().find(|(nr, _)| nr == number) {
            *action = *instead;
        }
    }
    table
}

/// Every call that is refused only where a sandbox is confined.
pub(crate) fn refused_confined() -> impl Iterator<Item = i64> {
    REFUSED_CONFINED.iter().copied()
}

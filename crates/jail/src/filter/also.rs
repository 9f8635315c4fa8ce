//! Allowed calls that the ten agent programs were not seen to make, with who makes them. What stands neither here nor
//! in [`super::used`] is not allowed: a call that nobody needs is only a way to the kernel's errors.

/// Who makes the calls, and the calls.
#[rustfmt::skip]
pub(super) const ALSO: &[(&str, &[i64])] = &[
    ("every program's end, and what the vDSO does where there is none", &[
        libc::SYS_exit, libc::SYS_exit_group, libc::SYS_gettimeofday, libc::SYS_time, libc::SYS_clock_getres,
        libc::SYS_getcpu, libc::SYS_nanosleep,
    ]),
    ("musl (Alpine, static programs)", &[
        libc::SYS_pipe, libc::SYS_link, libc::SYS_mknod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_fork,
        libc::SYS_select, libc::SYS_pause, libc::SYS_accept, libc::SYS_readv, libc::SYS_faccessat, libc::SYS_tkill,
    ]),
    ("programs linked with a glibc older than 2.28 (CentOS 7)", &[
        libc::SYS_getdents, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_getrlimit,
        libc::SYS_setrlimit, libc::SYS_creat,
    ]),
    ("Python's os module, as packages and their tests call it", &[
        libc::SYS_dup3, libc::SYS_fchdir, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchown, libc::SYS_fchownat,
        libc::SYS_getgroups, libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_getsid, libc::SYS_linkat,
        libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_pwritev2,
        libc::SYS_readlinkat, libc::SYS_symlinkat, libc::SYS_sendfile, libc::SYS_splice, libc::SYS_sync,
        libc::SYS_truncate, libc::SYS_times, libc::SYS_execveat, libc::SYS_sched_get_priority_max,
        libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval, libc::SYS_sched_setaffinity,
        libc::SYS_sched_setparam, libc::SYS_pidfd_send_signal, libc::SYS_unshare, libc::SYS_setuid, libc::SYS_setgid,
        libc::SYS_setreuid, libc::SYS_setregid,
    ]),
    ("Python's signal, socket and mmap modules", &[
        libc::SYS_alarm, libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait,
        libc::SYS_listen, libc::SYS_accept4, libc::SYS_sendmsg, libc::SYS_msync, libc::SYS_ppoll,
    ]),
    ("cp -a, rsync, tar and git on extended attributes", &[
        libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_setxattr, libc::SYS_lsetxattr,
        libc::SYS_fsetxattr, libc::SYS_listxattr, libc::SYS_llistxattr, libc::SYS_flistxattr, libc::SYS_removexattr,
        libc::SYS_lremovexattr, libc::SYS_fremovexattr,
    ]),
    ("git, dpkg, PostgreSQL and RocksDB when they write through", &[
        libc::SYS_sync_file_range, libc::SYS_syncfs, libc::SYS_readahead,
    ]),
    ("libaio: MariaDB, QEMU's tools, fio", &[
        libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_io_getevents, libc::SYS_io_cancel, libc::SYS_io_destroy,
    ]),
    ("System V memory, semaphores and queues: PostgreSQL, Oracle's clients, fakeroot", &[
        libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmdt, libc::SYS_shmctl, libc::SYS_semget, libc::SYS_semop,
        libc::SYS_semtimedop, libc::SYS_semctl, libc::SYS_msgget, libc::SYS_msgsnd, libc::SYS_msgrcv,
        libc::SYS_msgctl,
    ]),
    ("POSIX message queues: Python's posix_ipc, Boost.Interprocess, the JDK's tests", &[
        libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive,
        libc::SYS_mq_notify, libc::SYS_mq_getsetattr,
    ]),
    ("POSIX timers: Go's profiler, the JVM's, QEMU", &[
        libc::SYS_timer_create, libc::SYS_timer_settime, libc::SYS_timer_gettime, libc::SYS_timer_getoverrun,
        libc::SYS_timer_delete, libc::SYS_timerfd_gettime,
    ]),
    ("signals with a value: sigqueue, pthread_sigqueue; gdb's and systemd's libraries read them by descriptor", &[
        libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_signalfd4,
    ]),
    ("keys kept out of swap, and code kept from change: GnuPG, OpenSSL, libsodium, V8, the JVM", &[
        libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_munlock, libc::SYS_mlockall, libc::SYS_munlockall,
        libc::SYS_mseal, libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect,
        libc::SYS_membarrier, libc::SYS_mincore,
    ]),
    ("util-linux: ionice, chrt, uclampset, setarch", &[
        libc::SYS_ioprio_get, libc::SYS_ioprio_set, libc::SYS_sched_getattr, libc::SYS_sched_setattr,
        libc::SYS_personality,
    ]),
    ("the sandboxes of agents and browsers: Codex, Chromium, bubblewrap", &[
        libc::SYS_seccomp, libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ]),
    ("file servers and databases that drop identities: Samba's libraries, sudo", &[
        libc::SYS_setfsuid, libc::SYS_setfsgid,
    ]),
    ("Wine and Proton (several waits at once); c-ares and systemd-resolve (several datagrams at once)", &[
        libc::SYS_futex_waitv, libc::SYS_recvmmsg,
    ]),
    ("GNU tar, crun and cap-std, which open beneath a directory", &[
        libc::SYS_openat2,
    ]),
    ("Python's watchdog and inotify packages, by ctypes", &[
        libc::SYS_inotify_init,
    ]),
];

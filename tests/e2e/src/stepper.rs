//! A command run step by step: every process that it makes is followed (`ptrace(2)`), the system calls of each role are
//! counted, and at one of them a fault strikes.
//!
//! A fault is a kill or a call that fails with an error that the kernel could have given. Nothing of the program under
//! test knows of it. A run is over when its last process is gone, so what is left running is found by the same means.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The role of the command itself.
pub const FIRST: &str = "first";
/// A fork of it, until it is known what it is for.
pub const FORK: &str = "fork";
/// The sandbox's exit.
pub const EXIT: &str = "exit";
/// The sandbox's init.
pub const INIT: &str = "init";
/// A child of init's before it has become a program: one that tries what must be impossible, or the command to be.
pub const CHILD: &str = "child";
/// What runs in the sandbox; it is followed and never struck.
const INSIDE: &str = "inside";

/// In `ptrace_syscall_info`.
const ENTRY: u8 = 1;
const LEAVE: u8 = 2;

/// Fail when there are no descriptors.
#[rustfmt::skip]
const MAKE_DESCRIPTORS: &[i64] = &[
    libc::SYS_open, libc::SYS_openat, libc::SYS_openat2, libc::SYS_socket, libc::SYS_socketpair, libc::SYS_pipe2,
    libc::SYS_accept4, libc::SYS_epoll_create1, libc::SYS_eventfd2, libc::SYS_memfd_create, libc::SYS_pidfd_open,
    libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsmount, libc::SYS_dup, libc::SYS_dup3,
];

/// Fail when the disk is full.
#[rustfmt::skip]
const FILL_THE_DISK: &[i64] = &[
    libc::SYS_write, libc::SYS_pwrite64, libc::SYS_writev, libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_rename,
    libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_link, libc::SYS_linkat, libc::SYS_symlink,
    libc::SYS_symlinkat, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate, libc::SYS_fallocate,
    libc::SYS_copy_file_range, libc::SYS_sendfile, libc::SYS_setxattr, libc::SYS_fsetxattr,
];

/// Always succeed, or nobody can do anything about it.
#[rustfmt::skip]
const ALWAYS_SUCCEED: &[i64] = &[
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack, libc::SYS_futex, libc::SYS_sched_yield, libc::SYS_set_tid_address,
    libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_arch_prctl, libc::SYS_getpid, libc::SYS_gettid,
    libc::SYS_getppid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_clock_gettime, libc::SYS_close, libc::SYS_restart_syscall, libc::SYS_kill, libc::SYS_tgkill,
    libc::SYS_tkill, libc::SYS_umask, libc::SYS_madvise, libc::SYS_sched_getaffinity, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_pidfd_send_signal,
];

/// Change nothing that outlives a process.
#[rustfmt::skip]
const CHANGE_NOTHING: &[i64] = &[
    libc::SYS_read, libc::SYS_pread64, libc::SYS_readv, libc::SYS_lseek, libc::SYS_fstat, libc::SYS_stat,
    libc::SYS_lstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_readlink,
    libc::SYS_readlinkat, libc::SYS_getdents64, libc::SYS_access, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_brk, libc::SYS_madvise,
    libc::SYS_close, libc::SYS_fcntl, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_sigaltstack,
    libc::SYS_futex, libc::SYS_getrandom, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getpid, libc::SYS_gettid, libc::SYS_getppid, libc::SYS_poll, libc::SYS_ppoll, libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait, libc::SYS_epoll_ctl, libc::SYS_sched_getaffinity, libc::SYS_clock_gettime,
    libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname, libc::SYS_uname, libc::SYS_getcwd,
    libc::SYS_ioctl, libc::SYS_sched_yield, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_eventfd2,
    libc::SYS_epoll_create1, libc::SYS_capget,
];

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The process is killed before the call.
    Kill,
    /// Every process of the run is killed before the call.
    KillAll,
    /// The call does nothing and fails with what is [`fitting`]; the next one that can fail, where this one cannot.
    Fail,
}

/// What happens when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// To whom.
    pub role: &'static str,
    /// At which of the role's system calls, counted from 0.
    pub step: usize,
    /// What.
    pub harm: Harm,
}

/// What became of a run.
#[derive(Debug, Default)]
pub struct Walked {
    /// The system calls of each role, in order.
    pub calls: BTreeMap<&'static str, Vec<i64>>,
    /// The call that the fault struck; none when the run had fewer.
    pub struck: Option<i64>,
    /// What its first argument stands for, where that is a descriptor.
    pub on: String,
    /// The exit code of the command; -1 when a signal ended it.
    pub code: i32,
    /// What was still there when patience ended, and was killed.
    pub left: Vec<String>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A run that goes on.
pub struct Walk {
    thread: JoinHandle<Walked>,
    armed: Arc<AtomicBool>,
}

impl Walk {
    /// Starts the command. With `armed` steps count from the beginning, else from [`Walk::arm`] on. What is still
    /// there after `patience` is noted and killed.
    pub fn start(command: Command, fault: Option<Fault>, armed: bool, patience: Duration) -> Self {
        let armed = Arc::new(AtomicBool::new(armed));
        let shared = Arc::clone(&armed);
        let thread = thread::spawn(move || walk(&command, fault, shared, patience));
        Self { thread, armed }
    }

    /// From now on steps count.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of its last process.
    pub fn finish(self) -> Walked {
        self.thread.join().expect("the tracer lives as long as its run")
    }
}

/// The error that a call could really fail with when something is used up; none for calls that always succeed, or whose
/// failure no C library looks at.
pub fn fitting(call: i64) -> Option<Errno> {
    match call {
        call if ALWAYS_SUCCEED.contains(&call) => None,
        call if MAKE_DESCRIPTORS.contains(&call) => Some(Errno::EMFILE),
        call if FILL_THE_DISK.contains(&call) => Some(Errno::ENOSPC),
        _ => Some(Errno::ENOMEM),
    }
}

/// The steps at which it makes a difference to be killed: beside calls that change something.
pub fn telling(calls: &[i64]) -> Vec<usize> {
    let changes = |step: usize| calls.get(step).is_some_and(|call| !CHANGE_NOTHING.contains(call));
    (0..calls.len()).filter(|&step| changes(step) || step > 0 && changes(step - 1)).collect()
}

/// One process or thread.
struct Task {
    role: &'static str,
    process: Pid,
    /// The error that its call returns with.
    pending: Option<Errno>,
    /// Whether it was seen to stop at its beginning.
    born: bool,
}

struct Walker {
    first: Pid,
    tasks: BTreeMap<Pid, Task>,
    fault: Option<Fault>,
    armed: Arc<AtomicBool>,
    /// What lives, for the one who ends what does not end by itself.
    living: Arc<Mutex<BTreeSet<(i32, &'static str)>>>,
    walked: Walked,
}

fn walk(command: &Command, fault: Option<Fault>, armed: Arc<AtomicBool>, patience: Duration) -> Walked {
    let out = tempfile::NamedTempFile::new().expect("a file for the output");
    let err = tempfile::NamedTempFile::new().expect("a file for the errors");
    let first = start_stopped(command, out.path(), err.path());
    let living = Arc::new(Mutex::new(BTreeSet::new()));
    let mut walker = Walker {
        first,
        tasks: BTreeMap::new(),
        fault,
        armed,
        living: Arc::clone(&living),
        walked: Walked::default(),
    };
    walker.welcome(first, "shell");
    let over = Arc::new(AtomicBool::new(false));
    let watchdog = {
        let over = Arc::clone(&over);
        thread::spawn(move || end_after(patience, &living, &over))
    };
    walker.follow();
    over.store(true, Ordering::SeqCst);
    watchdog.thread().unpark();
    let mut walked = walker.walked;
    walked.left = watchdog.join().expect("the watchdog ends");
    walked.stdout = fs::read_to_string(out.path()).unwrap_or_default();
    walked.stderr = fs::read_to_string(err.path()).unwrap_or_default();
    walked
}

/// A shell that stops itself before it becomes the command, so that the tracer misses nothing of that.
#[allow(clippy::zombie_processes)] // whoever follows it waits for it
fn start_stopped(command: &Command, out: &Path, err: &Path) -> Pid {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(key, value),
            None => shell.env_remove(key),
        };
    }
    let file = |path: &Path| File::create(path).expect("a file for the output");
    shell.stdin(Stdio::null()).stdout(file(out)).stderr(file(err));
    let child = shell.spawn().expect("a shell");
    let pid = Pid::from_raw(child.id().cast_signed());
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("the shell stops itself");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("one's own child can be traced");
    kill(pid, Signal::SIGCONT).expect("the shell goes on");
    pid
}

/// Ends what still lives after `patience`, and tells what it was.
fn end_after(
    patience: Duration,
    living: &Mutex<BTreeSet<(i32, &'static str)>>,
    over: &AtomicBool,
) -> Vec<String> {
    let start = Instant::now();
    let mut left = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let Some(rest) = patience.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) else {
            for &(pid, role) in living.lock().expect("the tracer did not panic").iter() {
                let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
                left.push(format!("{role} {pid} in system call {}", read("syscall").trim()));
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        thread::park_timeout(rest);
    }
    left
}

impl Walker {
    fn follow(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => self.heed(status),
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return,
                Err(error) => panic!("cannot wait for what is traced: {error}"),
            }
        }
    }

    fn heed(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, code) => self.mourn(pid, code),
            WaitStatus::Signaled(pid, ..) => self.mourn(pid, -1),
            WaitStatus::PtraceSyscall(pid) => {
                self.at_call(pid);
                self.resume(pid, None);
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                if event == libc::PTRACE_EVENT_EXEC {
                    self.became(pid);
                }
                self.meet(pid);
                self.resume(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => {
                self.meet(pid);
                self.resume(pid, Some(signal));
            }
            _ => {}
        }
    }

    fn mourn(&mut self, pid: Pid, code: i32) {
        if pid == self.first {
            self.walked.code = code;
        }
        if let Some(task) = self.tasks.remove(&pid) {
            self.living.lock().expect("nobody panicked").remove(&(pid.as_raw(), task.role));
        }
    }

    /// Learns who a new process is, the first time that it stops.
    fn meet(&mut self, pid: Pid) {
        if self.tasks.get(&pid).is_some_and(|task| task.born) {
            return;
        }
        let role = self.role(pid);
        self.welcome(pid, role);
    }

    fn welcome(&mut self, pid: Pid, role: &'static str) {
        let process = Pid::from_raw(field(pid, "Tgid:").last().copied().unwrap_or(pid.as_raw()));
        if let Some(old) = self.tasks.insert(pid, Task { role, process, pending: None, born: true }) {
            self.living.lock().expect("nobody panicked").remove(&(pid.as_raw(), old.role));
        }
        self.living.lock().expect("nobody panicked").insert((pid.as_raw(), role));
    }

    fn role(&self, pid: Pid) -> &'static str {
        let process = field(pid, "Tgid:").last().copied().unwrap_or_default();
        if process != pid.as_raw() {
            return self.tasks.get(&Pid::from_raw(process)).map_or(FORK, |leader| leader.role);
        }
        match field(pid, "NSpid:")[..] {
            [_, .., 1] => INIT,
            [_, .., _] => {
                match field(pid, "PPid:").last().and_then(|&parent| self.tasks.get(&Pid::from_raw(parent))) {
                    Some(Task { role: INIT, .. }) => CHILD,
                    _ => INSIDE,
                }
            }
            _ => FORK,
        }
    }

    /// A process runs another program.
    fn became(&mut self, pid: Pid) {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let role = arguments.split(|&byte| byte == 0).nth(1).unwrap_or_default();
        let role = match role {
            _ if pid == self.first => FIRST,
            _ if self.tasks.get(&pid).is_some_and(|task| matches!(task.role, INSIDE | CHILD | INIT)) => {
                INSIDE
            }
            b"internal-sweep" => "internal-sweep",
            b"internal-mounts" => "internal-mounts",
            b"internal-finish" => "internal-finish",
            _ => "other",
        };
        self.welcome(pid, role);
    }

    fn at_call(&mut self, pid: Pid) {
        // Whoever was killed meanwhile is heard of next.
        let Ok(info) = ptrace::syscall_info(pid) else { return };
        let Some(task) = self.tasks.get_mut(&pid) else { return };
        if info.op == LEAVE {
            if let (Some(errno), Ok(mut registers)) = (task.pending.take(), ptrace::getregs(pid)) {
                registers.rax = i64::from(-(errno as i32)).cast_unsigned();
                let _ = ptrace::setregs(pid, registers);
            }
            return;
        }
        let Ok(registers) = ptrace::getregs(pid) else { return };
        let call = registers.orig_rax.cast_signed();
        if task.role == FORK && call == libc::SYS_setsid {
            // Only the exit leaves the warden's session.
            task.role = EXIT;
        }
        if info.op != ENTRY || !self.armed.load(Ordering::SeqCst) {
            return;
        }
        let (role, process) = (task.role, task.process);
        let calls = self.walked.calls.entry(role).or_default();
        calls.push(call);
        let now = calls.len() - 1;
        let due = |fault: Fault| match fault.harm {
            _ if fault.role != role => false,
            Harm::Fail => fault.step <= now && fitting(call).is_some(),
            Harm::Kill | Harm::KillAll => fault.step == now,
        };
        if self.walked.struck.is_none() && self.fault.is_some_and(due) {
            self.walked.struck = Some(call);
            let file = fs::read_link(format!("/proc/{pid}/fd/{}", registers.rdi));
            self.walked.on = file.unwrap_or_default().display().to_string();
            self.strike(pid, process, registers);
        }
    }

    fn strike(&mut self, pid: Pid, process: Pid, mut registers: libc::user_regs_struct) {
        match self.fault.expect("only a fault strikes").harm {
            Harm::Kill => {
                let _ = kill(process, Signal::SIGKILL);
            }
            Harm::KillAll => {
                self.tasks.values().for_each(|task| {
                    let _ = kill(task.process, Signal::SIGKILL);
                });
            }
            Harm::Fail => {
                let errno = fitting(registers.orig_rax.cast_signed());
                // No such call: it is passed over, and what it returns is set when it would be over.
                registers.orig_rax = u64::MAX;
                if ptrace::setregs(pid, registers).is_ok() {
                    self.tasks.get_mut(&pid).expect("it was met").pending = errno;
                }
            }
        }
    }

    /// Lets a stopped one go on; to its next system call while somebody still counts.
    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        let task = self.tasks.get(&pid);
        let pending = task.is_some_and(|task| task.pending.is_some());
        let counted = task.is_none_or(|task| task.role != INSIDE);
        let waits = self.fault.is_none() || self.walked.struck.is_none();
        // Whoever was killed meanwhile is heard of next.
        let _ = if pending || (counted && waits) {
            ptrace::syscall(pid, signal)
        } else {
            ptrace::cont(pid, signal)
        };
    }
}

/// The numbers in a line of `/proc/PID/status`.
fn field(pid: Pid, name: &str) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

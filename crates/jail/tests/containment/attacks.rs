//! Attacks on the file tree, on other processes and on the kernel, tried from inside in Python so that raw calls can
//! be made. Each line is a name, the attempt, and the only answers that mean it failed.

use crate::basics::tempdir;
use crate::support::{Case, Done, plan, run, start, with};
use creel_api::plan::{Plan, What};
use creel_jail::link::{Order, Report, Target};

pub const CASES: &[Case] = &[
    ("calls_that_leave_the_sandbox_are_refused", calls),
    ("kernel_and_process_files_give_nothing_and_take_nothing", proc_files),
    ("nothing_outside_the_grants_can_be_reached_by_any_path", paths),
    ("system_files_and_devices_cannot_be_changed", changes),
    ("sockets_of_other_families_do_not_exist", sockets),
    ("no_capability_is_left_and_none_can_be_gained", capabilities),
    ("no_descriptor_of_the_wardens_is_inherited", descriptors),
    ("init_survives_every_signal_from_inside", signals_to_init),
    ("calls_of_other_architectures_fail", foreign_calls),
    ("abstract_sockets_outside_cannot_be_reached", abstract_sockets),
    ("a_program_cannot_replace_the_listener_with_its_own", second_listener),
];

/// Name of the attempt, Python expression, answers that mean refusal.
type Attempt = (&'static str, &'static str, &'static [&'static str]);

const PRELUDE: &str = r#"
import ctypes, errno, fcntl, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def name(n): return errno.errorcode.get(n, str(n))
def call(nr, *args):
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return 'OK' if libc.syscall(ctypes.c_long(nr), *args) >= 0 else name(ctypes.get_errno())
def attempt(f):
    try: f(); return 'OK'
    except OSError as e: return name(e.errno)
def opened(path, flags=os.O_RDONLY): return attempt(lambda: os.open(path, flags))
def read(path): return attempt(lambda: open(path, 'rb').read(1) or None)
"#;

fn script(attempts: &[Attempt]) -> String {
    let lines: Vec<String> =
        attempts.iter().map(|(name, code, _)| format!("print({name:?}, '=', {code}, flush=True)")).collect();
    format!("{PRELUDE}{}\n", lines.join("\n"))
}

fn python(code: &str) -> Plan {
    let mut plan = plan("");
    plan.command = ["python3", "-c", code].map(Into::into).to_vec();
    plan
}

fn check_in(plan: impl Fn(&str) -> Plan, attempts: &[Attempt]) {
    let done = run(&plan(&script(attempts)));
    judge(&done, attempts);
}

fn judge(done: &Done, attempts: &[Attempt]) {
    let mut failures = Vec::new();
    for (name, _, refusals) in attempts {
        let answer = done.output.lines().find_map(|l| l.strip_prefix(*name)?.strip_prefix(" = "));
        if !answer.is_some_and(|a| refusals.contains(&a)) {
            failures.push(format!("{name}: {answer:?}, wanted one of {refusals:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}\n{done:?}");
}

fn check(attempts: &[Attempt]) {
    check_in(python, attempts);
}

const EPERM: &[&str] = &["EPERM"];
const ENOSYS: &[&str] = &["ENOSYS"];

#[cfg(target_arch = "x86_64")]
fn calls() {
    check(&[
        ("ptrace", "call(101, 0, 0, 0, 0)", EPERM),
        ("process_vm_readv", "call(310, 1, 0, 0, 0, 0, 0)", EPERM),
        ("process_vm_writev", "call(311, 1, 0, 0, 0, 0, 0)", EPERM),
        ("pidfd_getfd", "call(438, os.pidfd_open(1), 0, 0)", EPERM),
        ("mount", "call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", EPERM),
        ("remount /usr writable", "call(165, 0, b'/usr', 0, 32 | 4096, 0)", EPERM),
        ("umount2 /proc", "call(166, b'/proc', 2)", EPERM),
        ("pivot_root", "call(155, b'/', b'/tmp')", EPERM),
        ("chroot", "call(161, b'/tmp')", EPERM),
        ("open_tree", "call(428, -100, b'/', 1)", EPERM),
        ("move_mount", "call(429, -100, b'/tmp', -100, b'/usr', 0)", EPERM),
        ("fsopen", "call(430, b'tmpfs', 0)", EPERM),
        ("mount_setattr", "call(442, -100, b'/usr', 0, 0, 32)", EPERM),
        ("unshare user", "call(272, 0x10000000)", EPERM),
        ("unshare mount", "call(272, 0x20000)", EPERM),
        ("clone user", "call(56, 0x10000000 | 17, 0, 0, 0, 0)", EPERM),
        ("clone net", "call(56, 0x40000000 | 17, 0, 0, 0, 0)", EPERM),
        ("clone3", "call(435, 0, 0)", ENOSYS),
        ("setns", "call(308, 0, 0)", EPERM),
        ("keyctl", "call(250, 0, -3, 1)", EPERM),
        ("add_key", "call(248, b'user', b'x', b'y', 1, -3)", EPERM),
        ("bpf", "call(321, 0, 0, 0)", EPERM),
        ("perf_event_open", "call(298, 0, 0, -1, -1, 0)", EPERM),
        ("userfaultfd", "call(323, 0)", EPERM),
        ("io_uring_setup", "call(425, 8, 0)", EPERM),
        ("io_uring_enter", "call(426, 0, 0, 0, 0, 0)", EPERM),
        ("name_to_handle_at", "call(303, -100, b'/', 0, 0, 0)", EPERM),
        ("open_by_handle_at", "call(304, 0, 0, 0)", EPERM),
        ("init_module", "call(175, 0, 0, b'')", EPERM),
        ("kexec_load", "call(246, 0, 0, 0, 0)", EPERM),
        ("swapon", "call(167, b'/tmp/x', 0)", EPERM),
        ("acct", "call(163, b'/tmp/x')", EPERM),
        ("quotactl", "call(179, 0, 0, 0, 0)", EPERM),
        ("sethostname", "attempt(lambda: socket.sethostname('x'))", EPERM),
        ("settimeofday", "call(164, 0, 0)", EPERM),
        ("iopl", "call(172, 3)", EPERM),
        ("personality without address randomisation", "call(135, 0x40000)", EPERM),
        ("a call that no kernel has yet", "call(900)", ENOSYS),
        ("TIOCSTI", "attempt(lambda: fcntl.ioctl(os.openpty()[1], 0x5412, b'x'))", EPERM),
        (
            "line discipline",
            "attempt(lambda: fcntl.ioctl(os.openpty()[1], 0x5423, struct.pack('i', 21)))",
            EPERM,
        ),
    ]);
}

#[cfg(not(target_arch = "x86_64"))]
fn calls() {}

const NO_FILE: &[&str] = &["EACCES", "EPERM", "EROFS", "ENOENT"];

fn proc_files() {
    check(&[
        // Only opened: if the protection failed, writing would restart the machine.
        ("sysrq-trigger for writing", "opened('/proc/sysrq-trigger', os.O_WRONLY)", NO_FILE),
        ("core_pattern for writing", "opened('/proc/sys/kernel/core_pattern', os.O_WRONLY)", NO_FILE),
        ("modprobe path for writing", "opened('/proc/sys/kernel/modprobe', os.O_WRONLY)", NO_FILE),
        ("fast open for writing", "opened('/proc/sys/net/ipv4/tcp_fastopen', os.O_WRONLY)", NO_FILE),
        ("kcore", "opened('/proc/kcore')", NO_FILE),
        ("keys", "opened('/proc/keys')", NO_FILE),
        ("own memory for writing", "opened('/proc/self/mem', os.O_RDWR)", NO_FILE),
        ("init's memory", "opened('/proc/1/mem', os.O_RDWR)", NO_FILE),
        ("init's memory, reading", "opened('/proc/1/mem')", NO_FILE),
        ("init's environment", "read('/proc/1/environ')", NO_FILE),
        ("init's maps", "read('/proc/1/maps')", NO_FILE),
        ("init's root", "attempt(lambda: os.listdir('/proc/1/root/'))", NO_FILE),
        ("init's directory", "attempt(lambda: os.listdir('/proc/1/cwd/'))", NO_FILE),
        (
            "init's descriptors",
            "attempt(lambda: [os.open('/proc/1/fd/' + n, 0) for n in os.listdir('/proc/1/fd')])",
            NO_FILE,
        ),
        ("init's namespaces", "opened('/proc/1/ns/mnt')", NO_FILE),
        ("another process's score", "opened('/proc/1/oom_score_adj', os.O_WRONLY)", NO_FILE),
        ("kernel log", "opened('/dev/kmsg')", NO_FILE),
        ("memory of the machine", "opened('/dev/mem')", NO_FILE),
        ("cgroups", "attempt(lambda: os.listdir('/sys/fs/cgroup'))", NO_FILE),
    ]);
}

fn paths() {
    let outside = tempdir();
    std::fs::write(outside.join("secret"), "s").unwrap();
    let granted = tempdir();
    std::os::unix::fs::symlink(outside.join("secret"), granted.join("link")).unwrap();
    std::os::unix::fs::symlink("/proc/self/root/../../..", granted.join("up")).unwrap();
    let code = format!("S = {:?}\nW = {:?}\n", outside.join("secret"), granted);
    let attempts: &[Attempt] = &[
        ("by its path", "opened(S)", NO_FILE),
        ("by a link in a grant", "opened(W + '/link')", NO_FILE),
        ("by ..", "opened(W + '/../../../../../..' + S)", NO_FILE),
        ("by a link to a root", "opened(W + '/up' + S)", NO_FILE),
        ("by its own root", "opened('/proc/self/root' + S)", NO_FILE),
        ("by the root of init", "opened('/proc/1/root' + S)", NO_FILE),
        ("by a hard link", "attempt(lambda: os.link(S, W + '/hard'))", NO_FILE),
        ("shadow", "opened('/etc/shadow')", NO_FILE),
        ("shadow by overlay", "opened('/proc/self/root/etc/shadow')", NO_FILE),
        ("a hard link out of the system", "attempt(lambda: os.link('/usr/bin/env', W + '/env'))", &["EXDEV"]),
        (
            "a rename over the grant",
            "attempt(lambda: os.rename(W, W + '-x'))",
            &["EBUSY", "EROFS", "EACCES", "EXDEV"],
        ),
        ("removing the grant", "attempt(lambda: os.rmdir(W))", &["EBUSY", "EROFS", "EACCES", "ENOTEMPTY"]),
    ];
    let grant = granted.clone();
    check_in(|script| with(python(&format!("{code}{script}")), &grant, What::Write(grant.clone())), attempts);
    assert!(!granted.join("hard").exists());
}

fn changes() {
    check(&[
        ("a file in /usr", "opened('/usr/creel-test', os.O_CREAT | os.O_WRONLY)", NO_FILE),
        ("a file in /etc", "opened('/etc/creel-test', os.O_CREAT | os.O_WRONLY)", NO_FILE),
        ("a file in /", "opened('/creel-test', os.O_CREAT | os.O_WRONLY)", NO_FILE),
        ("a file in an empty top-level directory", "opened('/srv/x', os.O_CREAT | os.O_WRONLY)", NO_FILE),
        ("a file in /dev", "opened('/dev/x', os.O_CREAT | os.O_WRONLY)", NO_FILE),
        ("appending to a program", "opened('/usr/bin/env', os.O_WRONLY | os.O_APPEND)", NO_FILE),
        ("mode of a program", "attempt(lambda: os.chmod('/usr/bin/env', 0o777))", NO_FILE),
        ("mode of a device", "attempt(lambda: os.chmod('/dev/null', 0o777))", NO_FILE),
        ("mode of a hidden file", "attempt(lambda: os.chmod('/etc/shadow', 0o644))", NO_FILE),
        ("times of a program", "attempt(lambda: os.utime('/usr/bin/env'))", NO_FILE),
        ("a character device", "attempt(lambda: os.mknod('/tmp/null', 0o20666, os.makedev(1, 3)))", NO_FILE),
        ("a block device", "attempt(lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0)))", NO_FILE),
        ("a nameless file in /usr", "opened('/usr', os.O_TMPFILE | os.O_WRONLY)", NO_FILE),
        (
            "own program through /proc",
            "opened('/proc/self/exe', os.O_WRONLY)",
            &["EROFS", "ETXTBSY", "EACCES"],
        ),
    ]);
}

fn sockets() {
    const NO_FAMILY: &[&str] = &["EAFNOSUPPORT"];
    const NO_PROTOCOL: &[&str] = &["EPROTONOSUPPORT"];
    check(&[
        ("packet", "attempt(lambda: socket.socket(17, 3, 0))", NO_FAMILY),
        ("vsock", "attempt(lambda: socket.socket(40, 1, 0))", NO_FAMILY),
        ("kernel crypto", "attempt(lambda: socket.socket(38, 5, 0))", NO_FAMILY),
        ("bluetooth", "attempt(lambda: socket.socket(31, 1, 0))", NO_FAMILY),
        ("tipc", "attempt(lambda: socket.socket(30, 1, 0))", NO_FAMILY),
        ("xdp", "attempt(lambda: socket.socket(44, 3, 0))", NO_FAMILY),
        ("raw", "attempt(lambda: socket.socket(2, 3, 1))", EPERM),
        ("ping", "attempt(lambda: socket.socket(2, 2, 1))", NO_PROTOCOL),
        ("sctp", "attempt(lambda: socket.socket(2, 1, 132))", NO_PROTOCOL),
        ("udplite", "attempt(lambda: socket.socket(2, 2, 136))", NO_PROTOCOL),
        ("netfilter", "attempt(lambda: socket.socket(16, 3, 12))", NO_PROTOCOL),
        ("audit", "attempt(lambda: socket.socket(16, 3, 9))", NO_PROTOCOL),
        ("sock_diag", "attempt(lambda: socket.socket(16, 3, 4))", NO_PROTOCOL),
        ("transparent", "attempt(lambda: socket.socket().setsockopt(0, 19, 1))", EPERM),
        ("packet mark", "attempt(lambda: socket.socket().setsockopt(1, 36, 1))", EPERM),
    ]);
}

fn capabilities() {
    let done = run(&plan(
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'; cat /proc/self/uid_map",
    ));
    for line in ["CapInh:0", "CapPrm:0", "CapEff:0", "CapBnd:0", "CapAmb:0"] {
        assert!(done.output.lines().any(|l| l == format!("{line}000000000000000")), "{line}: {done:?}");
    }
    assert!(done.output.contains("NoNewPrivs:1\nSeccomp:2"), "{done:?}");
}

fn descriptors() {
    let _kept = std::fs::File::open("/etc/hostname").unwrap();
    let done = run(&python(
        "import os\nfds = set(os.listdir('/proc/self/fd'))\nprint(sorted(f for f in fds if os.path.exists('/proc/self/fd/' + f) or int(f) < 3))",
    ));
    assert_eq!(done.output, "['0', '1', '2']\n", "{done:?}");
}

fn signals_to_init() {
    let mut sandbox = start(&plan("for s in 1 2 3 6 9 10 11 15 19; do kill -$s 1; done; sleep 100"));
    sandbox.link().send(&Order::Go, &[]).unwrap();
    sandbox.serve(|report| matches!(report, Report::Running { .. }));
    std::thread::sleep(std::time::Duration::from_millis(100));
    sandbox.link().send(&Order::Signal { to: Target::All, signal: 9 }, &[]).unwrap();
    let done = sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    assert_eq!(done.status(), 137, "init still obeys and reports: {done:?}");
}

#[cfg(target_arch = "x86_64")]
fn foreign_calls() {
    // `mov eax, nr; int 0x80; ret` makes a call of i386; bit 30 makes one of x32.
    check(&[
        (
            "i386",
            "(lambda m: (m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3'), \
             ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())[1])\
             (__import__('mmap').mmap(-1, 4096, prot=7))",
            &["-38"],
        ),
        ("x32", "call(0x40000000 | 39)", ENOSYS),
    ]);
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_calls() {}

fn abstract_sockets() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("creel-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let code = format!("N = '\\0{name}'\n");
    let attempts: &[Attempt] =
        &[("connect", "attempt(lambda: socket.socket(1, 1).connect(N))", &["ECONNREFUSED", "EPERM"])];
    check_in(|script| python(&format!("{code}{script}")), attempts);
}

#[cfg(target_arch = "x86_64")]
fn second_listener() {
    // seccomp(SET_MODE_FILTER, NEW_LISTENER, { return USER_NOTIF }): the kernel allows one listener.
    check(&[(
        "second listener",
        "(lambda f: call(317, 1, 8, ctypes.byref(ctypes.create_string_buffer(struct.pack('HxxxxxxP', 1, ctypes.addressof(f))))))\
         (ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fc00000)))",
        &["EBUSY"],
    )]);
}

#[cfg(not(target_arch = "x86_64"))]
fn second_listener() {}

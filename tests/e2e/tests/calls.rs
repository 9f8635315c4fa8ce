//! Every system call number is tried in a sandbox: each allowed call reaches the kernel, each refused one fails with
//! `EPERM`, and nothing else exists, by whatever entry into the kernel.
//!
//! The lists stand here once more on purpose: a call that is added to the filter fails a test until somebody says here
//! that it is meant, and in `crates/jail/src/filter/used.rs` who uses it.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

#[path = "calls/lists.rs"]
mod lists;

use creel_e2e::Scene;
use lists::{ALLOWED, REFUSED};
use std::collections::BTreeMap;
use std::process::Command;

/// Calls whose arguments, all ones otherwise, must be something else: where all ones ask for what is refused.
const ARGUMENTS: &str = "{
    56: (17,), 272: (0x400,), 41: (1, 1, 0), 53: (1, 1, 0), 135: (0xffffffff,), 202: (-1, 1, 1),
}";

/// Tries the numbers on standard input, each in a process of its own; prints how each ended.
///
/// `errno` 0 is success; 1000 and more is the signal that ended it, or 2000 and its own end.
const TRY: &str = r#"
import ctypes, os, signal, struct, sys, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
SPECIAL = ARGUMENTS
entry, numbers = sys.stdin.readline().strip(), [int(n) for n in sys.stdin.read().split()]

# int 0x80 with the number in edi: mov eax, edi; push rbx; mov ebx, -1; mov ecx, ebx; mov edx, ebx; int 0x80; pop rbx; ret
code = bytes.fromhex('89f853bbffffffff89d989dacd805bc3')
page = mmap.mmap(-1, 4096, prot=7)
page.write(code)
old = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

def call(number):
    if entry == 'i386':
        return -min(old(number), 0)
    arguments = SPECIAL.get(number, (-1,) * 6)
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(a) for a in (number, *arguments)])
    return ctypes.get_errno() if result == -1 else 0

def attempt(number):
    near, far = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(near)
        signal.alarm(2)
        os.write(far, struct.pack('i', call(number)))
        os._exit(0)
    os.close(far)
    answer = b''
    # A call that made a copy of the process answers twice; the first is as good as the second.
    _, status = os.waitpid(pid, 0)
    os.set_blocking(near, False)
    try:
        answer = os.read(near, 4)
    except BlockingIOError:
        pass
    os.close(near)
    if len(answer) == 4:
        return struct.unpack('i', answer)[0]
    return 1000 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else 2000

for number in numbers:
    print(number, attempt(number), flush=True)
"#;

/// How each number ended.
fn ended(command: &mut Command, entry: &str, numbers: impl Iterator<Item = i64>) -> BTreeMap<i64, i32> {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), format!("{entry}\n{}\n", numbers.join(" "))).unwrap();
    let script = TRY.replace("ARGUMENTS", ARGUMENTS);
    command.args(["/usr/bin/env", "python3", "-c", &script]);
    let output = command.stdin(std::fs::File::open(input.path()).unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| {
        let (number, outcome) = line.split_once(' ')?;
        Some((number.parse().ok()?, outcome.parse().ok()?))
    };
    let all: BTreeMap<i64, i32> = text.lines().filter_map(pair).collect();
    assert_eq!(all.len(), numbers.len(), "{output:?}");
    all
}

fn inside(entry: &str, numbers: impl Iterator<Item = i64>) -> BTreeMap<i64, i32> {
    let scene = Scene::new().policy("process: { limits: { processes: 256 } }");
    ended(&mut scene.command(), entry, numbers)
}

fn outside(entry: &str, numbers: impl Iterator<Item = i64>) -> BTreeMap<i64, i32> {
    ended(&mut Command::new("/usr/bin/env"), entry, numbers)
}

/// Everything that a kernel of today or tomorrow could have.
const ALL: std::ops::Range<i64> = 0..1024;
const X32: i64 = 0x4000_0000;

#[test]
fn every_allowed_call_reaches_the_kernel() {
    let inside = inside("native", ALLOWED.iter().copied());
    let bare = outside("native", NEWER.iter().copied());
    for (number, errno) in inside {
        let absent = errno == libc::ENOSYS && bare.get(&number) == Some(&libc::ENOSYS);
        let by_the_kernel = errno == libc::EPERM && NEED_A_CAPABILITY.contains(&number);
        let reached = ![libc::ENOSYS, libc::EPERM].contains(&errno) && errno != 1000 + libc::SIGSYS;
        assert!(absent || by_the_kernel || reached, "call {number} ended with {errno}");
    }
}

#[test]
fn every_call_that_is_refused_by_name_is_and_nothing_else_exists() {
    let others: Vec<i64> = ALL.filter(|number| !ALLOWED.contains(number)).collect();
    for (number, errno) in inside("native", others.iter().copied()) {
        let promised = if REFUSED.contains(&number) { libc::EPERM } else { libc::ENOSYS };
        if TRAMPOLINES.contains(&number) && [1000 + libc::SIGILL, libc::ENXIO].contains(&errno) {
            continue;
        }
        assert_eq!(errno, promised, "call {number}");
    }
}

#[test]
fn calls_of_other_architectures_do_not_exist() {
    let x32 = inside("native", ALL.map(|number| X32 | number));
    let old = inside("i386", ALL);
    for (number, errno) in x32.into_iter().chain(old) {
        assert_eq!(errno, libc::ENOSYS, "call {number:#x}");
    }
}

/// Without a sandbox the same program finds what is refused, so the tests above can fail.
#[test]
fn without_a_sandbox_the_refused_calls_are_there() {
    // It would hang up the terminal.
    let harmless = REFUSED.iter().copied().filter(|number| *number != libc::SYS_vhangup);
    let there = outside("native", harmless.chain([libc::SYS_clone3, libc::SYS_openat2]));
    let there = there.values().filter(|errno| ![libc::EPERM, libc::ENOSYS].contains(errno)).count();
    assert!(there > 30, "{there} of the refused calls are there without a sandbox");
}

/// No filter is asked about these (`uretprobe`, `uprobe`): the kernel puts them into a program that is being probed, and
/// refuses whoever calls them from elsewhere.
const TRAMPOLINES: [i64; 2] = [335, 336];

/// Newer than the oldest kernel that is supported: where it is not there outside, it is not there inside.
const NEWER: &[i64] = &[
    libc::SYS_mseal,
    libc::SYS_fchmodat2,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
];

/// Allowed, and refused by the kernel to who has no capability, whatever is asked.
const NEED_A_CAPABILITY: &[i64] = &[libc::SYS_setgroups, libc::SYS_capset];

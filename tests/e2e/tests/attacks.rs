//! Attacks on the filesystem and process layers, each tried for real inside the sandbox.
//!
//! Every line of `ATTACKS` is a shell script that prints `OUT` when it succeeds. Each is run twice: in the sandbox,
//! where it must not print it, and bare on the host where that is harmless, where it must (`bare: true`), so that
//! an attack that could not succeed anywhere does not count as defended.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown};
use std::fs;
use std::process::Command;

struct Attack {
    name: &'static str,
    script: &'static str,
    /// The attack succeeds without Creel, as this user, and does no harm there.
    bare: bool,
}

const fn attack(name: &'static str, script: &'static str, bare: bool) -> Attack {
    Attack { name, script, bare }
}

/// `$SECRET` is a file outside the workspace, `$OUTER` a process outside, `$DIR` the directory above the workspace.
const ATTACKS: &[Attack] = &[
    attack("read a file beside the workspace", "cat $SECRET >/dev/null 2>&1 && echo OUT", true),
    attack("read it through a symlink", "ln -sf $SECRET link; cat link >/dev/null 2>&1 && echo OUT", true),
    attack("read it through the parent directory", "cat ../secret >/dev/null 2>&1 && echo OUT", true),
    attack("read it through /proc/self/root", "cat /proc/self/root$SECRET >/dev/null 2>&1 && echo OUT", true),
    attack(
        "read it through another's root",
        "for r in /proc/[0-9]*/root; do cat $r$SECRET 2>/dev/null && echo OUT; done",
        true,
    ),
    attack(
        "read it through another's cwd",
        "for r in /proc/[0-9]*/cwd; do cat $r/../secret 2>/dev/null && echo OUT; done",
        true,
    ),
    attack(
        "read it through an inherited descriptor",
        "for f in /proc/[0-9]*/fd/*; do cat $f/secret 2>/dev/null && echo OUT; done",
        false,
    ),
    attack("hard-link it into the workspace", "ln $SECRET linked 2>/dev/null && echo OUT", true),
    attack("write beside the workspace", "touch $DIR/made 2>/dev/null", true),
    attack(
        "write into the system",
        "touch /usr/bin/made /etc/made /lib/made 2>/dev/null; ls /usr/bin/made /etc/made /lib/made >/dev/null 2>&1 && echo OUT",
        false,
    ),
    attack(
        "write over the sandbox's own binary",
        "for e in /proc/1/exe /proc/self/exe; do (exec 3>>$e) 2>/dev/null && test $e = /proc/1/exe && echo OUT; done",
        false,
    ),
    attack(
        "write into another process's memory",
        "sleep 5 & (exec 3<>/proc/$!/mem) 2>/dev/null && echo OUT; kill $!",
        true,
    ),
    attack("write into init's memory", "(exec 3<>/proc/1/mem) 2>/dev/null && echo OUT", false),
    attack(
        "see outside processes",
        "test -d /proc/$OUTER && grep -q . /proc/$OUTER/cmdline && tr '\\0' ' ' </proc/$OUTER/cmdline | grep -q 3141 && echo OUT",
        true,
    ),
    attack(
        "signal an outside process",
        "kill -0 $OUTER 2>/dev/null && tr '\\0' ' ' </proc/$OUTER/cmdline | grep -q 3141 && echo OUT",
        true,
    ),
    attack(
        "open the kernel's trigger for writing",
        "(exec 3>/proc/sysrq-trigger) 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "change a kernel setting",
        "(exec 3>/proc/sys/kernel/core_pattern) 2>/dev/null && echo OUT; (exec 3>/proc/sys/vm/drop_caches) 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "read kernel memory",
        "head -c 16 /proc/kcore >/dev/null 2>&1 && test $(head -c 16 /proc/kcore | wc -c) = 16 && echo OUT",
        false,
    ),
    attack(
        "open a disk",
        "for d in /dev/sd? /dev/vd? /dev/nvme* /dev/mem /dev/kmsg /dev/kvm /dev/fuse /dev/net/tun; do test -e $d && echo OUT; done",
        false,
    ),
    attack(
        "make a device",
        "mknod dev b 254 0 2>/dev/null && echo OUT; mknod /tmp/dev c 1 1 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "mount",
        "mount -t tmpfs none /tmp 2>/dev/null && echo OUT; mount --bind / /tmp 2>/dev/null && echo OUT",
        false,
    ),
    attack("remount the system writable", "mount -o remount,bind,rw /usr 2>/dev/null && echo OUT", false),
    attack(
        "unmount what hides",
        "umount -l /etc 2>/dev/null && echo OUT; umount -l /proc 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "make a namespace of one's own",
        "unshare -Ur true 2>/dev/null && echo OUT; unshare -m true 2>/dev/null && echo OUT",
        true,
    ),
    attack(
        "leave through nsenter",
        "nsenter -t 1 -m true 2>/dev/null && echo OUT; nsenter -t $$ -U true 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "hold a capability",
        "grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -vq 0000000000000000 && echo OUT",
        true,
    ),
    attack("gain one from a setuid program", "grep -q 'NoNewPrivs:.1' /proc/self/status || echo OUT", true),
    attack("chroot", "chroot / true 2>/dev/null && echo OUT", false),
    attack(
        "set the clock or the host name",
        "date -s 2000-01-01 >/dev/null 2>&1 && echo OUT; hostname out 2>/dev/null && echo OUT",
        false,
    ),
    attack(
        "read the shadow file",
        "test -s /etc/shadow && cat /etc/shadow 2>/dev/null | grep -q : && echo OUT",
        false,
    ),
    attack("find the control socket", "grep -q creel/ /proc/net/unix && echo OUT", true),
    attack(
        "read the warden's environment",
        "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -q '^WARDEN_SECRET=' && echo OUT",
        true,
    ),
    attack(
        "dump core outside",
        "ulimit -c unlimited 2>/dev/null; test \"$(ulimit -c)\" = 0 || echo OUT",
        false,
    ),
    attack("read the kernel log", "dmesg 2>/dev/null | head -1 | grep -q . && echo OUT", false),
];

/// Attacks that need system calls that a shell has no word for; `OUT` as above.
const CALLS: &str = r#"
import ctypes, os, sys, errno, socket, fcntl
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(number, *[ctypes.c_long(a) for a in args])
    print(name, "OUT" if r >= 0 else errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno()))
    return r
pid = os.fork()
if pid == 0:
    import time; time.sleep(20); os._exit(0)
buf = ctypes.create_string_buffer(64)
addr = ctypes.addressof(buf)
call("ptrace attach", 101, 16, pid, 0, 0)
call("ptrace seize", 101, 0x4206, pid, 0, 0)
call("process_vm_writev", 311, pid, addr, 0, addr, 0, 0)
call("unshare user", 272, 0x10000000)
call("unshare net", 272, 0x40000000)
call("clone new user", 56, 0x10000000 | 17, 0, 0, 0, 0)
call("clone3", 435, addr, 64)
call("setns", 308, 0, 0)
call("mount", 165, addr, addr, addr, 0, 0)
call("open_tree", 428, -100, addr, 1)
call("fsopen", 430, addr, 0)
call("pivot_root", 155, addr, addr)
call("keyctl", 250, 0, -3, 1)
call("add_key", 248, addr, addr, addr, 1, -3)
call("bpf", 321, 0, addr, 64)
call("perf_event_open", 298, addr, 0, -1, -1, 0)
call("userfaultfd", 323, 0)
call("io_uring_setup", 425, 8, addr)
call("name_to_handle_at", 303, -100, addr, addr, addr, 0)
call("open_by_handle_at", 304, -100, addr, 0)
call("init_module", 175, addr, 0, addr)
call("kexec_load", 246, 0, 0, 0, 0)
call("swapon", 167, addr, 0)
call("reboot", 169, 0xfee1dead, 672274793, 0, 0)
call("acct", 163, 0)
call("quotactl", 179, 0, 0, 0, 0)
call("personality READ_IMPLIES_EXEC", 135, 0x0400000)
call("pidfd_getfd", 438, 0, 0, 0)
call("x32 getpid", 0x40000000 + 39)
call("iopl", 172, 3)
call("vhangup", 153)
call("socket AF_PACKET", 41, 17, 3, 0)
call("socket AF_VSOCK", 41, 40, 1, 0)
call("socket AF_ALG", 41, 38, 5, 0)
call("socket AF_TIPC", 41, 30, 1, 0)
call("socket netlink audit", 41, 16, 3, 9)
call("socket netlink netfilter", 41, 16, 3, 12)
call("socket sctp", 41, 2, 1, 132)
call("socket mptcp", 41, 2, 1, 262)
m, s = os.openpty()
for what, number in (("TIOCSTI", 0x5412), ("TIOCLINUX", 0x541C)):
    try:
        fcntl.ioctl(s, number, b"x"); print(what, "OUT")
    except OSError as e:
        print(what, errno.errorcode[e.errno])
os.kill(pid, 9)
"#;

#[test]
fn no_shell_attack_gets_out() {
    let scene = Scene::new();
    let secret = scene.outside().join("secret");
    fs::write(&secret, "s3cret").unwrap();
    let mut outer = Command::new("sleep").arg("3141").spawn().unwrap();
    let prelude = format!(
        "SECRET={}; DIR={}; OUTER={}; cd \"$1\" 2>/dev/null;\n",
        secret.display(),
        scene.outside().display(),
        outer.id()
    );
    let mut failed = Vec::new();
    for attack in ATTACKS {
        let script = format!("{prelude}{}\ntrue", attack.script);
        let mut command = scene.command();
        let command = command
            .env("WARDEN_SECRET", "1")
            .args(["/bin/bash", "-c", &script, "attack"])
            .arg(scene.workspace());
        let shown = Shown::from(command.output().unwrap());
        fs::remove_dir_all(scene.outside().join("record")).unwrap();
        if shown.stdout.contains("OUT") || shown.code != 0 || made(&scene) {
            failed.push(format!("{}: {shown:?}", attack.name));
        }
        if attack.bare {
            let bare = bare(&scene, &script);
            if !bare.stdout.contains("OUT") && !made(&scene) {
                failed.push(format!(
                    "{}: does not succeed bare either, so it shows nothing: {bare:?}",
                    attack.name
                ));
            }
        }
    }
    outer.kill().unwrap();
    outer.wait().unwrap();
    assert!(failed.is_empty(), "{} of {} attacks:\n{}", failed.len(), ATTACKS.len(), failed.join("\n"));
}

/// What a nested sandbox is for, or costs: `docs/policy.md` says so.
const NESTING: &[&str] = &[
    "write into another process's memory",
    "mount",
    "make a namespace of one's own",
    "hold a capability",
    "chroot",
    "set the clock or the host name",
];

#[test]
fn no_shell_attack_gets_out_from_a_sandbox_within() {
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0 {
        return; // root has no nested sandboxes, which `nested` tests
    }
    let scene = Scene::new().policy("process: { nested: true }");
    let secret = scene.outside().join("secret");
    fs::write(&secret, "s3cret").unwrap();
    let prelude = format!(
        "SECRET={}; DIR={}; OUTER={};\n",
        secret.display(),
        scene.outside().display(),
        std::process::id()
    );
    let mut failed = Vec::new();
    for attack in ATTACKS.iter().filter(|attack| !NESTING.contains(&attack.name)) {
        let script = format!("{prelude}{}\ntrue", attack.script);
        let mut command = scene.command();
        let within = ["/usr/bin/unshare", "-Urm", "/bin/bash", "-c", &script, "attack"];
        let command = command.env("WARDEN_SECRET", "1").args(within).arg(scene.workspace());
        let shown = Shown::from(command.output().unwrap());
        fs::remove_dir_all(scene.outside().join("record")).unwrap();
        if shown.stdout.contains("OUT") || shown.code != 0 || made(&scene) {
            failed.push(format!("{}: {shown:?}", attack.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Whether something was written beside the workspace; it is gone afterwards.
fn made(scene: &Scene) -> bool {
    fs::remove_file(scene.outside().join("made")).is_ok()
}

fn bare(scene: &Scene, script: &str) -> Shown {
    let dir = scene.outside().join("bare");
    fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new("/bin/bash");
    command.args(["-c", script, "attack"]).arg(&dir).current_dir(&dir).env("WARDEN_SECRET", "1");
    // The control socket of a running sandbox is what the attack looks for.
    let _running = script.contains("/proc/net/unix").then(|| {
        let other = Scene::new();
        let running = other.start(&["sleep", "30"]);
        (other, running)
    });
    let shown = Shown::from(command.output().unwrap());
    fs::remove_dir_all(&dir).unwrap();
    shown
}

#[test]
fn no_forbidden_system_call_succeeds() {
    let shown = Scene::new().python(CALLS).ok();
    let out: Vec<&str> = shown.stdout.lines().filter(|line| line.ends_with("OUT")).collect();
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(shown.stdout.lines().count(), 41, "{}", shown.stdout);
}

#[test]
fn a_fork_bomb_is_bounded_and_the_host_goes_on() {
    let scene = Scene::new().policy("process: { limits: { processes: 64, time: 20s } }");
    let shown = scene.python(
        "
import os, time
n = 0
try:
    while n < 400:
        if os.fork() == 0:
            time.sleep(3); os._exit(0)
        n += 1
    print('UNBOUNDED')
except BlockingIOError:
    print('bounded at', n)
",
    );
    assert!(shown.stdout.contains("bounded at"), "{shown:?}");
}

#[test]
fn wall_time_ends_it() {
    let scene = Scene::new().policy("process: { limits: { time: 1s } }");
    let shown = scene.sh("sleep 100");
    assert_ne!(shown.code, 0);
    assert!(shown.stderr.contains("time"), "{}", shown.stderr);
}

#[test]
fn a_read_only_path_inside_a_writable_one_stays_read_only() {
    let scene = Scene::new();
    let ws = scene.workspace();
    fs::create_dir_all(ws.join("vendor/deep")).unwrap();
    fs::write(ws.join(".env"), "TOKEN=1").unwrap();
    fs::write(ws.join("vendor/file"), "kept").unwrap();
    let scene = scene
        .policy("filesystem:\n  workspace: { path: ., access: write }\n  read: [./vendor]\n  hide: [./.env]");
    let shown = scene.sh(
        "touch free && echo w; touch vendor/x 2>/dev/null && echo OUT; mv vendor away 2>/dev/null && echo OUT; \
         rm -rf vendor 2>/dev/null; rmdir vendor 2>/dev/null && echo OUT; cat vendor/file; echo; cat .env 2>/dev/null && echo OUT; \
         mv .env away 2>/dev/null && cat away && echo OUT; ln .env l 2>/dev/null && cat l && echo OUT; true",
    ).ok();
    assert_eq!(shown.stdout, "w\nkept\n");
    assert_eq!(fs::read_to_string(ws.join(".env")).unwrap(), "TOKEN=1");
}

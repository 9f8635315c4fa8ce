//! Sandboxes inside a sandbox: they work where the policy says so, and nothing that they may do leads out.

use creel_e2e::{Scene, Shown};

const NESTED: &str = "process: { nested: true, limits: { processes: 256 } }";

/// Root has no nested sandboxes, and is told so; whether the rest of a test is for this user.
fn ordinary() -> bool {
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if root {
        let shown = Scene::new().policy(NESTED).sh("true");
        assert!(shown.code == 125 && shown.stderr.contains("ordinary user"), "{shown:?}");
    }
    !root
}

/// Runs a Python script as root of namespaces of its own inside; `call` makes a system call by its name in libc.
fn within(scene: &Scene, script: &str) -> Shown {
    let prelude = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    args = [a.encode() if isinstance(a, str) else a for a in args]
    return getattr(libc, name)(*args), ctypes.get_errno()
RDONLY, NOSUID, REMOUNT, BIND, REC, PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
def happens(what, result):
    if result[0] == 0: print('OUT', what)
    else: print('refused', what, result[1])
";
    scene.run(&["/usr/bin/unshare", "-Urmpf", "/usr/bin/env", "python3", "-c", &format!("{prelude}{script}")])
}

#[test]
fn without_the_policys_word_there_is_none() {
    let shown = Scene::new()
        .sh("unshare -U true 2>/dev/null && echo OUT; unshare -m true 2>/dev/null && echo OUT; true")
        .ok();
    assert_eq!(shown.stdout, "");
}

#[test]
fn sandboxes_of_the_agents_own_work_inside() {
    if !ordinary() {
        return;
    }
    let scene = Scene::new().policy(NESTED);
    let shown = scene
        .sh("unshare -Ur id -u; unshare -Urmpf sh -c 'mount -t tmpfs x /tmp && ls /tmp | wc -l && echo $$'; \
             unshare -Urn cat /proc/net/dev | grep -c :")
        .ok();
    assert_eq!(shown.stdout, "0\n0\n1\n1\n", "{shown:?}");
    if std::path::Path::new("/usr/bin/bwrap").exists() {
        Scene::new().policy(NESTED).sh("bwrap --ro-bind / / --unshare-pid true").ok();
        let shown = Scene::new().policy(NESTED).sh("bwrap --ro-bind / / --dev /dev --tmpfs /tmp --unshare-net --unshare-ipc --unshare-uts touch /tmp/x ./x");
        assert!(shown.code != 0 && shown.stderr.contains("./x"), "{shown:?}");
    }
    let start = scene.events().into_iter().next().expect("a start").to_string();
    assert!(start.contains("no landlock") && start.contains("nested:"), "{start}");
}

#[test]
fn no_mount_that_hides_or_closes_can_be_undone() {
    if !ordinary() {
        return;
    }
    let scene = Scene::new();
    let ws = scene.workspace();
    for dir in ["hidden", "fixed", "open"] {
        std::fs::create_dir(ws.join(dir)).unwrap();
        std::fs::write(ws.join(dir).join("file"), "SECRET").unwrap();
    }
    let scene = scene.policy(&format!("filesystem:\n  read: [./fixed]\n  hide: [./hidden]\n{NESTED}"));
    let shown = within(
        &scene,
        "
ws = os.getcwd()
hidden, fixed = ws + '/hidden', ws + '/fixed'
def look(where):
    for name in ('hidden/file', 'file'):
        try:
            if 'SECRET' in open(where + '/' + name).read(): print('OUT read', where, name)
        except OSError: pass
happens('umount the mask', call('umount2', hidden, 0))
happens('detach the mask', call('umount2', hidden, 2))
happens('umount the read-only', call('umount2', fixed, 2))
happens('umount a file of /proc', call('umount2', '/proc/sys', 2))
happens('umount the workspace', call('umount2', ws, 2))
for place in (fixed, '/usr', '/etc', '/proc/sys', '/', '/dev'):
    happens('remount ' + place, call('mount', None, place, None, REMOUNT | BIND, None))
    happens('remount all of ' + place, call('mount', None, place, None, REMOUNT, None))
os.mkdir('/tmp/b')
happens('bind without what lies beneath', call('mount', ws, '/tmp/b', None, BIND, None))
look('/tmp/b')
print('bind all', call('mount', ws, '/tmp/b', None, BIND | REC, None)[0])
look('/tmp/b')
happens('umount the mask in the copy', call('umount2', '/tmp/b/hidden', 2))
happens('remount in the copy', call('mount', None, '/tmp/b/fixed', None, REMOUNT | BIND, None))
print('detach the copy', call('umount2', '/tmp/b', 2)[0])
for d in ('u', 'w', 'm'): os.mkdir('/tmp/' + d)
happens('overlay', call('mount', 'o', '/tmp/m', 'overlay', 0, 'lowerdir=' + ws + ',upperdir=/tmp/u,workdir=/tmp/w'))
look('/tmp/m')
for kind in ('proc', 'sysfs', 'cgroup', 'cgroup2', 'debugfs', 'ext4', 'devtmpfs', 'securityfs', 'bpf'):
    happens('mount ' + kind, call('mount', kind, '/tmp/m', kind, 0, None))
    happens('mount read-only ' + kind, call('mount', kind, '/tmp/m', kind, RDONLY, None))
for path in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/1/mem', fixed + '/new', '/usr/new', '/etc/new', '/dev/new'):
    try: open(path, 'w').write('x'); print('OUT wrote', path)
    except OSError as e: print('refused', path, e.errno)
try: os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0)); print('OUT device')
except OSError: pass
os.mkdir('/tmp/r'); print('move', call('mount', 't', '/tmp/r', 'tmpfs', 0, None)[0]); os.mkdir('/tmp/r/old')
print('pivot', call('pivot_root', '/tmp/r', '/tmp/r/old') if hasattr(libc, 'pivot_root') else 'none')
look('/old' + ws)
happens('umount the mask in the old root', call('umount2', '/old' + hidden, 2))
fd = os.open('/old' + ws, os.O_RDONLY)
call('umount2', '/old', 2)
for name in ('hidden/file',):
    try:
        if b'SECRET' in os.read(os.open(name, os.O_RDONLY, dir_fd=fd), 100): print('OUT beneath a detached root')
    except OSError: pass
",
    );
    assert!(!shown.stdout.contains("OUT"), "{}", shown.stdout);
    assert!(shown.stdout.contains("bind all 0") && shown.stdout.contains("detach the copy 0"), "{shown:?}");
}

#[test]
fn no_namespace_outside_is_entered_and_no_limit_is_another_s() {
    if !ordinary() {
        return;
    }
    let scene = Scene::new().policy(NESTED);
    let shown = within(
        &scene,
        "
import socket
before = {}
for name in ('user', 'mnt', 'pid', 'net', 'cgroup'):
    try: before[name] = os.open('/proc/1/ns/' + name, os.O_RDONLY)
    except OSError as e: print('closed', name, e.errno)
happens('control group namespace', call('unshare', 0x02000000))
import resource
for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
    try:
        soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (hard + 1, hard + 1)); print('OUT limit', limit)
    except (ValueError, OSError): pass
happens('ptrace', call('ptrace', 16, os.getppid(), 0, 0))
print('own network', call('unshare', 0x40000000)[0])
for kind, address in ((socket.SOCK_STREAM, ('192.0.2.1', 9)), (socket.SOCK_STREAM, ('127.0.0.1', 80))):
    s = socket.socket(socket.AF_INET, kind); s.settimeout(3)
    try: s.connect(address); print('OUT connected', address)
    except OSError as e: print('refused', address, e.errno)
for family, kind, protocol in ((socket.AF_PACKET, 3, 0), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_NETLINK, 3, 12)):
    try: socket.socket(family, kind, protocol); print('OUT socket', family)
    except OSError: pass
",
    );
    assert!(!shown.stdout.contains("OUT") && shown.stdout.contains("own network 0"), "{shown:?}");
}

/// What the sandbox's own namespaces are to one who was born in them: a door that is shut.
#[test]
fn a_descriptor_of_the_sandboxs_namespaces_leads_back_into_none() {
    if !ordinary() {
        return;
    }
    let shown = Scene::new().policy(NESTED).python(
        "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
held = {name: os.open('/proc/self/ns/' + name, os.O_RDONLY) for name in ('user', 'mnt', 'net', 'cgroup', 'uts')}
uid, gid = os.getuid(), os.getgid()
assert libc.unshare(0x10000000) == 0
open('/proc/self/setgroups', 'w').write('deny')
open('/proc/self/uid_map', 'w').write(f'0 {uid} 1')
for name, fd in held.items():
    if libc.setns(fd, 0) == 0: print('OUT', name)
if libc.mount(b't', b'/tmp', b'tmpfs', 0, None) == 0: print('OUT mount outside a mount namespace of its own')
print('done')
",
    );
    assert_eq!(shown.stdout, "done\n", "{shown:?}");
}

#[test]
fn the_agents_own_filters_always_work() {
    let shown = Scene::new().python(
        "
import ctypes, struct, os
libc = ctypes.CDLL(None, use_errno=True)
# Landlock: a ruleset that handles writing, without any rule.
attr = struct.pack('QQ', 1 << 1, 0)
fd = libc.syscall(444, attr, len(attr), 0)
assert fd >= 0 and libc.syscall(446, fd, 0) == 0, ctypes.get_errno()
try: open('x', 'w'); print('OUT')
except PermissionError: print('landlock')
# seccomp: getppid fails with 77.
filters = struct.pack('HBBI' * 4, 0x20, 0, 0, 0, 0x15, 0, 1, 110, 6, 0, 0, 0x50000 | 77, 6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(filters)
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 4, ctypes.addressof(buffer)))
assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()
print('seccomp', libc.syscall(110), ctypes.get_errno())
",
    );
    assert_eq!(shown.stdout, "landlock\nseccomp -1 77\n", "{shown:?}");
}

#[test]
fn nesting_and_knowing_programs_exclude_each_other() {
    for (policy, said) in [
        ("process: { nested: true, exec: { deny: [/usr/bin/sudo] } }", "beside `exec`"),
        (
            "process: { nested: true }\nnetwork: { rules: [{ name: a, to: [a.test], from: [/usr/bin/curl] }] }",
            "beside `from` in rule `a`",
        ),
    ] {
        let shown = Scene::new().policy(policy).sh("true");
        assert!(shown.code != 0 && shown.stderr.contains(said), "{shown:?}");
    }
}

#[test]
fn files_of_a_sandbox_with_others_inside_are_not_changed_live() {
    if !ordinary() {
        return;
    }
    let scene = Scene::new().policy(NESTED);
    std::fs::create_dir(scene.workspace().join("a")).unwrap();
    let running = scene.start(&["/bin/sleep", "100"]);
    let policy = scene.write_policy("next.yaml", &format!("filesystem: {{ hide: [./a] }}\n{NESTED}"));
    let refused = scene.verb(&["policy", "set", &scene.name, policy.to_str().unwrap()]);
    assert!(refused.code != 0 && refused.stderr.contains("nested: true"), "{refused:?}");
    drop(running);
}

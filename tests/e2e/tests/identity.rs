//! `from:` through the binary: who counts as a program, and who only claims to be it.
//!
//! Each attack leaves a line that says that it ran to its end, so that a refusal is not taken for success where the
//! attack itself failed.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, Upstream, wait_until};
use std::path::Path;
use std::process::Command;

/// A scene with an upstream behind `api.test`, which only these programs may reach over plain HTTP.
fn scene(from: &str) -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test"]);
    let rule = format!("    - {{ name: named, to: [\"api.test:80\"], from: [{from}] }}");
    let scene = Scene::new()
        .policy(&format!("network:\n  rules:\n{rule}"))
        .with("--resolve", format!("api.test={}", upstream.plain));
    (scene, upstream)
}

/// Asks for `path` and says what became of it.
fn curl(path: &str) -> String {
    format!("curl -sS -m 20 -o /dev/null -w '{path} %{{http_code}}\\n' http://api.test/{path}")
}

#[track_caller]
fn check(shown: &Shown, upstream: &Upstream, said: &[&str], reached: &[&str]) {
    assert_eq!(shown.stdout.lines().collect::<Vec<_>>(), said, "{shown:?}");
    assert_eq!(upstream.lines(), reached, "{shown:?}");
}

/// A shared library from this C text in the workspace; false when there is no compiler.
fn library(scene: &Scene, name: &str, text: &str) -> bool {
    let source = scene.outside().join("library.c");
    std::fs::write(&source, text).unwrap();
    let output = scene.workspace().join(name);
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&output).arg(&source).status();
    match built {
        Ok(status) => {
            assert!(status.success());
            true
        }
        Err(_) => false,
    }
}

fn has(program: &str) -> bool {
    Path::new(program).exists()
}

/// Names what this machine cannot check.
fn skip(what: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("left out: {what}\n").as_bytes()).unwrap();
}

#[test]
fn a_named_program_reaches_what_it_may_each_time() {
    let (scene, upstream) = scene("/usr/bin/curl");
    let twice = "curl -sS -o /dev/null -o /dev/null -w '%{http_code}\n' -H 'Connection: close' http://api.test/a http://api.test/b";
    check(&scene.sh(twice), &upstream, &["200", "200"], &["GET /a", "GET /b"]);
}

#[test]
fn clean_variables_of_the_loader_do_no_harm() {
    let (scene, upstream) = scene("/usr/bin/curl");
    let libz = "$(ldconfig -p | grep -m1 -o '/.*libz.so.1$')";
    let script = format!(
        "LD_PRELOAD=libz.so.1 {}; LD_PRELOAD={libz} {}; LD_LIBRARY_PATH=/usr/lib:/usr/nowhere {}",
        curl("bare"),
        curl("absolute"),
        curl("path")
    );
    let said = ["bare 200", "absolute 200", "path 200"];
    check(&scene.sh(&script), &upstream, &said, &["GET /bare", "GET /absolute", "GET /path"]);
}

#[test]
fn variables_that_lead_to_the_workspace_make_it_nobody() {
    let (scene, upstream) = scene("/usr/bin/curl");
    let script = format!(
        "mkdir lib; ln -s /usr/lib link; \
         LD_LIBRARY_PATH=$PWD/lib {}; LD_LIBRARY_PATH=lib {}; LD_LIBRARY_PATH=/usr/lib: {}; \
         LD_LIBRARY_PATH=$PWD/link {}; LD_AUDIT=$PWD/x.so {}; LD_PRELOAD=./x.so {} 2>/dev/null; {}",
        curl("library"),
        curl("relative"),
        curl("empty"),
        curl("link"),
        curl("audit"),
        curl("preload"),
        curl("clean")
    );
    let said =
        ["library 403", "relative 403", "empty 403", "link 403", "audit 403", "preload 403", "clean 200"];
    check(&scene.sh(&script), &upstream, &said, &["GET /clean"]);
}

#[test]
fn a_preloaded_library_that_deletes_itself_does_not_pass_for_another_file() {
    let (scene, upstream) = scene("/usr/bin/curl");
    let text = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void go(void) {
    char *self = getenv("EVIL"), name[4096];
    if (!self) return;
    unlink(self);
    snprintf(name, sizeof name, "%s (deleted)", self);
    symlink("/usr/bin/env", name);
}
"#;
    if !library(&scene, "evil.so", text) {
        return skip("no cc");
    }
    let script = format!(
        "EVIL=$PWD/evil.so LD_PRELOAD=$PWD/evil.so {}; readlink \"$PWD/evil.so (deleted)\"",
        curl("deleted")
    );
    check(&scene.sh(&script), &upstream, &["deleted 403", "/usr/bin/env"], &[]);
}

/// Copies its own segments to anonymous memory, moves that over them, and cleans the environment.
const HIDES: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static void hide(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], rights[8];
    struct { unsigned long from, to; int rights; } found[64];
    int n = 0;
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, "evil.so")) continue;
        sscanf(line, "%lx-%lx %4s", &found[n].from, &found[n].to, rights);
        found[n++].rights = (rights[0] == 'r' ? 1 : 0) | (rights[1] == 'w' ? 2 : 0) | (rights[2] == 'x' ? 4 : 0);
    }
    fclose(maps);
    for (int i = 0; i < n; i++) {
        unsigned long size = found[i].to - found[i].from;
        char *copy = mmap(0, size, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(copy, (void *)found[i].from, size);
        mprotect(copy, size, found[i].rights);
        mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)found[i].from);
    }
    maps = fopen("/proc/self/maps", "r");
    int hidden = 1;
    while (fgets(line, sizeof line, maps)) if (strstr(line, "evil.so")) hidden = 0;
    fclose(maps);
    if (hidden) fprintf(stderr, "hidden\n");
}
__attribute__((constructor)) static void go(void) {
    char *then = getenv("THEN");
    if (!then) return;
    hide();
    unsetenv("LD_PRELOAD");
    unsetenv("THEN");
    char *none[] = { 0 };
    if (strstr(then, "fail")) execve("/nonexistent", none, none);
    if (strstr(then, "fork")) { if (fork()) { wait(0); _exit(0); } }
    if (strstr(then, "orphan")) { if (fork()) _exit(0); usleep(300000); }
}
"#;

#[test]
fn code_that_hides_its_mapping_is_known_from_the_environment_that_brought_it_in() {
    let (scene, upstream) = scene("/usr/bin/curl");
    if !library(&scene, "evil.so", HIDES) {
        return skip("no cc");
    }
    let preloaded = |then: &str| format!("THEN={then} LD_PRELOAD=$PWD/evil.so {}", curl(then));
    let script = format!(
        "exec 2>&1; {}; {}; {}; {}; sleep 1; {}",
        preloaded("hide"),
        preloaded("fail"),
        preloaded("fork"),
        preloaded("orphan"),
        curl("clean")
    );
    let said = [
        "hidden",
        "hide 403",
        "hidden",
        "fail 403",
        "hidden",
        "fork 403",
        "hidden",
        "orphan 403",
        "clean 200",
    ];
    check(&scene.sh(&script), &upstream, &said, &["GET /clean"]);
}

#[test]
fn code_that_is_loaded_after_the_first_connection_is_noticed_at_the_next() {
    let python = std::fs::canonicalize("/usr/bin/python3").unwrap_or_default();
    if !python.exists() {
        return skip("no /usr/bin/python3");
    }
    let (scene, upstream) = scene(python.to_str().unwrap());
    let script = "
import ctypes, shutil, subprocess, urllib.request as u, urllib.error
def get(path):
    try:
        print(path, u.urlopen('http://api.test/' + path).status)
    except urllib.error.HTTPError as e:
        print(path, e.code)
get('before')
libz = [l.split()[-1] for l in subprocess.getoutput('/sbin/ldconfig -p').splitlines() if 'libz.so.1 ' in l][0]
shutil.copy(libz, './late.so')
ctypes.CDLL('./late.so')
get('after')
";
    let shown = scene.run(&["/usr/bin/python3", "-c", script]);
    check(&shown, &upstream, &["before 200", "after 403"], &["GET /before"]);
}

#[test]
fn a_library_that_the_agent_may_write_from_now_on_is_foreign_from_now_on() {
    let python = std::fs::canonicalize("/usr/bin/python3").unwrap_or_default();
    if !python.exists() {
        return skip("no /usr/bin/python3");
    }
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new().with("--resolve", format!("api.test={}", upstream.plain));
    let data = scene.outside().join("data");
    std::fs::create_dir(&data).unwrap();
    let policy = |access: &str| {
        format!(
            "filesystem:\n  workspace: {{ path: ., access: write }}\n  {access}: [{}]\nnetwork:\n  rules:\n    - {{ name: named, to: [\"api.test:80\"], from: [\"{}\"] }}",
            data.display(),
            python.display()
        )
    };
    let scene = scene.policy(&policy("read"));
    let wider = scene.write_policy("wider.yaml", &policy("write"));
    let libz = Command::new("/sbin/ldconfig").arg("-p").output().unwrap().stdout;
    let libz =
        String::from_utf8_lossy(&libz).lines().find(|line| line.contains("libz.so.1 ")).map(str::to_owned);
    let Some(libz) = libz.and_then(|line| line.split_whitespace().last().map(str::to_owned)) else {
        return skip("no libz");
    };
    std::fs::copy(libz, data.join("lib.so")).unwrap();
    let script = format!(
        "
import ctypes, os, time, urllib.request as u, urllib.error
def get(path):
    try:
        print(path, u.urlopen('http://api.test/' + path).status)
    except urllib.error.HTTPError as e:
        print(path, e.code)
ctypes.CDLL('{}/lib.so')
get('before'); get('again')
open('asked', 'w').close()
while not os.path.exists('changed'): time.sleep(0.01)
get('after')
",
        data.display()
    );
    let running = scene.start(&["/usr/bin/python3", "-c", &script]);
    wait_until("the first connections", || scene.workspace().join("asked").exists());
    scene.verb(&["policy", "set", &scene.name, wider.to_str().unwrap()]).ok();
    std::fs::write(scene.workspace().join("changed"), "").unwrap();
    let said = ["before 200", "again 200", "after 403"];
    check(&running.finish(), &upstream, &said, &["GET /before", "GET /again"]);
}

#[test]
fn a_fork_without_exec_is_still_its_program() {
    if !has("/usr/bin/perl") {
        return skip("no /usr/bin/perl");
    }
    let (scene, upstream) = scene("/usr/bin/perl");
    let script = format!("{PERL_GET} if (fork() == 0) {{ get('fork'); exit 0 }} wait; get('self');");
    let shown = scene.run(&["/usr/bin/perl", "-e", &script]);
    check(&shown, &upstream, &["fork 200", "self 200"], &["GET /fork", "GET /self"]);
}

/// `get(path)`: asks and prints the status.
const PERL_GET: &str = r#"
use IO::Socket::INET; $| = 1;
sub get {
    my $s = IO::Socket::INET->new(PeerAddr => "api.test", PeerPort => 80) or do { print "$_[0] none\n"; return };
    print $s "GET /$_[0] HTTP/1.0\r\nHost: api.test\r\n\r\n";
    my ($status) = join("", <$s>) =~ /^HTTP\S+ (\d+)/;
    print "$_[0] $status\n";
}
"#;

#[test]
fn a_child_that_is_older_than_its_parents_program_is_not_of_its_tree() {
    if !has("/usr/bin/perl") || !has("/usr/bin/sort") {
        return skip("no /usr/bin/perl or /usr/bin/sort");
    }
    let (scene, upstream) = scene("\"tree:/usr/bin/sort\"");
    // The parent becomes `sort`, which waits on a pipe. The child asks; so do a program that it executes, and a child
    // that it gives its parent with CLONE_PARENT (0x8000, and SIGCHLD) after the fact.
    let script = format!(
        "{PERL_GET}
$^F = 99;
pipe(my $r, my $w);
my $parent = $$;
if (fork() == 0) {{
    sleep 1;
    print readlink(\"/proc/$parent/exe\"), \"\\n\";
    get('forked');
    system('/usr/bin/perl', '-e', $ARGV[0] . 'get(\"executed\")', $ARGV[0]);
    pipe(my $done, my $doing);
    if (syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0) {{
        print getppid() == $parent ? \"adopted\\n\" : \"not adopted\\n\";
        get('sibling');
        exec('/usr/bin/perl', '-e', $ARGV[0] . 'get(\"sibling-executed\")');
    }}
    close $doing; <$done>;
    kill 9, $parent;
    exit 0;
}}
open(STDIN, '<&', $r); exec('/usr/bin/sort');"
    );
    let shown = scene.run(&["/bin/sh", "-c", "perl -e \"$0\" \"$1\"; true", &script, PERL_GET]);
    let said =
        ["/usr/bin/sort", "forked 403", "executed 403", "adopted", "sibling 403", "sibling-executed 403"];
    check(&shown, &upstream, &said, &[]);
}

#[test]
fn children_of_a_program_are_of_its_tree_also_of_one_that_replaced_a_shell() {
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let (scene, upstream) = scene(&format!("\"tree:{}\"", shell.display()));
    std::fs::write(scene.workspace().join("script"), format!("#!/bin/sh\n{}\ntrue\n", curl("script")))
        .unwrap();
    // The third: a shell that others are older than has children of its own, too.
    let script = format!(
        "{}; chmod +x script; env ./script; sleep 20 & exec /bin/sh -c \"{}; kill $!\"",
        curl("child"),
        curl("replaced").replace('$', "\\$")
    );
    let said = ["child 200", "script 200", "replaced 200"];
    check(&scene.sh(&script), &upstream, &said, &["GET /child", "GET /script", "GET /replaced"]);
}

#[test]
fn a_program_in_foreign_hands_lends_its_tree_to_nobody() {
    if !has("/usr/bin/perl") {
        return skip("no /usr/bin/perl");
    }
    let (scene, upstream) = scene("\"tree:/usr/bin/perl\"");
    let child = format!("system(q({}));", curl("child"));
    let script = format!("perl -e '{0}'; LD_LIBRARY_PATH=. perl -e '{0}'", child.replace('\'', "'\\''"));
    check(&scene.sh(&script), &upstream, &["child 200", "child 403"], &["GET /child"]);
}

#[test]
fn git_and_what_it_starts_are_of_its_tree() {
    let Some(git) = ["/usr/bin/git", "/usr/local/bin/git"].into_iter().find(|git| has(git)) else {
        return skip("no git");
    };
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let policy = format!(
        "network:\n  rules:\n    - {{ name: git, to: [api.test], from: [\"tree:{git}\"], http: {{ allow: [\"* /**\"] }} }}"
    );
    let scene =
        scene.policy(&policy).with("--trust", ca).with("--resolve", format!("api.test={}", upstream.tls));
    // The upstream is no repository: that it was asked is enough.
    let shown = scene.sh(&format!(
        "{git} ls-remote https://api.test/repo; curl -sS -o /dev/null -w '%{{http_code}}\n' https://api.test/curl"
    ));
    check(&shown, &upstream, &["403"], &["GET /repo/info/refs?service=git-upload-pack"]);
}

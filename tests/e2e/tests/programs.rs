//! `process.exec` through the binary: what may be executed, and the tricks by which a program passes for another.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown, wait_until};
use std::path::Path;
use std::process::Command;

/// A scene whose policy has this `exec:`.
fn scene(exec: &str) -> Scene {
    Scene::new().policy(&policy(exec))
}

fn policy(exec: &str) -> String {
    format!("process:\n  exec: {exec}")
}

/// Runs a command in a shell and says its exit status (126: it may not be executed).
fn try_each(commands: &[&str]) -> String {
    commands.iter().map(|command| format!("({command}) >/dev/null 2>&1; echo $?\n")).collect()
}

#[track_caller]
fn check(shown: &Shown, statuses: &[&str]) {
    assert_eq!(shown.stdout.lines().collect::<Vec<_>>(), statuses, "{shown:?}");
}

/// Names what this machine cannot check.
fn skip(what: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("left out: {what}\n").as_bytes()).unwrap();
}

/// A program from this C text in the workspace; false when there is no compiler.
fn compiled(scene: &Scene, name: &str, text: &str) -> bool {
    let source = scene.outside().join("program.c");
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc")
        .args(["-O1", "-Wl,--build-id=none", "-o"])
        .arg(scene.workspace().join(name))
        .arg(&source)
        .status();
    built.is_ok_and(|status| status.success())
}

fn true_name(path: &str) -> String {
    std::fs::canonicalize(path).unwrap().display().to_string()
}

#[test]
fn a_denied_program_is_refused_under_each_of_its_names() {
    let scene = scene("{ deny: [/usr/bin/uname, ./tool] }");
    std::fs::copy("/usr/bin/env", scene.workspace().join("tool")).unwrap();
    let commands = [
        "uname",
        "/usr/bin/uname",
        "/usr/bin/../bin/uname",
        "cd /usr/bin && ./uname",
        "ln -s /usr/bin/uname link; ./link",
        "env uname",
        "env -i /usr/bin/uname",
        "sh -c 'exec uname'",
        "./tool true",
        "ln tool hard; ./hard true",
        "mv tool moved; ln -s moved tool; ./moved true",
        "whoami",
        "id",
    ];
    let said = ["126"; 11].into_iter().chain(["0", "0"]).collect::<Vec<_>>();
    check(&scene.sh(&try_each(&commands)), &said);
}

#[test]
fn arguments_decide_where_a_rule_has_them() {
    let scene = scene("{ deny: [\"/usr/bin/env ** push **\", \"/usr/bin/env -u *\"] }");
    let commands = ["env true", "env push", "env -i push x", "env -i pushed", "env -u A", "env -u A true"];
    check(&scene.sh(&try_each(&commands)), &["0", "126", "126", "127", "126", "0"]);
}

#[test]
fn arguments_that_are_too_many_to_compare_count_as_denied_and_not_as_changed() {
    let scene = scene("{ deny: [\"/usr/bin/env push\"] }");
    let commands = [
        "/usr/bin/true $(seq 1 20000)",
        "/usr/bin/true $(seq 100000 150000)",
        "/usr/bin/true $(printf %0100000d 1) $(printf %0100000d 2)",
        "env true $(seq 1 1000)",
        "env true $(seq 1 20000)",
    ];
    check(&scene.sh(&try_each(&commands)), &["0", "0", "0", "0", "126"]);
}

#[test]
fn an_allow_list_admits_what_it_names_and_nothing_else() {
    let sh = true_name("/bin/sh");
    let scene = scene(&format!("{{ allow: [{sh}, /usr/bin/env, \"/usr/bin/uname -s\"] }}"));
    let copied = scene.workspace().join("copied");
    std::fs::copy("/usr/bin/env", &copied).unwrap();
    let commands = ["env", "uname -s", "uname", "uname -s -m", "id", "./copied", "env id"];
    check(&scene.sh(&try_each(&commands)), &["0", "0", "126", "126", "126", "126", "126"]);
}

#[test]
fn a_digest_is_the_content_wherever_it_lies() {
    let sum = digest_of(Path::new("/usr/bin/env"));
    let scene = scene(&format!("{{ deny: [\"sha256:{sum}\"] }}"));
    let commands = ["env", "cp /usr/bin/env copy; ./copy", "echo >>copy; ./copy"];
    check(&scene.sh(&try_each(&commands)), &["126", "126", "0"]);
}

#[test]
fn a_script_is_judged_as_itself_and_as_its_interpreter() {
    let scene = scene("{ deny: [./denied, /usr/bin/env, \"/**/sed -n *\"] }");
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = scene.workspace().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("denied", "#!/bin/sh\ntrue\n");
    script("fine", "#!/bin/sh\ntrue\n");
    script("by-env", "#!/usr/bin/env sh\ntrue\n");
    script("nested", "#!./by-env\ntrue\n");
    script("plain", "true\n");
    script("sed-n", "#!/usr/bin/sed -n\np\n");
    script("sed-f", "#!/usr/bin/sed -nf\np\n");
    let commands = ["./denied", "./fine", "./by-env", "./nested", "./plain", "./sed-n", "./sed-f fine"];
    check(&scene.sh(&try_each(&commands)), &["126", "0", "126", "126", "0", "126", "0"]);
}

#[test]
fn who_executes_decides_where_a_rule_asks() {
    let sh = true_name("/bin/sh");
    let scene = scene("{ deny: [{ run: /usr/bin/uname, from: [\"tree:/usr/bin/timeout\"] }] }");
    let commands = ["uname", "timeout 9 uname", "timeout 9 sh -c 'uname || exit 5; true'", "timeout 9 id"];
    check(&scene.sh(&try_each(&commands)), &["0", "126", "5", "0"]);
    let only = self::scene(&format!(
        "{{ allow: [{sh}, /usr/bin/env, {{ run: /usr/bin/uname, from: [/usr/bin/env] }}] }}"
    ));
    check(&only.sh(&try_each(&["uname", "env uname"])), &["126", "0"]);
}

#[test]
fn a_program_in_foreign_hands_lends_its_name_to_nobody() {
    let sh = true_name("/bin/sh");
    let scene = scene(&format!(
        "{{ allow: [{sh}, /usr/bin/timeout, {{ run: /usr/bin/uname, from: [/usr/bin/timeout] }}] }}"
    ));
    let commands = ["timeout 9 uname", "LD_LIBRARY_PATH=. timeout 9 uname", "uname"];
    check(&scene.sh(&try_each(&commands)), &["0", "126", "126"]);
}

#[test]
fn the_dynamic_loader_runs_nothing_for_anybody() {
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let Some(loader) = loader.into_iter().find(|loader| Path::new(loader).exists()) else {
        return skip("no dynamic loader where one is expected");
    };
    let scene = scene("{ allow: [\"/usr/**\", \"/bin/**\", \"/lib*/**\"], deny: [/usr/bin/uname] }");
    let real = true_name(loader);
    let commands = [&format!("{loader} /usr/bin/uname"), &format!("{real} /usr/bin/uname"), "id"];
    check(&scene.sh(&try_each(&commands)), &["126", "126", "0"]);
}

#[test]
fn a_program_without_a_file_is_judged_by_what_it_is() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("no /usr/bin/python3");
    }
    // By descriptor, by the descriptor's name, from anonymous memory, and under a false name.
    let script = "
import os, sys
how, name = sys.argv[1:]
fd = os.open(name, os.O_RDONLY)
if how == 'memory':
    memory = os.memfd_create('uname')
    os.write(memory, open(name, 'rb').read())
    fd = memory
elif how == 'unlinked':
    open('gone', 'wb').write(open(name, 'rb').read())
    os.chmod('gone', 0o755)
    fd = os.open('gone', os.O_RDONLY)
    os.unlink('gone')
try:
    if how == 'proc': os.execv('/proc/self/fd/%d' % fd, [name])
    if how == 'liar': os.execv(name, ['/usr/bin/id'])
    os.execve(fd, [name], {})
except PermissionError:
    sys.exit(126)
";
    let python = true_name("/usr/bin/python3");
    let sh = true_name("/bin/sh");
    let commands = |hows: &[&str], name: &str| -> Vec<String> {
        hows.iter().map(|how| format!("/usr/bin/python3 script {how} {name}")).collect()
    };
    let run = |exec: &str, hows: &[&str], name: &str, said: &[&str]| {
        let scene = scene(exec);
        std::fs::write(scene.workspace().join("script"), script).unwrap();
        let commands = commands(hows, name);
        check(&scene.sh(&try_each(&commands.iter().map(String::as_str).collect::<Vec<_>>())), said);
    };
    let deny = "{ deny: [/usr/bin/uname] }";
    run(deny, &["fd", "proc", "liar"], "/usr/bin/uname", &["126", "126", "126"]);
    run(deny, &["fd", "proc", "liar", "memory"], "/usr/bin/id", &["0", "0", "0", "0"]);
    let allow = format!("{{ allow: [{sh}, {python}, /usr/bin/id] }}");
    run(&allow, &["fd", "memory", "unlinked"], "/usr/bin/id", &["0", "126", "126"]);
}

/// Changes something back and forth, while children execute it many times: one byte of a path or an argument in shared
/// memory, the file behind the path, or one byte in that file. Says whether any program ran that returns 42.
const SWAPS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int times = atoi(argv[1]), ended[4] = {0};
    char what = argv[2][0];
    volatile char *text = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static char bytes[2][1 << 20];
    int at = 0;
    for (int i = 0; i < 2; i++) {
        int fd = open(i ? "./b" : "./a", O_RDONLY);
        if (read(fd, bytes[i], sizeof bytes[i]) < 1) return 1;
        close(fd);
    }
    while (bytes[0][at] == bytes[1][at]) at++;
    strcpy((char *)text, "./a");
    static char *list[] = { "x", "yyy", 0 }, *none[] = { 0 };
    if (what == 'a') list[1] = (char *)text;
    char *volatile name = what == 'a' ? "./b" : what == 'p' ? (char *)text : "./a";
    int other = fork();
    if (!other) for (int turn = 1;; turn = !turn) {
        for (volatile int i = 0; i < 3000; i++);
        if (what == 'f') syscall(SYS_renameat2, AT_FDCWD, "./a", AT_FDCWD, "./b", 2);
        else if (what == 'c') {
            int fd = open("./a", O_WRONLY);
            if (fd >= 0) pwrite(fd, bytes[turn] + at, 1, at);
            close(fd);
            usleep(200);
        }
        else text[2] = turn ? 'b' : 'a';
    }
    for (int i = 0; i < times; i++) {
        int status, child = vfork();
        if (!child) {
            execve(name, list, none);
            _exit(126);
        }
        waitpid(child, &status, 0);
        int code = WEXITSTATUS(status);
        ended[WIFSIGNALED(status) ? 3 : code == 42 ? 0 : code == 126 ? 1 : 2]++;
    }
    kill(other, SIGKILL);
    printf("%s %s %s %d\n", ended[1] ? "refused" : "never refused", ended[2] ? "allowed" : "never allowed",
        ended[3] ? "killed" : "never killed", ended[0]);
}
"#;

/// Denied is what returns 42: `b`, or `b` with the argument `./b`.
#[track_caller]
fn swap(what: &str, rule: impl Fn(&Scene) -> String, killed: bool) {
    let scene = Scene::new();
    // They differ in one byte.
    let program = |code: u8| {
        format!(
            "volatile int code = {code}; int main(int c, char **v) {{ return v[1][2] == 'a' ? 0 : code; }}"
        )
    };
    if !compiled(&scene, "b", &program(42)) || !compiled(&scene, "a", &program(7)) {
        return skip("no cc");
    }
    assert!(compiled(&scene, "swaps", SWAPS));
    let rule = policy(&rule(&scene));
    let scene = scene.policy(&rule);
    let shown = scene.run(&["./swaps", "1500", what]);
    assert!(
        shown.stdout.starts_with("refused allowed ") && shown.stdout.ends_with("killed 0\n"),
        "{what}: {shown:?}"
    );
    // Where the kernel leaves no room for it, nothing need be killed.
    assert!(!killed || !shown.stdout.contains("never"), "{what}: {shown:?}");
    let text = std::fs::read_to_string(scene.record()).unwrap();
    assert!(!killed || text.contains("that was judged") || text.contains("that were judged"), "{what}");
}

fn digest_of(path: &Path) -> String {
    let sum = Command::new("sha256sum").arg(path).output().unwrap().stdout;
    String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn what_was_judged_is_what_runs_though_its_path_changes_on_the_way() {
    swap("path", |_| "{ deny: [./b] }".to_owned(), true);
}

#[test]
fn what_was_judged_is_what_runs_though_its_arguments_change_on_the_way() {
    swap("argument", |_| "{ deny: [\"./b ./b\"] }".to_owned(), true);
}

#[test]
fn what_was_judged_is_what_runs_though_its_file_is_exchanged_on_the_way() {
    let rule =
        |scene: &Scene| format!("{{ deny: [\"sha256:{}\"] }}", digest_of(&scene.workspace().join("b")));
    swap("file", rule, true);
}

#[test]
fn what_was_judged_is_what_runs_though_its_content_changes_on_the_way() {
    let rule =
        |scene: &Scene| format!("{{ deny: [\"sha256:{}\"] }}", digest_of(&scene.workspace().join("b")));
    swap("content", rule, false);
}

/// A thread that has no part in it executes, while others of the process spin and signal.
const THREADS: &str = r#"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *spin(void *nothing) { for (;;) kill(getpid(), SIGCONT); }
static void *go(void *name) { char *list[] = { name, 0 }; execve(name, list, 0); _exit(126); }
int main() {
    int ended[2] = {0};
    for (int i = 0; i < 200; i++) {
        int status, child = fork();
        if (!child) {
            pthread_t thread;
            signal(SIGCONT, SIG_IGN);
            for (int n = 0; n < 2; n++) pthread_create(&thread, 0, spin, 0);
            pthread_create(&thread, 0, go, i % 2 ? "/usr/bin/true" : "/usr/bin/false");
            pause();
        }
        waitpid(child, &status, 0);
        if (WIFEXITED(status)) ended[i % 2] += WEXITSTATUS(status) == (i % 2 ? 0 : 126);
    }
    printf("%d %d\n", ended[0], ended[1]);
}
"#;

#[test]
fn a_thread_executes_as_a_process_does() {
    let scene = scene("{ deny: [/usr/bin/false] }");
    if !compiled(&scene, "threads", THREADS) {
        return skip("no cc");
    }
    assert_eq!(scene.sh("./threads").ok().stdout, "100 100\n");
}

#[test]
fn a_live_change_holds_from_the_next_execution_on_and_ends_nothing() {
    let scene = scene("{ deny: [/usr/bin/uname] }");
    let other = scene.write_policy("other.yaml", &policy("{ deny: [/usr/bin/id, /usr/bin/sleep] }"));
    let script = "sleep 60 & (uname; id) >/dev/null 2>&1; echo $?; touch asked; \
                  while ! test -e changed; do :; done; (uname) >/dev/null; echo $?; (id) 2>/dev/null; echo $?; \
                  kill $! && echo it ran";
    let running = scene.start(&["/bin/sh", "-c", script]);
    wait_until("the first programs", || scene.workspace().join("asked").exists());
    scene.verb(&["policy", "set", &scene.name, other.to_str().unwrap()]).ok();
    std::fs::write(scene.workspace().join("changed"), "").unwrap();
    check(&running.finish(), &["0", "0", "126", "it ran"]);
}

#[test]
fn observing_records_what_enforcing_would_refuse() {
    let scene = Scene::new().policy("mode: observe\nprocess:\n  exec: { deny: [/usr/bin/uname] }");
    check(&scene.sh(&try_each(&["uname", "id"])), &["0", "0"]);
    assert!(
        scene.verb(&["audit", "show", scene.record().to_str().unwrap()]).ok().stdout.contains("observed")
    );
}

#[test]
fn the_record_says_who_executed_what_and_why_it_was_refused() {
    let scene = scene("{ deny: [\"/usr/bin/uname -a\"] }");
    scene.sh("mkdir sub; cd sub; uname -a");
    let record = scene.record();
    let shown = scene.verb(&["audit", "show", record.to_str().unwrap(), "--refused"]).ok().stdout;
    for part in ["uname -a", "`deny: /usr/bin/uname -a` takes it", "process.exec.deny"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let events = scene.events();
    let refused = events.iter().find(|event| event.to_string().contains("process.exec.deny")).unwrap();
    let text = refused.to_string();
    for part in ["/usr/bin/uname", "/sub", &true_name("/bin/sh"), "allow", "leave out"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

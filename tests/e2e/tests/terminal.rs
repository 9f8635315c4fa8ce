//! A person at a terminal: window size, Ctrl-C, job control, and the terminal as it was afterwards.
//!
//! The person is a Python program that holds the outer end of a pseudo-terminal (`pty(7)`), types and reads.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Shown};

/// Says what is on the screen, types, resizes; the script below it says what a person does.
const PERSON: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time

def size(rows, columns):
    fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def sees(text, within=20):
    global screen
    end = time.time() + within
    while text not in screen:
        if time.time() > end or not select.select([outer], [], [], 1)[0] and time.time() > end:
            sys.exit(f"{text!r} never came; the screen: {screen!r}")
        if select.select([outer], [], [], 0.1)[0]:
            try:
                got = os.read(outer, 4096).decode(errors="replace")
            except OSError:
                got = ""
            if not got:
                sys.exit(f"{text!r} never came before the end; the screen: {screen!r}")
            screen += got
    screen = screen.split(text, 1)[1]

def types(text):
    os.write(outer, text.encode())

def ends(code):
    rest = ""
    while select.select([outer], [], [], 20)[0]:
        try:
            got = os.read(outer, 4096).decode(errors="replace")
        except OSError:
            got = ""
        if not got:
            break
        rest += got
    else:
        sys.exit(f"it does not end; the screen: {rest!r}")
    found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if found != code:
        sys.exit(f"it ended with {found} and not with {code}")

screen = ""
child, outer = pty.fork()
if child == 0:
    time.sleep(0.2)
    os.execvp(sys.argv[1], sys.argv[1:])
size(30, 100)
"#;

/// Runs `command` in a sandbox at a terminal, with a person who does `script`.
fn check(command: &[&str], script: &str) {
    let scene = Scene::new();
    let run = scene.creel();
    let mut person = std::process::Command::new("python3");
    for (key, value) in run.get_envs() {
        person.env(key, value.unwrap_or_default());
    }
    person.arg("-c").arg(format!("{PERSON}\n{script}")).arg(run.get_program());
    person
        .args(["run", "-q", "--name", &scene.name, "--workspace"])
        .arg(scene.workspace())
        .arg("--")
        .args(command);
    let shown = Shown::from(person.output().unwrap());
    assert_eq!(shown.code, 0, "{}", shown.stderr);
}

#[test]
fn the_window_has_the_size_of_the_persons_and_follows_it() {
    let command = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done";
    check(
        &["/bin/sh", "-c", command],
        r#"
sees("30 100")
size(41, 123)
sees("41 123")
types("\x03")
ends(130)
"#,
    );
}

#[test]
fn ctrl_c_reaches_the_command_and_not_creel() {
    let command = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    check(
        &["/bin/sh", "-c", command],
        r#"
sees("ready")
types("\x03")
sees("caught")
ends(9)
"#,
    );
}

#[test]
fn a_shell_inside_has_job_control() {
    check(
        &["/bin/bash", "--norc", "-i"],
        r#"
types("PS1='$ '; sleep 1000\n")
sees("sleep 1000\r\n")
time.sleep(0.5)
types("\x1a")
sees("Stopped")
types("kill -9 %1; wait %1; while jobs %1; do sleep 0.1; done; echo gone $((6 * 7))\n")
sees("gone 42")
types("exit 5\n")
ends(5)
"#,
    );
}

#[test]
fn the_terminal_is_afterwards_as_it_was() {
    check(
        &["/bin/sh", "-c", "stty raw -echo; echo changed; read _; exit 3"],
        r#"
before = termios.tcgetattr(outer)
sees("changed")
during = termios.tcgetattr(outer)
holder = os.open(os.readlink(f"/proc/{child}/fd/0"), os.O_RDWR | os.O_NOCTTY)
types("\n")
found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
after = termios.tcgetattr(outer)
if found != 3: sys.exit(f"it ended with {found}")
if before[:4] == during[:4]: sys.exit("the terminal was never put into another mode")
if before[:4] != after[:4]: sys.exit(f"{before[:4]} became {after[:4]}")
"#,
    );
}

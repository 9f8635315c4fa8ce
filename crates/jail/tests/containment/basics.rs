//! What a sandbox is when nobody attacks it.

use crate::support::{self, Case, plan, run, sh, start, with};
use creel_api::plan::{What, WindowSize};
use creel_jail::JailError;
use creel_jail::link::{Exit, Job, NotRun, Order, Report, Spawn, Target};
use creel_kernel::mount;
use creel_kernel::process::{self, Cloned};
use creel_types::Size;
use rustix::process::{Pid, WaitOptions};
use std::os::fd::AsFd;
use std::path::Path;

pub const CASES: &[Case] = &[
    ("a_command_runs_in_all_layers", a_command_runs_in_all_layers),
    ("a_missing_command_and_one_that_may_not_run_are_told_apart", missing_and_forbidden_commands),
    ("grants_scratch_and_hidden_places_are_what_the_plan_says", places_are_as_planned),
    ("a_hidden_path_inside_a_grant_shows_nothing", hidden_inside_a_grant),
    ("a_symbolic_link_at_a_place_is_refused", link_at_a_place),
    ("a_terminal_is_the_commands_own_and_controls_it", terminal),
    ("further_commands_run_and_are_signalled", further_commands),
    ("every_usual_device_and_directory_works", devices),
    ("limits_hold_and_are_reported", limits),
    ("killing_the_wardens_link_leaves_nothing_behind", link_end_kills),
    ("a_dead_warden_leaves_nothing_behind", dead_warden),
    ("the_warden_reads_what_is_executed", executed),
    ("etc_is_right_also_where_files_in_it_are_mounts", mounts_in_etc),
    ("start_is_fast", timing),
];

fn a_command_runs_in_all_layers() {
    let done = sh("echo hello; cat /etc/creel/marker; hostname; test -s /etc/passwd && echo passwd; exit 7");
    assert_eq!(done.output, "hello\nhere\ncreel-test\npasswd\n", "{done:?}");
    assert_eq!(done.status(), 7, "{done:?}");
    assert!(done.asked >= 2, "exec is asked about: {done:?}");
}

fn missing_and_forbidden_commands() {
    for (command, status) in [("no-such-program", 127), ("/etc/passwd", 126), ("/tmp", 126)] {
        let mut plan = plan("");
        plan.command = vec![command.into()];
        let done = run(&plan);
        assert_eq!(done.exit, Some(Exit::Code(status)), "{done:?}");
        let why = done.reports.iter().find_map(|r| match r {
            Report::NotRun { why, .. } => Some(why.clone()),
            _ => None,
        });
        assert_eq!(why == Some(NotRun::NotFound), status == 127, "{done:?}");
    }
}

fn places_are_as_planned() {
    let dir = tempdir();
    std::fs::create_dir(dir.join("ro")).unwrap();
    std::fs::create_dir(dir.join("rw")).unwrap();
    std::fs::create_dir(dir.join("rw/fixed")).unwrap();
    std::fs::write(dir.join("ro/file"), "x").unwrap();
    let mut plan = plan(
        "cat /work/ro/file; touch /work/ro/new 2>/dev/null && echo BAD; echo y > /work/rw/new && echo wrote; \
         touch /work/rw/fixed/x 2>/dev/null && echo BAD; echo z > /srv/s/f && cat /srv/s/f; cat /srv/one",
    );
    for (at, what) in [
        ("/work/ro", What::Read(dir.join("ro"))),
        ("/work/rw", What::Write(dir.join("rw"))),
        ("/work/rw/fixed", What::Read(dir.join("rw/fixed"))),
        ("/srv/s", What::Scratch),
        ("/srv/one", What::Read(dir.join("ro/file"))),
    ] {
        plan = with(plan, Path::new(at), what);
    }
    let done = run(&plan);
    assert_eq!(done.output, "xwrote\nz\nx", "{done:?}");
    assert_eq!(std::fs::read_to_string(dir.join("rw/new")).unwrap(), "y\n");
}

fn hidden_inside_a_grant() {
    let dir = tempdir();
    std::fs::create_dir(dir.join("secret")).unwrap();
    std::fs::write(dir.join("secret/key"), "k").unwrap();
    std::fs::write(dir.join(".env"), "K=V").unwrap();
    let mut plan = plan(
        "cd /work; cat .env secret/key 2>/dev/null; chmod 777 .env secret 2>/dev/null; cat .env secret/key 2>/dev/null; \
         rm -rf .env secret 2>/dev/null; mv .env x 2>/dev/null; ls; cat /etc/shadow 2>/dev/null",
    );
    plan = with(plan, Path::new("/work"), What::Write(dir.clone()));
    for hidden in ["/work/secret", "/work/.env", "/work/not-there"] {
        plan = with(plan, Path::new(hidden), What::Hidden);
    }
    let done = run(&plan);
    assert_eq!(done.output, "secret\n", "{done:?}");
    assert_eq!(std::fs::read_to_string(dir.join("secret/key")).unwrap(), "k");
}

fn link_at_a_place() {
    let dir = tempdir();
    std::os::unix::fs::symlink("/etc", dir.join("hooks")).unwrap();
    let plan = with(plan("true"), Path::new("/work"), What::Write(dir.clone()));
    let plan = with(plan, Path::new("/work/hooks"), What::Read(dir));
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    let error = creel_jail::start(&plan, [null(), null(), null()]).expect_err("it must not start");
    assert!(
        matches!(error, JailError::Plan { .. }) && error.to_string().contains("symbolic link"),
        "{error}"
    );
}

fn terminal() {
    let mut plan = plan("test -t 0 && tty && stty size && echo x > /dev/tty");
    plan.terminal = Some(WindowSize { rows: 33, cols: 99 });
    let mut sandbox = start(&plan);
    let done = sandbox.go();
    assert_eq!(done.status(), 0, "{done:?}");
    let mut buffer = [0; 4096];
    let master = sandbox.started.terminal.as_ref().expect("a terminal was asked for");
    let length = rustix::io::read(master, &mut buffer).unwrap();
    let output = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert_eq!(output, "/dev/pts/0\r\n33 99\r\nx\r\n");
}

fn further_commands() {
    let mut sandbox = start(&plan("sleep 100"));
    sandbox.link().send(&Order::Go, &[]).unwrap();
    sandbox.serve(|report| matches!(report, Report::Running { .. }));
    let null = std::fs::File::open("/dev/null").unwrap();
    let spawn = |job, script: &str, terminal| {
        let command = ["sh", "-c", script].map(Into::into).to_vec();
        Order::Spawn(Spawn { job: Job(job), command, env: plan("").env, cwd: "/".into(), terminal })
    };
    let fds = [null.as_fd(); 3];
    sandbox.link().send(&spawn(1, "exit 5", None), &fds).unwrap();
    let done = sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    assert_eq!(done.status(), 5, "{done:?}");
    sandbox.link().send(&spawn(2, "test -t 1; exit $?", Some(WindowSize { rows: 2, cols: 2 })), &[]).unwrap();
    let done = sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    assert_eq!(done.status(), 0, "{done:?}");
    assert!(done.reports.contains(&Report::Terminal { job: Job(2) }), "{done:?}");
    sandbox.link().send(&spawn(3, "true", None), &[]).unwrap();
    let done = sandbox.serve(|report| matches!(report, Report::NotRun { .. }));
    assert!(done.exit.is_none(), "without descriptors it does not run: {done:?}");
    sandbox.link().send(&Order::Signal { to: Target::Job(Job(0)), signal: 15 }, &[]).unwrap();
    let done = sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    assert_eq!(done.exit, Some(Exit::Signal(15)), "{done:?}");
}

fn devices() {
    let done =
        sh("set -e; echo x > /dev/null; head -c 4 /dev/urandom | wc -c; head -c 2 /dev/zero | wc -c; \
         echo a > /dev/shm/f; echo a > /tmp/f; echo a > /var/tmp/f; echo err > /dev/stderr; \
         test -r /sys/devices/system/cpu/online; script -qc 'echo pty' /dev/null | tr -d '\\r'; \
         python3 -c 'import multiprocessing as m; m.Lock(); print(m.cpu_count() > 0)'");
    assert_eq!(done.output, "4\n2\nerr\npty\nTrue\n", "{done:?}");
    assert_eq!(done.status(), 0);
}

fn limits() {
    let mut plan = plan("ulimit -n; ulimit -c; head -c 100000 /dev/zero > /tmp/f 2>/dev/null; echo $?");
    plan.limits.open_files = Some(64);
    plan.limits.file_size = Some(Size(50_000));
    plan.limits.processes = Some(20);
    let mut sandbox = start(&plan);
    let done = sandbox.go();
    assert_eq!(done.output, "64\n0\n153\n", "{done:?}");
    let limits = sandbox.started.enforced.layers.iter().find(|l| l.layer == "limits").unwrap();
    assert!(limits.mechanisms.iter().any(|m| m.contains("pids") || m == "RLIMIT_NPROC"), "{limits:?}");
    drop(sandbox);
    plan.command =
        ["/bin/sh", "-c", "for i in $(seq 60); do sleep 1 & done 2>/dev/null; wait"].map(Into::into).to_vec();
    let mut sandbox = start(&plan);
    sandbox.link().send(&Order::Go, &[]).unwrap();
    let pids =
        sandbox.started.group.paths().find(|p| p.to_string_lossy().contains("pids")).map(Path::to_owned);
    let done = sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    assert_ne!(done.exit, None);
    drop(sandbox);
    assert!(pids.is_none_or(|dir| !dir.exists()), "the group is removed");
}

fn link_end_kills() {
    let mut sandbox = start(&plan("setsid sh -c 'sleep 300 & sleep 300' & sleep 300"));
    sandbox.link().send(&Order::Go, &[]).unwrap();
    sandbox.serve(|report| matches!(report, Report::Running { .. }));
    let init = sandbox.started.init.try_clone().unwrap();
    sandbox.cut();
    let mut fds = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    assert_eq!(
        rustix::event::poll(&mut fds, Some(&limit)).unwrap(),
        1,
        "init has ended, and so has everything"
    );
}

fn executed() {
    let done = sh("/bin/true; exec /usr/bin/env true");
    // What init starts is closed to inspection until it is itself, but for root; the warden knows it from its orders.
    let first = if rustix::process::getuid().is_root() { "/bin/sh" } else { "process_vm_readv" };
    assert!(done.executed[0].starts_with(first), "{done:?}");
    assert_eq!(done.executed[1..3], ["/bin/true", "/usr/bin/env"], "{done:?}");
}

fn dead_warden() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::process::set_child_subreaper(Pid::from_raw(1)).unwrap();
    let Some(warden) = process::fork().unwrap() else {
        let mut sandbox = start(&plan("setsid sleep 300 & sleep 300"));
        sandbox.link().send(&Order::Go, &[]).unwrap();
        sandbox.serve(|report| matches!(report, Report::Running { .. }));
        rustix::io::write(&write, &sandbox.started.pid.to_ne_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(100));
        process::exit_now(0);
    };
    let mut pid = [0; 4];
    rustix::io::read(&read, &mut pid).unwrap();
    let init = Pid::from_raw(i32::from_ne_bytes(pid));
    let warden = Pid::from_raw(warden as i32);
    rustix::process::kill_process(warden.unwrap(), rustix::process::Signal::KILL).unwrap();
    rustix::process::waitpid(warden, WaitOptions::empty()).unwrap();
    // Init is ours now; the kernel lets it end only after everything in its pid namespace.
    let (_, status) = rustix::process::waitpid(init, WaitOptions::empty()).unwrap().unwrap();
    assert!(status.terminating_signal() == Some(9) || status.exit_status() == Some(0), "{status:?}");
    rustix::process::set_child_subreaper(None).unwrap();
}

/// As in a container: a file of `/etc` is a mount that the sandbox's user namespace may not leave out.
fn mounts_in_etc() {
    const NEW: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u64;
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    match process::clone(NEW, None).unwrap() {
        Cloned::Child => {
            let outcome = std::panic::catch_unwind(|| {
                process::map_self(uid, gid).unwrap();
                let file = mount::clone_tree(rustix::fs::CWD, Path::new("/etc/hostname")).unwrap();
                mount::attach(file, std::fs::File::open("/etc/hosts").unwrap(), "/etc/hosts").unwrap();
                let done = sh(
                    "cat /etc/creel/marker; cat /etc/shadow 2>/dev/null; test -s /etc/passwd && echo passwd; \
                     touch /etc/x 2>/dev/null || echo fixed; cmp /etc/hosts /etc/hostname && echo same; \
                     readlink /etc/mtab",
                );
                assert_eq!(done.output, "here\npasswd\nfixed\nsame\n/proc/mounts\n", "{done:?}");
            });
            process::exit_now(i32::from(outcome.is_err()));
        }
        Cloned::Parent(pid, _) => {
            let (_, status) =
                rustix::process::waitpid(Pid::from_raw(pid as i32), WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(status.exit_status(), Some(0));
        }
    }
}

/// Not a bound, only a figure: timed tests fail on busy machines.
fn timing() {
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let begin = std::time::Instant::now();
            let mut plan = plan("");
            plan.command = vec!["/bin/true".into()];
            let mut sandbox = start(&plan);
            let set_up = begin.elapsed();
            sandbox.go();
            (set_up, begin.elapsed())
        })
        .collect();
    times.sort_unstable();
    println!("set up {:?}, with /bin/true {:?} (median of 20)", times[10].0, times[10].1);
}

/// A new directory that ends with the test process's machine; small.
pub fn tempdir() -> std::path::PathBuf {
    support::tempdir()
}

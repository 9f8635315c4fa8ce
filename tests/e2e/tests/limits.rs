//! Limits, each against something that runs into it with all its might; afterwards the host, the warden and the record
//! are well.

use creel_e2e::{Scene, wait_until};

/// Whether this user has control groups here, as `creel doctor` says.
fn grouped(scene: &Scene) -> bool {
    !scene.verb(&["doctor"]).stdout.contains("memory is not bounded")
}

/// What the record says about limits.
fn findings(scene: &Scene) -> Vec<String> {
    let events = scene.events();
    let text = events.iter().map(ToString::to_string).filter(|event| event.contains("limit was reached"));
    text.collect()
}

/// A limit, what runs into it, and what the person who runs it is told.
fn check(limits: &str, script: &str, said: &str, name: &str) {
    let scene = Scene::new().policy(&format!("process: {{ limits: {{ {limits} }} }}"));
    let shown = scene.python(script);
    let told = shown.stderr.contains(said) && shown.stderr.contains(&format!("raise process.limits.{name}"));
    assert!(told, "{shown:?}");
    assert!(findings(&scene).iter().any(|finding| finding.contains(said)), "{:?}", findings(&scene));
}

const HUNGRY: &str = "
import os
pid = os.fork()
if pid == 0:
    held = []
    while True:
        held.append(bytearray(b'x') * (8 << 20))
_, status = os.waitpid(pid, 0)
print('ended by', os.WTERMSIG(status))
";

const BOMB: &str = "
import os, time
n = 0
try:
    while n < 400:
        if os.fork() == 0:
            time.sleep(2); os._exit(0)
        n += 1
except BlockingIOError:
    pass
";

#[test]
fn memory_that_runs_out_is_told_and_written_down() {
    let scene = Scene::new().policy("process: { limits: { memory: 64MiB, swap: 0 } }");
    if !grouped(&scene) {
        scene.sh("true").ok();
        let start = scene.events().into_iter().next().unwrap().to_string();
        return assert!(start.contains("memory is not bounded: no control group"), "{start}");
    }
    check(
        "memory: 64MiB, swap: 0, time: 60s",
        HUNGRY,
        "the memory limit of 64MiB was reached: 1 process was killed",
        "memory",
    );
}

#[test]
fn files_in_private_directories_count_as_memory_and_end_at_their_size() {
    for place in ["/tmp", "$HOME", "/dev/shm", "/var/tmp"] {
        let scene = Scene::new().policy("process: { limits: { disk: 8MiB, memory: 256MiB } }");
        let shown = scene.sh(&format!(
            "head -c 64M /dev/zero > {place}/full 2>&1; stat -c %s {place}/full; rm {place}/full; echo x > {place}/x && echo again"
        ));
        let mut lines = shown.stdout.lines().rev();
        assert_eq!(lines.next(), Some("again"), "{place}: {shown:?}");
        let size: u64 = lines.next().unwrap().parse().unwrap();
        assert!((4 << 20..=8 << 20).contains(&size), "{place}: {shown:?}");
    }
}

#[test]
fn processes_that_cannot_start_are_told_and_written_down() {
    let scene = Scene::new();
    if grouped(&scene) {
        check("processes: 40, time: 60s", BOMB, "the processes limit of 40 was reached", "processes");
    }
}

#[test]
fn the_wall_time_is_told_and_written_down() {
    check(
        "time: 1s",
        "import time; time.sleep(60)",
        "the time limit of 1s was reached: the sandbox was ended",
        "time",
    );
}

#[test]
fn what_eats_descriptors_files_time_and_the_table_of_processes_hurts_nobody_else() {
    let scene = Scene::new().policy(
        "process: { limits: { open_files: 64, file_size: 1MiB, processes: 64, cpus: 0.5, time: 60s } }",
    );
    let shown = scene.python(
        "
import os, resource, signal, time
held = []
try:
    while len(held) < 500: held.append(os.open('/dev/null', os.O_RDONLY))
    print('OUT descriptors')
except OSError as e: print('descriptors', e.errno, len(held) < 64)
for fd in held: os.close(fd)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open('big', 'wb') as f:
        for _ in range(100): f.write(b'x' * 65536); f.flush()
    print('OUT file')
except OSError as e: print('file', e.errno, os.path.getsize('big'))
zombies = 0
try:
    while zombies < 400:
        if os.fork() == 0: os._exit(0)
        zombies += 1
    print('OUT zombies')
except BlockingIOError: print('zombies', zombies < 64)
end = time.monotonic() + 2
while time.monotonic() < end: pass
used = time.process_time()
print('cpu', used)
",
    );
    assert!(!shown.stdout.contains("OUT"), "{shown:?}");
    for line in ["descriptors 24 True", "file 27 1048576", "zombies True"] {
        assert!(shown.stdout.contains(line), "{line}: {shown:?}");
    }
    assert_eq!(shown.code, 0, "{shown:?}");
}

#[test]
fn processes_are_raised_while_it_runs_where_a_group_counts_them() {
    let scene = Scene::new().policy("process: { limits: { processes: 32 } }");
    if !grouped(&scene) {
        return;
    }
    let ready = scene.workspace().join("go");
    let script = format!(
        "import os, time\n\
         def many():\n    n = 0\n    try:\n        while n < 100:\n            if os.fork() == 0: time.sleep(1); os._exit(0)\n            n += 1\n    except BlockingIOError: pass\n    for _ in range(n): os.wait()\n    return n\n\
         print(many() < 32, flush=True)\nopen('first', 'w').close()\n\
         while not os.path.exists('{}'): time.sleep(0.05)\nprint(many(), flush=True)",
        ready.display()
    );
    let running = scene.start(&["/usr/bin/env", "python3", "-c", &script]);
    wait_until("the first round", || scene.workspace().join("first").exists());
    let policy = scene.write_policy("raised.yaml", "process: { limits: { processes: 256 } }");
    scene.verb(&["policy", "set", &scene.name, policy.to_str().unwrap()]).ok();
    std::fs::write(&ready, "").unwrap();
    let shown = running.finish();
    assert_eq!(shown.stdout.lines().collect::<Vec<_>>(), ["True", "100"], "{shown:?}");
}

#[test]
fn a_stop_now_leaves_none_of_many_processes() {
    let scene = Scene::new().policy("process: { limits: { processes: 1000 } }");
    let mark = format!("many-{}", scene.name);
    let script = "import os, time\nfor _ in range(500):\n    if os.fork() == 0: time.sleep(600)\n\
                  open('all', 'w').close()\ntime.sleep(600)";
    let running = scene.start(&["/usr/bin/env", "python3", "-c", script, &mark]);
    wait_until("all processes", || scene.workspace().join("all").exists());
    assert!(living(&mark) > 500);
    scene.verb(&["stop", "--now", &scene.name]).ok();
    assert_eq!(running.finish().code, 137);
    assert_eq!(living(&mark), 0, "everything is gone when the warden is");
}

/// Processes of the host that have this among their arguments.
fn living(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())).count()
}

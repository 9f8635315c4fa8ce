//! Mounts that change while the sandbox runs, made from outside by a helper as the warden's would be.

use crate::basics::tempdir;
use crate::support::{Case, Sandbox, plan, start, with};
use creel_api::plan::What;
use creel_jail::link::{Job, Order, Report, Spawn};
use creel_kernel::live::{Access, Door, Inside, LiveError, Outside};
use creel_kernel::process;
use std::os::fd::AsFd;
use std::path::Path;

pub const CASES: &[Case] = &[
    ("a_grant_is_made_narrowed_and_taken_while_the_sandbox_runs", grant_narrow_revoke),
    ("a_path_can_be_hidden_and_shown_again", hide_and_show),
    ("a_grant_in_use_is_told_from_one_that_is_not", busy),
    ("who_still_holds_a_revoked_grant_is_found", holders),
    ("renaming_links_in_a_grant_never_shows_what_is_outside", rename_race),
    ("a_link_left_by_the_agent_leads_no_mount_elsewhere", planted_link),
    ("a_directory_that_is_moved_while_it_is_granted_keeps_no_mount", moved_meanwhile),
];

/// Runs in a forked child, which enters the sandbox's namespaces and never comes back.
fn helper(sandbox: &Sandbox, act: impl FnOnce(Outside<'_>) -> Result<(), LiveError>) {
    let (scaffold, spaces) = sandbox.started.inside.as_ref().unwrap();
    let door = Door { user: spaces.user.as_fd(), mount: spaces.mount.as_fd(), scaffold: scaffold.as_fd() };
    match process::fork().unwrap() {
        None => {
            let result = Outside::enter(door).map_err(LiveError::from).and_then(act);
            if let Err(e) = &result {
                eprintln!("helper: {e}");
            }
            process::exit_now(i32::from(result.is_err()));
        }
        Some(pid) => {
            let pid = rustix::process::Pid::from_raw(pid as i32);
            let status = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
            assert_eq!(status.and_then(|(_, s)| s.exit_status()), Some(0));
        }
    }
}

fn inside(sandbox: &Sandbox, act: impl FnOnce(Inside<'_>) -> Result<(), LiveError>) {
    helper(sandbox, |outside| act(outside.go_inside()?));
}

fn grant(sandbox: &Sandbox, source: &Path, at: &Path, access: Access) {
    helper(sandbox, |outside| {
        let parcel = outside.take(source, access)?;
        outside.go_inside()?.grant(parcel, at).map(drop)
    });
}

fn running(plan: &creel_api::plan::Plan) -> Sandbox {
    let mut sandbox = start(plan);
    sandbox.link().send(&Order::Go, &[]).unwrap();
    sandbox.serve(|report| matches!(report, Report::Running { .. }));
    sandbox
}

/// What a shell inside says.
fn shell(sandbox: &mut Sandbox, script: &str) -> String {
    let null = std::fs::File::open("/dev/null").unwrap();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let spawn = Spawn {
        job: Job(1),
        command: ["sh", "-c", script].map(Into::into).to_vec(),
        env: plan("").env,
        cwd: "/".into(),
        terminal: None,
    };
    sandbox.link().send(&Order::Spawn(spawn), &[null.as_fd(), write.as_fd(), null.as_fd()]).unwrap();
    drop(write);
    sandbox.serve(|report| matches!(report, Report::Exited { .. }));
    std::io::read_to_string(std::fs::File::from(read)).unwrap()
}

fn grant_narrow_revoke() {
    let mut sandbox = running(&plan("sleep 100"));
    let dir = tempdir();
    std::fs::write(dir.join("file"), "content").unwrap();
    let at = Path::new("/srv/data/deep");
    grant(&sandbox, &dir, at, Access::Write);
    assert_eq!(
        shell(&mut sandbox, "cat /srv/data/deep/file; echo a > /srv/data/deep/new && echo wrote"),
        "contentwrote\n"
    );
    inside(&sandbox, |inside| inside.set_access(at, Access::Read));
    assert_eq!(
        shell(&mut sandbox, "echo b > /srv/data/deep/new || echo refused; cat /srv/data/deep/new"),
        "refused\na\n"
    );
    inside(&sandbox, |inside| inside.set_access(at, Access::Write));
    assert_eq!(shell(&mut sandbox, "echo c > /srv/data/deep/new; cat /srv/data/deep/new"), "c\n");
    inside(&sandbox, |inside| inside.revoke(at, false));
    assert_eq!(
        shell(&mut sandbox, "ls /srv/data/deep; echo x > /srv/data/deep/y || echo refused"),
        "refused\n"
    );
    let file = Path::new("/srv/one");
    grant(&sandbox, &dir.join("file"), file, Access::Read);
    assert_eq!(shell(&mut sandbox, "cat /srv/one; echo x >> /srv/one || echo refused"), "contentrefused\n");
}

fn hide_and_show() {
    let dir = tempdir();
    std::fs::create_dir(dir.join("sub")).unwrap();
    std::fs::write(dir.join("sub/file"), "1").unwrap();
    std::fs::write(dir.join("key"), "2").unwrap();
    let mut sandbox = running(&with(plan("sleep 100"), Path::new("/work"), What::Write(dir)));
    for (at, look) in
        [("/work/sub", "cat /work/sub/file || echo gone"), ("/work/key", "cat /work/key || echo gone")]
    {
        let at = Path::new(at);
        let before = shell(&mut sandbox, look);
        inside(&sandbox, |inside| inside.hide(at).map(drop));
        assert_eq!(shell(&mut sandbox, look), "gone\n");
        inside(&sandbox, |inside| inside.revoke(at, false));
        assert_eq!(shell(&mut sandbox, look), before);
    }
}

fn busy() {
    let dir = tempdir();
    let mut sandbox =
        running(&with(plan("exec 9> /work/log; sleep 100"), Path::new("/work"), What::Write(dir)));
    shell(&mut sandbox, "while [ ! -e /work/log ]; do sleep 0.01; done");
    let at = Path::new("/work");
    inside(&sandbox, |inside| {
        assert_eq!(inside.set_access(at, Access::Read), Err(LiveError::Busy("/work".into())));
        assert_eq!(inside.revoke(at, true), Err(LiveError::Busy("/work".into())));
        assert_eq!(inside.revoke(Path::new("/srv"), false), Err(LiveError::NotAMount("/srv".into())));
        assert!(inside.mount_id(at)? > 0);
        Ok(())
    });
}

fn planted_link() {
    let dir = tempdir();
    let mut sandbox = running(&with(plan("sleep 100"), Path::new("/work"), What::Write(dir.clone())));
    shell(&mut sandbox, "ln -s /tmp /work/link");
    inside(&sandbox, |inside| {
        assert!(matches!(inside.hide(Path::new("/work/link")), Err(LiveError::Sys(_))));
        assert!(matches!(inside.hide(Path::new("/work/link/x")), Err(LiveError::Sys(_))));
        Ok(())
    });
}

fn holders() {
    let dir = tempdir();
    std::fs::write(dir.join("file"), "old").unwrap();
    let mut sandbox =
        running(&with(plan("exec 7< /work/file; cd /work; sleep 100"), Path::new("/work"), What::Write(dir)));
    std::thread::sleep(std::time::Duration::from_millis(100));
    // The id is told by a helper inside, through a pipe, as the warden's would.
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let at = Path::new("/work");
    inside(&sandbox, |inside| {
        let id = inside.mount_id(at)?;
        rustix::io::write(&write, &id.to_ne_bytes()).unwrap();
        inside.revoke(at, false)
    });
    let mut id = [0; 8];
    rustix::io::read(&read, &mut id).unwrap();
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", sandbox.started.pid)).unwrap();
    let pids: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let found = creel_kernel::proc::holders(&pids, u64::from_ne_bytes(id));
    let what: Vec<&str> = found.iter().map(|holder| holder.what.as_str()).collect();
    assert!(what.contains(&"fd 7") && what.contains(&"cwd"), "{found:?}");
    assert_eq!(shell(&mut sandbox, "ls /work"), "");
}

/// An agent swaps a directory and a link to the outside as fast as it can, while it opens a file through them.
fn rename_race() {
    let (outside, dir) = (tempdir(), tempdir());
    std::fs::write(outside.join("f"), "outside").unwrap();
    std::fs::create_dir(dir.join("d")).unwrap();
    std::fs::write(dir.join("d/f"), "inside").unwrap();
    std::os::unix::fs::symlink(&outside, dir.join("l")).unwrap();
    let code = "import os, ctypes, time\n\
        c = ctypes.CDLL(None); swaps = 0; end = time.time() + 1\n\
        if os.fork() == 0:\n\
        \x20   while True: c.renameat2(-100, b'/work/d', -100, b'/work/l', 2)\n\
        seen = {}\n\
        while time.time() < end:\n\
        \x20   for path in ('/work/d/f', '/work/l/f'):\n\
        \x20       try: got = open(path).read()\n\
        \x20       except OSError: got = 'refused'\n\
        \x20       seen[got] = seen.get(got, 0) + 1\n\
        print(sorted(seen))\n";
    let mut plan = with(plan(""), Path::new("/work"), What::Write(dir));
    plan.command = ["python3", "-c", code].map(Into::into).to_vec();
    let done = start(&plan).go();
    assert_eq!(done.output, "['inside', 'refused']\n", "{done:?}");
}

/// Between the look at the mount point and the mount, the one step that an agent would have to hit.
fn moved_meanwhile() {
    let dir = tempdir();
    for name in ["a", "else"] {
        std::fs::create_dir(dir.join(name)).unwrap();
        std::fs::write(dir.join(name).join("file"), name).unwrap();
    }
    let mut sandbox = running(&with(plan("sleep 100"), Path::new("/work"), What::Write(dir.clone())));
    let at = Path::new("/work/a");
    helper(&sandbox, |outside| {
        let parcel = outside.take(&dir.join("else"), Access::Read)?;
        let inside = outside.go_inside()?;
        let point = inside.point(at, &parcel)?;
        std::fs::rename(at, "/work/b").unwrap();
        std::fs::create_dir(at).unwrap();
        let placed = inside.place(parcel, point);
        assert!(matches!(placed, Err(LiveError::Moved(_))), "{placed:?}");
        Ok(())
    });
    // Nothing is mounted under the other name: it shows its own, can be written, and can be moved.
    assert_eq!(
        shell(
            &mut sandbox,
            "cat /work/b/file; echo x > /work/b/new && rmdir /work/a && mv /work/b /work/a; echo $?"
        ),
        "a0\n"
    );
    // Nor where it is a file.
    helper(&sandbox, |outside| {
        let parcel = outside.take(&dir.join("else/file"), Access::Read)?;
        let inside = outside.go_inside()?;
        let point = inside.point(Path::new("/work/a/file"), &parcel)?;
        std::fs::rename("/work/a/file", "/work/a/moved").unwrap();
        let placed = inside.place(parcel, point);
        assert!(matches!(placed, Err(LiveError::Moved(_))), "{placed:?}");
        Ok(())
    });
    assert_eq!(shell(&mut sandbox, "cd /work/a && cat moved && mv moved file; echo $?"), "a0\n");
    // And the path can be granted.
    grant(&sandbox, &dir.join("else"), at, Access::Read);
    assert_eq!(
        shell(&mut sandbox, "cat /work/a/file; echo x > /work/a/new || echo refused"),
        "elserefused\n"
    );
}

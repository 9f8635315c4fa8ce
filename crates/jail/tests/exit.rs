//! Somebody takes the exit's place: code of his choosing runs in a process that was confined exactly as the exit is, with
//! a record open as the exit has it. What he tries must fail, and must succeed where he is not confined, or nothing is
//! shown.
//!
//! Each attempt has a process to itself. Tests here have no threads, as a fork demands; hence no libtest.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use creel_kernel::{attempt, process, signal};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, listen, socket};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, kill_process, waitpid};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Where an attempt is made.
struct Scene {
    dir: PathBuf,
    record: File,
    /// A process of the same user's, with the same memory: it stands for the warden, for init and for everybody else.
    other: u32,
    server: SocketAddr,
}

/// Who is able to do it without confinement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Anyone,
    Root,
}

type Attempt = (&'static str, By, fn(&Scene) -> Result<(), Errno>);

const IMPOSSIBLE: &[Attempt] = &[
    ("read a key in the operator's home", By::Anyone, |s| read(&s.dir.join("id_ed25519"))),
    ("read the password file", By::Root, |_| read(Path::new("/etc/shadow"))),
    ("read a program", By::Anyone, |_| read(Path::new("/bin/sh"))),
    ("list the operator's home", By::Anyone, |s| opens(&s.dir, OFlags::RDONLY | OFlags::DIRECTORY)),
    ("write a file of the operator's", By::Anyone, |s| opens(&s.dir.join("id_ed25519"), OFlags::WRONLY)),
    ("make a file", By::Anyone, |s| opens(&s.dir.join("new"), OFlags::WRONLY | OFlags::CREATE)),
    ("open the record anew", By::Anyone, |s| opens(&s.dir.join("record"), OFlags::WRONLY)),
    ("shorten the record", By::Anyone, |s| rustix::fs::ftruncate(&s.record, 1)),
    ("write over the record", By::Anyone, |s| rustix::io::pwrite(&s.record, b"x", 0).map(drop)),
    ("take the record's append flag away", By::Anyone, |s| {
        rustix::fs::fcntl_setfl(&s.record, OFlags::empty())
    }),
    ("unlink the record", By::Anyone, |s| rustix::fs::unlink(s.dir.join("record"))),
    ("rename the record", By::Anyone, |s| rustix::fs::rename(s.dir.join("record"), s.dir.join("other"))),
    ("execute a program", By::Anyone, |_| Err(process::exec(c"/bin/true", &[c"true".into()], &[]).errno)),
    ("make a process", By::Anyone, |_| match process::fork() {
        Ok(None) => process::exit_now(0),
        other => other.map(drop).map_err(|error| error.errno),
    }),
    ("trace another process", By::Anyone, |s| attempt::trace(s.other.cast_signed())),
    ("read another process's memory", By::Anyone, |s| attempt::read_byte_of(s.other)),
    ("open another process's memory", By::Anyone, |s| read(&PathBuf::from(format!("/proc/{}/mem", s.other)))),
    ("read another process's environment", By::Anyone, |s| {
        read(&PathBuf::from(format!("/proc/{}/environ", s.other)))
    }),
    ("signal another process", By::Anyone, |s| {
        signal::kill(s.other.cast_signed(), 0).map(drop).map_err(|error| error.errno)
    }),
    ("have a descriptor of another process", By::Anyone, |s| {
        let pid = Pid::from_raw(s.other.cast_signed()).unwrap();
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(drop)
    }),
    ("limit another process", By::Anyone, |s| {
        let pid = Pid::from_raw(s.other.cast_signed());
        let limit = Rlimit { current: Some(0), maximum: None };
        rustix::process::prlimit(pid, Resource::Core, limit).map(drop)
    }),
    ("listen on a port", By::Anyone, |_| {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &any)?;
        listen(&socket, 1)
    }),
    ("reach a service of the operator's by its Unix socket", By::Anyone, |s| {
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(s.dir.join("service"))?)
    }),
    ("make a raw socket", By::Root, |_| {
        socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP)).map(drop)
    }),
    ("ask the kernel for its routes", By::Anyone, |_| {
        socket(AddressFamily::NETLINK, SocketType::RAW, None).map(drop)
    }),
    ("have a capability", By::Root, |_| {
        let sets = rustix::thread::capabilities(None)?;
        if sets.effective.is_empty() && sets.permitted.is_empty() { Err(Errno::PERM) } else { Ok(()) }
    }),
    ("gain by a program with set-id bits", By::Anyone, |_| {
        if rustix::thread::no_new_privs()? { Err(Errno::PERM) } else { Ok(()) }
    }),
    ("leave a core", By::Anyone, |_| {
        let core = rustix::process::getrlimit(Resource::Core);
        if core.current == Some(0) && core.maximum == Some(0) { Err(Errno::PERM) } else { Ok(()) }
    }),
    ("take all of the machine's memory", By::Anyone, |_| {
        // Reserved, as an allocator does, and not touched.
        Vec::<u8>::new().try_reserve_exact(5 << 29).map_err(|_| Errno::NOMEM)
    }),
    ("go into new namespaces", By::Root, |_| attempt::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET)),
    ("go into namespaces of others", By::Root, |s| {
        let namespace = open(format!("/proc/{}/ns/net", s.other), OFlags::RDONLY, Mode::empty())?;
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
    }),
];

/// What serving needs: it must go on, or the exit would be safe and of no use.
const POSSIBLE: &[Attempt] = &[
    ("append to the record", By::Anyone, |s| {
        (&s.record).write_all(b"line\n").map_err(|error| Errno::from_io_error(&error).unwrap())
    }),
    ("read how names are resolved", By::Anyone, |_| read(Path::new("/etc/resolv.conf"))),
    ("connect by TCP", By::Anyone, |s| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::connect(&socket, &s.server)
    }),
    ("start a thread", By::Anyone, |_| {
        let thread =
            std::thread::Builder::new().spawn(|| ()).map_err(|e| Errno::from_io_error(&e).unwrap())?;
        thread.join().map_err(|_| Errno::IO)
    }),
];

fn opens(path: &Path, flags: OFlags) -> Result<(), Errno> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::RUSR).map(drop)
}

fn read(path: &Path) -> Result<(), Errno> {
    opens(path, OFlags::RDONLY)
}

/// What came of an attempt in a process of its own.
fn made(scene: &Scene, confined: bool, what: &Attempt) -> Result<(), Errno> {
    const NOT_CONFINED: i32 = 255;
    let Some(pid) = process::fork().unwrap() else {
        if confined && creel_jail::exit::confine().is_err() {
            process::exit_now(NOT_CONFINED);
        }
        process::exit_now(what.2(scene).map_or_else(Errno::raw_os_error, |()| 0));
    };
    let (_, status) = waitpid(Pid::from_raw(pid.cast_signed()), WaitOptions::empty()).unwrap().unwrap();
    match status.exit_status() {
        Some(0) => Ok(()),
        Some(NOT_CONFINED) | None => panic!("{}: the process ended with {status:?}", what.0),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
    }
}

/// How many promises of the exit's are broken where the exit itself tries them.
fn broken(confined: bool) -> usize {
    const FAILED: i32 = 255;
    let Some(pid) = process::fork().unwrap() else {
        if confined && creel_jail::exit::confine().is_err() {
            process::exit_now(FAILED);
        }
        process::exit_now(i32::try_from(creel_jail::exit::broken().len()).unwrap_or(FAILED));
    };
    let (_, status) = waitpid(Pid::from_raw(pid.cast_signed()), WaitOptions::empty()).unwrap().unwrap();
    usize::try_from(status.exit_status().unwrap_or(FAILED)).unwrap()
}

/// A fresh scene for every attempt: one that succeeds changes it.
fn with_scene<T>(act: impl FnOnce(&Scene) -> T) -> T {
    let dir = PathBuf::from(format!("/tmp/creel-exit-test-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("id_ed25519"), "a key").unwrap();
    let record = File::options().create_new(true).append(true).open(dir.join("record")).unwrap();
    (&record).write_all(b"first\n").unwrap();
    let _service = UnixListener::bind(dir.join("service")).unwrap();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let Some(other) = process::fork().unwrap() else {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    };
    let scene = Scene { record, other, server: server.local_addr().unwrap(), dir };
    let result = act(&scene);
    let pid = Pid::from_raw(other.cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    std::fs::remove_dir_all(&scene.dir).unwrap();
    result
}

fn check(confined: bool, attempts: &[Attempt], want: impl Fn(&Attempt, Result<(), Errno>) -> bool) -> usize {
    let mut wrong = 0;
    for attempt in attempts {
        let got = with_scene(|scene| made(scene, confined, attempt));
        if !want(attempt, got) {
            wrong += 1;
            eprintln!("{}: {got:?}", attempt.0);
        }
    }
    wrong
}

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        println!("who_takes_the_exits_place_can_do_nothing_else: test");
        return;
    }
    let root = rustix::process::getuid().is_root();
    let refused = [Errno::PERM, Errno::ACCESS, Errno::AFNOSUPPORT, Errno::NOMEM];
    let bare = check(false, IMPOSSIBLE, |attempt, got| got.is_ok() || (attempt.1 == By::Root && !root));
    let confined = check(true, IMPOSSIBLE, |_, got| got.is_err_and(|errno| refused.contains(&errno)));
    let serving = check(true, POSSIBLE, |_, got| got.is_ok());
    let blind = creel_jail::exit::promises() - broken(false);
    let tried = broken(true);
    for (name, wrong) in [
        ("the exit's own trial finds every promise broken without confinement", blind),
        ("the exit's own trial finds none broken in it", tried),
        ("what is tried can be done without confinement", bare),
        ("who takes the exit's place can do none of it", confined),
        ("the exit can serve", serving),
    ] {
        println!("test {name} ... {}", if wrong == 0 { "ok" } else { "FAILED" });
    }
    std::process::exit(i32::from(bare + confined + serving + blind + tried > 0));
}

//! What must be impossible inside is tried before a command runs: it holds here, is noticed where it does not, and each
//! attempt succeeds where no sandbox is.

use crate::basics::tempdir;
use crate::support::{Case, plan, start, with};
use creel_api::plan::{Plan, What};
use creel_api::posture::Tried;
use creel_jail::posture::{Attempt, Bound, Promise, try_bare};
use creel_jail::{JailError, NetOptions};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub const CASES: &[Case] = &[
    ("everything_that_must_be_impossible_was_tried_before_the_command_runs", holds),
    ("a_promise_that_does_not_hold_is_named_and_nothing_starts", refused),
    ("without_a_sandbox_the_same_attempts_succeed", bare),
    ("a_plan_that_shows_what_must_be_out_of_reach_is_not_started_and_a_decoy_is_none", holes),
    ("many_places_are_sampled_and_the_report_says_so", sampled),
];

/// A plan with something of every kind that promises come from.
fn rich() -> Plan {
    let dir = tempdir();
    for name in ["fixed", "hidden", "record"] {
        std::fs::write(dir.join(name), "x").unwrap();
    }
    std::fs::create_dir(dir.join("lib")).unwrap();
    let mut plan = plan("echo ran");
    for (at, what) in [
        ("/work", What::Write(dir.clone())),
        ("/work/fixed", What::Read(dir.join("fixed"))),
        ("/work/lib", What::Read(dir.join("lib"))),
        ("/work/hidden", What::Hidden),
    ] {
        plan = with(plan, Path::new(at), what);
    }
    plan.limits.open_files = Some(64);
    plan.out_of_reach = vec![dir.join("record")];
    plan
}

fn holds() {
    let mut sandbox = start(&rich());
    let promises = sandbox.started.enforced.promises.clone();
    for layer in ["filesystem", "process", "network", "limits"] {
        assert!(promises.iter().any(|promise| promise.layer == layer), "{layer}: {promises:?}");
    }
    assert!(promises.iter().all(|promise| promise.holds() && promise.tried > 0), "{promises:?}");
    let attempts: usize = promises.iter().map(|promise| promise.tried).sum();
    assert!(attempts > 150, "{attempts} attempts: {promises:?}");
    let done = sandbox.go();
    assert_eq!(done.output, "ran\n", "the trial leaves nothing behind for the command: {done:?}");
}

/// What a sandbox does allow, promised to be impossible.
fn refused() {
    let plan = rich();
    let What::Write(dir) = &plan.places[0].what else { unreachable!() };
    let meta = std::fs::metadata(dir).unwrap();
    let attempts = vec![
        Attempt::Read("/etc/passwd".into()),
        Attempt::Write("/dev/null".into()),
        Attempt::MakeIn("/tmp".into()),
        Attempt::Reach { path: "/work".into(), device: meta.dev(), inode: meta.ino() },
        Attempt::Call(libc::SYS_getpid),
        Attempt::Personality(u32::MAX),
        Attempt::Ioctl(libc::TCGETS as u32),
        Attempt::Signal(1),
        Attempt::PidFd(1),
        Attempt::Socket(libc::AF_INET as u16, libc::SOCK_STREAM as u32, 0),
        Attempt::Connect("192.0.2.7:7".parse().unwrap()),
        Attempt::Send("192.0.2.7:53".parse().unwrap()),
        Attempt::Raise(Bound::FileSize),
    ];
    for attempt in attempts {
        let shown = attempt.to_string();
        let promise = Promise::new(("test", "nothing"), "an ox flies not", &[Errno::PERM], vec![attempt]);
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let stdio = [null(), null(), null()];
        let error = creel_jail::start_promising(&plan, stdio, NetOptions::default(), vec![promise])
            .expect_err(&format!("it must not start: {shown}"));
        let text = error.to_string();
        assert!(matches!(&error, JailError::Posture(_)), "{text}");
        assert!(text.contains(&format!("an ox flies not (test): {shown}: ")), "{text}");
        let JailError::Posture(tried) = error else { return };
        assert_eq!(tried.iter().filter(|tried| !tried.holds()).count(), 1, "all else still holds: {tried:?}");
    }
}

/// Those that would send to foreign addresses are left out here: the unit tests take the walls away one by one.
fn bare() {
    const NOT_HERE: [&str; 4] = [
        "a TCP connection arrives at the warden",
        "a TCP connection by IPv6 arrives at the warden, where there is IPv6",
        "datagrams and data before a connection go nowhere",
        "no file is out of Landlock's sight",
    ];
    let mut plan = rich();
    // Outside the places stand where they are taken from.
    let What::Write(dir) = plan.places[0].what.clone() else { unreachable!() };
    for place in &mut plan.places {
        place.at = dir.join(place.at.strip_prefix("/work").unwrap());
    }
    let tried = try_bare(&plan, |promise| !NOT_HERE.contains(&promise.name)).unwrap();
    let kept: Vec<&Tried> = tried.iter().filter(|tried| tried.holds()).collect();
    // An ordinary user is kept from these everywhere, and init is not the user's; the unit tests show these fall.
    let users: &[&str] = &[
        "the system cannot be changed",
        "no device of the machine is there, and none can be made",
        "a process stays its user",
        "init's memory and files are closed",
        "interfaces and routes cannot be changed",
        "no limit can be raised",
        "loopback is the only interface",
    ];
    // A machine may have nothing but loopback, and its init may be closed to root, too.
    let roots: &[&str] = &["loopback is the only interface", "init's memory and files are closed"];
    let excused = if rustix::process::getuid().is_root() { roots } else { users };
    assert!(kept.iter().all(|tried| excused.contains(&&*tried.promise)), "{kept:#?}");
    assert!(tried.len() > kept.len() + 8, "{tried:#?}");
}

/// The record's file in a grant, and another file at its path.
fn holes() {
    let (dir, other) = (tempdir(), tempdir());
    for dir in [&dir, &other] {
        std::fs::write(dir.join("record"), "x").unwrap();
    }
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    for (source, starts) in [(&dir, false), (&other, true)] {
        let mut plan = with(plan("true"), &dir, What::Write(source.clone()));
        plan.out_of_reach = vec![dir.join("record")];
        match creel_jail::start(&plan, [null(), null(), null()]) {
            Ok(started) => {
                drop(started);
                assert!(starts, "the record is in reach");
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!starts && text.contains("the warden's own files are not there"), "{text}");
                assert!(
                    text.contains(&format!("reach {}: it happened", dir.join("record").display())),
                    "{text}"
                );
            }
        }
    }
}

fn sampled() {
    let dir = tempdir();
    let mut plan = with(plan("true"), Path::new("/work"), What::Write(dir.clone()));
    for number in 0..300 {
        std::fs::write(dir.join(format!("h{number}")), "x").unwrap();
        plan = with(plan, &Path::new("/work").join(format!("h{number}")), What::Hidden);
    }
    let sandbox = start(&plan);
    let promises = &sandbox.started.enforced.promises;
    let hidden = promises.iter().find(|tried| tried.promise == "what is hidden cannot be read").unwrap();
    assert_eq!((hidden.tried, hidden.of), (256, 301), "300 and /etc/shadow: {hidden:?}");
}

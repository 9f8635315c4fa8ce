//! Each wall is taken away once, and the start is refused for the promise that the wall kept.
//!
//! A sandbox must be started by a process with one thread, which a test of this harness is not: so each case runs this
//! test program again, with the one test that does it.

use crate::walls::{Wall, knock_out};
use crate::{JailError, start};
use creel_api::plan::{Limits, Place, Plan, Root, What};
use creel_types::Size;
use std::path::Path;

const VARIABLE: &str = "CREEL_TEST_WALL";

/// The walls that are taken away, and a promise that falls with them.
const CASES: &[(&str, &[Wall], &str)] = &[
    ("landlock", &[Wall::Landlock], "no file is out of Landlock's sight"),
    ("capabilities", &[Wall::Capabilities], "there is no capability and no way to one"),
    ("wiring", &[Wall::Capabilities], "interfaces and routes cannot be changed"),
    ("closedness", &[Wall::Closedness], "init's memory and files are closed"),
    ("read-only", &[Wall::ReadOnly], "what is read-only cannot be written"),
    ("hiding", &[Wall::Hiding], "what is hidden cannot be read"),
    // Two walls keep this one: the mount, and Landlock behind it.
    ("root", &[Wall::Root, Wall::Landlock], "the system cannot be changed"),
    ("capture", &[Wall::Capture], "a TCP connection arrives at the warden"),
    ("datagrams", &[Wall::Capture], "datagrams and data before a connection go nowhere"),
    ("calls", &[Wall::Filter], "what reaches out of a sandbox or into the kernel is refused"),
    ("unknown", &[Wall::Filter], "calls that are not listed do not exist, nor those of other architectures"),
    ("namespaces", &[Wall::Filter], "no new namespace can be made"),
    ("terminals", &[Wall::Filter], "nobody types into a terminal, and addresses stay random"),
    ("sockets", &[Wall::Filter], "sockets are TCP, UDP, Unix and routing only"),
];

fn plan(dir: &Path) -> Plan {
    let place = |name: &str, what| Place { at: Path::new("/work").join(name), what };
    Plan {
        tier: creel_api::plan::Tier::Namespaces,
        hostname: "test".into(),
        root: Root::Host,
        places: vec![
            place("", What::Write(dir.to_owned())),
            place("fixed", What::Read(dir.join("fixed"))),
            place("hidden", What::Hidden),
        ],
        etc: Vec::new(),
        scratch: Size(1 << 20),
        cwd: "/".into(),
        env: Vec::new(),
        command: vec!["true".into()],
        terminal: None,
        limits: Limits::default(),
        devices: Vec::new(),
        nested: false,
        out_of_reach: Vec::new(),
    }
}

#[test]
fn without_a_wall_the_promise_that_it_kept_is_named_and_nothing_starts() {
    for (name, walls, promise) in CASES {
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "posture::missing::one_wall_is_missing",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(VARIABLE, name)
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(done.status.success() && said.contains("1 passed"), "{walls:?}, {promise}: {said}");
    }
}

/// The jail answers within a moment or the promise is unproven; it never runs on.
#[test]
#[ignore = "started by the test above, in a process of its own"]
fn one_wall_is_missing() {
    let name = std::env::var(VARIABLE).unwrap();
    let (_, walls, promise) = CASES.iter().find(|(case, ..)| *case == name).unwrap();
    let dir = std::env::temp_dir().join(format!("creel-walls-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("hidden"), "x").unwrap();
    std::fs::write(dir.join("fixed"), "x").unwrap();
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    let whole = start(&plan(&dir), [null(), null(), null()]).map(|started| started.enforced.promises);
    knock_out(walls);
    let less = start(&plan(&dir), [null(), null(), null()]).map(drop);
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(whole.as_ref().is_ok_and(|all| all.iter().any(|tried| tried.promise == *promise)), "{whole:?}");
    let Err(JailError::Posture(tried)) = &less else { panic!("{walls:?}: {less:?}") };
    let broken: Vec<_> = tried.iter().filter(|tried| !tried.holds()).collect();
    assert!(broken.iter().any(|tried| tried.promise == *promise), "{walls:?}: {broken:#?}");
    assert!(less.unwrap_err().to_string().contains(promise));
}

//! Sandboxes that run nothing and are ended at once: what this machine enforces, and whether it holds.

use crate::order::Order;
use crate::{RunError, prepare, records, terminal};
use creel_api::enforced::Enforced;
use creel_api::plan::{Limits, Plan, Root, Tier};
use creel_jail::{JailError, Started};
use creel_types::Size;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A sandbox of this tier that grants nothing.
pub(crate) fn plain(tier: Tier) -> Result<Enforced, RunError> {
    let plan = Plan {
        tier,
        hostname: "trial".into(),
        root: Root::Host,
        places: Vec::new(),
        etc: Vec::new(),
        scratch: Size(1 << 20),
        cwd: "/tmp".into(),
        env: Vec::new(),
        command: vec!["true".into()],
        terminal: None,
        limits: Limits {
            processes: Some(512),
            memory: Some(Size(4 << 30)),
            millicpus: Some(1000),
            ..Default::default()
        },
        devices: Vec::new(),
        nested: false,
        out_of_reach: Vec::new(),
    };
    let stdio = terminal::standard().map_err(RunError::Terminal)?;
    Ok(end(creel_jail::start(&plan, stdio)?))
}

/// The sandbox that `order` asks for: each of its promises with what was tried, and what broke it where one does not
/// hold. Its command is not run, and its record is removed.
///
/// Call it before any other thread exists, like [`crate::run`].
pub fn posture(mut order: Order) -> Result<Enforced, RunError> {
    let begun = creel_jail::begin(terminal::standard().map_err(RunError::Terminal)?);
    let record = Passing::new()?;
    order.record = Some(record.0.clone());
    let (mut prepared, plan) = prepare::prepare(order)?;
    let begun = prepared.begun.take().map_or(begun, Ok);
    match begun?.give(&plan)?.wait() {
        Ok(started) => Ok(end(started)),
        Err(JailError::Posture(promises)) => Ok(Enforced { promises, ..Enforced::default() }),
        Err(error) => Err(error.into()),
    }
}

fn end(started: Started) -> Enforced {
    let _ = rustix::process::pidfd_send_signal(&started.init, rustix::process::Signal::KILL);
    let _ = rustix::process::waitid(
        rustix::process::WaitId::PidFd(started.init.as_fd()),
        rustix::process::WaitIdOptions::EXITED,
    );
    started.enforced
}

/// A directory for a record that nobody will read.
struct Passing(PathBuf);

impl Passing {
    fn new() -> Result<Self, RunError> {
        Ok(Self(records::state()?.join(Path::new("trials")).join(std::process::id().to_string())))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // What is left over is a record of nothing.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

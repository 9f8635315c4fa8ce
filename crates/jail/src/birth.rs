//! The warden's side of a start: makes the group, clones the child, hands it the plan, waits for its answer.

use crate::answer::{self, Ready};
use crate::link::Link;
use crate::posture::{self, Outside, Promise};
use crate::stages::{self, Birth};
use crate::{JailError, NetOptions, Started, Step, assignment, report};
use creel_api::plan::{Limits, Plan, Tier};
use creel_kernel::cgroup::{Bounds, Controller, Group};
use creel_kernel::process::{self, Cloned};
use creel_kernel::{Named, SysError, scm};
use rustix::process::{Pid, Signal, WaitOptions};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

/// What the processes of a sandbox can be raised to while it runs, where a control group counts them.
pub const PROCESSES_CEILING: u64 = 1 << 16;

/// A child in namespaces of its own that waits for its plan; ended and reaped when this is dropped.
#[derive(Debug)]
pub struct Begun(Young);

/// A child that has its plan and carries it out; ended and reaped when this is dropped.
#[derive(Debug)]
pub struct Assigned<'a> {
    young: Young,
    plan: &'a Plan,
    given: Result<(), SysError>,
    promises: Vec<Promise>,
    /// What the attempts aim at must be there until they were made.
    outside: Outside,
}

#[derive(Debug)]
struct Young {
    // In this order: the child is gone before its group is removed.
    child: Unanswered,
    link: OwnedFd,
    group: Group,
    /// Promises beyond those of the plan.
    also: Vec<Promise>,
}

pub(crate) fn begin(stdio: [OwnedFd; 3], net: NetOptions) -> Result<Begun, JailError> {
    begin_in(process::SANDBOX, Tier::Namespaces, stdio, net)
}

/// Without any namespace of its own.
pub(crate) fn begin_confined(stdio: [OwnedFd; 3]) -> Result<Begun, JailError> {
    begin_in(0, Tier::Confined, stdio, NetOptions::default())
}

fn begin_in(namespaces: u64, tier: Tier, stdio: [OwnedFd; 3], net: NetOptions) -> Result<Begun, JailError> {
    let group = Group::reserve(&name()?);
    let (ours, theirs) = scm::pair().map_err(JailError::step(Step::Answer))?;
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let birth = Birth { tier, link: theirs, stdio, uid, gid, net };
    let child = process::clone(namespaces, group.birthplace());
    match child.map_err(JailError::step(Step::Namespaces))? {
        Cloned::Child => stages::live(birth),
        Cloned::Parent(pid, init) => {
            drop(birth);
            let child = Unanswered { pid, init, answered: false };
            Ok(Begun(Young { child, link: ours, group, also: Vec::new() }))
        }
    }
}

impl Begun {
    /// Demands that more be tried than what the plan promises; it can only refuse more.
    #[must_use]
    pub fn promise(mut self, also: Vec<Promise>) -> Self {
        self.0.also = also;
        self
    }

    /// Directories of control groups that there are for it, or will be once it is bounded.
    pub fn places(&self) -> Vec<PathBuf> {
        self.0.group.places()
    }

    /// Bounds the child and gives it its plan.
    pub fn give(self, plan: &Plan) -> Result<Assigned<'_>, JailError> {
        let Self(mut young) = self;
        young.group.bound(Bounds {
            pids: plan.limits.processes,
            memory: plan.limits.memory.map(|size| size.0),
            swap: plan.limits.swap.map(|size| size.0),
            millicpus: plan.limits.millicpus,
        });
        let doors = young.group.doors().map_err(JailError::step(Step::Limits))?;
        let outside = Outside::stand().map_err(JailError::step(Step::Posture))?;
        let promises =
            [posture::promises(plan, &outside, young.child.pid), std::mem::take(&mut young.also)].concat();
        let given = assignment::give(&young.link, (plan, &carried(plan, &young.group)), &promises, &doors);
        Ok(Assigned { young, plan, given, promises, outside })
    }
}

impl Assigned<'_> {
    /// Waits until the sandbox stands ready to run the command.
    pub fn wait(self) -> Result<Started, JailError> {
        // In this order: what is bound last is dropped first, and the child goes before its group.
        let Young { group, link, mut child, .. } = self.young;
        if self.given.is_err() {
            // It would wait for its plan, and this process for it.
            let _ = rustix::net::shutdown(&link, rustix::net::Shutdown::Write);
        }
        // A child that failed before it had a plan has said why, and that is worth more than that it is gone.
        let ready = match (answer::receive(&link), self.given) {
            (Err(JailError::Vanished), Err(error)) => return Err(JailError::step(Step::Assignment)(error)),
            (ready, _) => ready?,
        };
        // From here on the warden only looks: it must never wait for what is inside.
        rustix::io::ioctl_fionbio(&link, true)
            .named("ioctl", "FIONBIO")
            .map_err(JailError::step(Step::Answer))?;
        let init = child.init.try_clone().named("dup", "pidfd").map_err(JailError::step(Step::Answer))?;
        let begun = Instant::now();
        let proven = posture::hear(&self.promises, &link, &ready)?;
        let took = begun.elapsed();
        drop(self.outside);
        child.answered = true;
        let mut started = started(self.plan, (child.pid, init), ready, Link::from(link), group);
        started.enforced.promises = proven;
        started.enforced.tried_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Ok(started)
    }
}

/// The limits that each process carries. Where a group counts processes the limit of each is only a ceiling: a hard
/// one could never be raised again.
fn carried(plan: &Plan, group: &Group) -> Limits {
    let mut limits = plan.limits.clone();
    if group.bounds(Controller::Pids) {
        limits.processes = limits.processes.map(|most| most.max(PROCESSES_CEILING));
    }
    limits
}

/// The name of a group, which no other start has.
fn name() -> Result<String, JailError> {
    let mut bytes = [0u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .named("getrandom", "8 bytes")
        .map_err(JailError::step(Step::Limits))?;
    Ok(bytes.iter().fold(String::from("creel-"), |mut name, byte| {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
        name
    }))
}

/// A child that has not answered yet: if it never does, it is ended and reaped.
#[derive(Debug)]
struct Unanswered {
    pid: u32,
    init: OwnedFd,
    answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // It may have ended by itself.
        let _: Result<(), SysError> =
            rustix::process::pidfd_send_signal(&self.init, Signal::KILL).named("pidfd_send_signal", self.pid);
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let _ = rustix::process::waitpid(pid, WaitOptions::empty());
    }
}

fn started(plan: &Plan, (pid, init): (u32, OwnedFd), ready: Ready, link: Link, group: Group) -> Started {
    let enforced = report::enforced(plan, &ready, &group);
    Started {
        init,
        pid,
        enforced,
        tcp: ready.tcp,
        dns: ready.dns,
        notify: ready.notify,
        terminal: ready.terminal,
        init_link: link,
        inside: ready.inside,
        places: plan.places.clone(),
        group,
        redirect: ready.redirect,
    }
}

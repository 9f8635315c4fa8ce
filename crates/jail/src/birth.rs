//! The warden's side of a start: makes the group, clones the child, waits for its answer.

use crate::answer::{self, Ready};
use crate::link::Link;
use crate::stages::{self, Birth};
use crate::{JailError, NetOptions, Started, Step, report};
use creel_api::plan::Plan;
use creel_kernel::cgroup::{Bounds, Group};
use creel_kernel::process::{self, Cloned};
use creel_kernel::{Named, SysError, scm};
use rustix::process::{Pid, Signal, WaitOptions};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;

pub(crate) fn give(plan: &Plan, stdio: [OwnedFd; 3], net: NetOptions) -> Result<Started, JailError> {
    let bounds = Bounds {
        pids: plan.limits.processes,
        memory: plan.limits.memory.map(|size| size.0),
        millicpus: plan.limits.millicpus,
    };
    let group = Group::make(&name()?, bounds);
    let (ours, theirs) = scm::pair().map_err(JailError::step(Step::Answer))?;
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let doors = group.doors().map_err(JailError::step(Step::Limits))?;
    let birth = Birth { link: theirs, stdio, uid, gid, net, doors };
    let child = process::clone(process::SANDBOX, group.birthplace());
    match child.map_err(JailError::step(Step::Namespaces))? {
        Cloned::Child => stages::live(plan, birth),
        Cloned::Parent(pid, init) => {
            drop(birth);
            let mut child = Unanswered { pid, init, answered: false };
            let ready = answer::receive(&ours)?;
            // From here on the warden only looks: it must never wait for what is inside.
            rustix::io::ioctl_fionbio(&ours, true)
                .named("ioctl", "FIONBIO")
                .map_err(JailError::step(Step::Answer))?;
            child.answered = true;
            let init = child.init.try_clone().named("dup", "pidfd").map_err(JailError::step(Step::Answer))?;
            Ok(started(plan, (pid, init), ready, Link::from(ours), group))
        }
    }
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
        scaffold: ready.scaffold,
        spaces: ready.spaces,
        group,
        redirect: ready.redirect,
    }
}

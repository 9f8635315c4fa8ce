//! Puts a command into a sandbox: obeys a plan, adds nothing, leaves nothing out, and answers what was enforced.
//!
//! [`begin`] clones a child into namespaces of its own, and [`Begun::give`] gives it its plan. The child sets up its
//! network, its file tree, its Landlock domain, its capabilities and its seccomp filter, in that order, each stage a
//! type that only the stage before makes; then everything that must be impossible inside is tried inside ([`posture`]),
//! and it stays as the sandbox's init. The command runs when the warden says [`link::Order::Go`].
//!
//! No runtime and no second thread may exist when [`begin`] is called: the child goes on with a copy of the caller's
//! memory. So it comes before the policy is read and before any key is made: init has a copy of neither, its memory
//! stays small, and its network is set up while the caller prepares the plan.

mod answer;
mod assignment;
mod birth;
mod command;
mod domain;
mod error;
pub mod exit;
mod filter;
mod init;
pub mod link;
pub mod network;
pub mod posture;
mod report;
mod root;
mod stages;
mod syscalls;
mod walls;
mod wire;

pub use birth::{Assigned, Begun, PROCESSES_CEILING};
pub use error::{JailError, Step};

use creel_api::enforced::Enforced;
use creel_api::plan::{Place, Plan, Tier};
use creel_kernel::cgroup::Group;
use link::Link;
use std::os::fd::OwnedFd;

/// A sandbox that waits for [`link::Order::Go`].
#[derive(Debug)]
pub struct Started {
    /// The sandbox's init, as a pidfd: readable when it has ended; killing it ends everything inside.
    pub init: OwnedFd,
    /// The same, as a process id of the caller's pid namespace.
    pub pid: u32,
    /// What was enforced.
    pub enforced: Enforced,
    /// Listening sockets (nonblocking) that receive every TCP connection of the sandbox: IPv4, IPv6.
    pub tcp: Vec<OwnedFd>,
    /// UDP sockets (nonblocking, with packet information) that receive everything sent to port 53: IPv4, IPv6.
    pub dns: Vec<OwnedFd>,
    /// The seccomp listener: `connect`, `execve`, `execveat` and `set_tid_address` wait here for an
    /// answer.
    pub notify: OwnedFd,
    /// The master of the command's terminal, where the plan asks for one.
    pub terminal: Option<OwnedFd>,
    /// What stands where.
    pub places: Vec<Place>,
    /// Orders and reports.
    pub init_link: Link,
    /// The root's own tmpfs, writable, detached: where mount points for live grants are made from outside; and the
    /// sandbox's namespaces, for live mounts, as `/proc/<pid>/ns` of init cannot be opened from outside. Nothing where
    /// the sandbox has neither.
    pub inside: Option<(OwnedFd, Spaces)>,
    /// The control groups that bound the sandbox; removed when this is dropped after the sandbox has ended.
    pub group: Group,
    /// Whether TCP is redirected (original destination by [`creel_kernel`]'s `originaldst`) and not TPROXYed
    /// (original destination is the accepted socket's own address).
    pub redirect: bool,
}

/// Namespaces of the sandbox.
#[derive(Debug)]
pub struct Spaces {
    /// User namespace.
    pub user: OwnedFd,
    /// Mount namespace.
    pub mount: OwnedFd,
    /// Pid namespace.
    pub pid: OwnedFd,
}

/// What tests and `doctor` may ask for beyond the plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetOptions {
    /// Redirect even where TPROXY works.
    pub redirect: bool,
}

/// Begins a sandbox whose plan is not made yet; `stdio` becomes the command's standard descriptors unless the plan
/// asks for a terminal.
pub fn begin(stdio: [OwnedFd; 3]) -> Result<Begun, JailError> {
    birth::begin(stdio, NetOptions::default())
}

/// The same for a sandbox of this tier. A confined one is begun when its policy is there: its first process has a copy of
/// what the caller knows by then.
pub fn begin_as(tier: Tier, stdio: [OwnedFd; 3]) -> Result<Begun, JailError> {
    match tier {
        Tier::Namespaces => begin(stdio),
        Tier::Confined => birth::begin_confined(stdio),
    }
}

/// Starts a sandbox for `plan`; `stdio` becomes the command's standard descriptors unless the plan asks for a
/// terminal.
pub fn start(plan: &Plan, stdio: [OwnedFd; 3]) -> Result<Started, JailError> {
    if plan.tier == Tier::Confined {
        return birth::begin_confined(stdio)?.give(plan)?.wait();
    }
    start_with(plan, stdio, NetOptions::default())
}

/// [`start`], with a choice of the network's mechanism.
pub fn start_with(plan: &Plan, stdio: [OwnedFd; 3], net: NetOptions) -> Result<Started, JailError> {
    birth::begin(stdio, net)?.give(plan)?.wait()
}

/// [`start_with`], with promises to be tried beyond those that come from the plan; they can only refuse more.
pub fn start_promising(
    plan: &Plan,
    stdio: [OwnedFd; 3],
    net: NetOptions,
    also: Vec<posture::Promise>,
) -> Result<Started, JailError> {
    birth::begin(stdio, net)?.promise(also).give(plan)?.wait()
}

//! Every promise of a sandbox, from its plan.

use super::{Attempt, Bound, Kept, Outside, Promise, confined, files};
use crate::{filter, syscalls};
use creel_api::plan::{Plan, Tier};
use rustix::io::Errno;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A port and addresses for documentation (RFC 5737, RFC 3849), which nobody has: what wrongly leaves arrives nowhere.
pub(super) const DISCARD: u16 = 9;
pub(super) const SOMEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const SOMEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

const EPERM: &[Errno] = &[Errno::PERM];
/// What a process finds that the pid namespace hides; the second where the filter answers first.
const UNSEEN: &[Errno] = &[Errno::SRCH, Errno::PERM, Errno::NOENT];
/// How IPv6 fails where the host has none.
const NO_V6: &[Errno] = &[Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::NETUNREACH];

/// The smallest process id of the warden's that cannot be one inside by chance: there are init and the probe.
const FIRST_OUTSIDE: u32 = 16;

/// In the order in which they are tried: what changes the one who tries, where it wrongly succeeds, comes last.
/// `init` is its process id outside.
pub(crate) fn promises(plan: &Plan, outside: &Outside, init: u32) -> Vec<Promise> {
    if plan.tier == Tier::Confined {
        return confined::promises(plan, outside, init);
    }
    let mut all = files::promises(plan);
    all.extend([alone(), wiring(), sockets(), captured(), captured_v6(), datagrams(), servers(outside)]);
    all.extend([limits(plan), calls(plan), unknown_calls(plan), terminals(), init_of(1), processes(outside)]);
    all.extend([namespaces(plan), capabilities(), identity()]);
    all.retain(|promise| !promise.attempts.is_empty());
    all
}

/// `vhangup` has no argument that could keep it from happening.
pub(super) fn calls(plan: &Plan) -> Promise {
    let refused = syscalls::refused(plan.nested).filter(|&number| number != libc::SYS_vhangup);
    let name = "what reaches out of a sandbox or into the kernel is refused";
    Promise::new(("process", "seccomp"), name, EPERM, refused.map(Attempt::Call).collect())
}

pub(super) fn unknown_calls(plan: &Plan) -> Promise {
    /// No kernel has it.
    const NEXT: i64 = 900;
    /// `getpid` by the numbers of x32.
    const X32: i64 = 0x4000_0000 + 39;
    let mut attempts: Vec<Attempt> = [libc::SYS_clone3, NEXT].map(Attempt::Call).to_vec();
    if plan.nested {
        attempts.extend(syscalls::absent_when_nested().iter().copied().map(Attempt::Call));
    }
    if cfg!(target_arch = "x86_64") {
        attempts.extend([Attempt::Call(X32), Attempt::I386]);
    }
    let name = "calls that are not listed do not exist, nor those of other architectures";
    Promise::new(("process", "seccomp"), name, &[Errno::NOSYS], attempts)
}

pub(super) fn namespaces(plan: &Plan) -> Promise {
    if plan.nested {
        let attempts = [libc::CLONE_NEWCGROUP, 0x80].map(Attempt::Unshare).to_vec();
        let name = "no namespace can be made in which limits or time are another's";
        return Promise::new(("process", "seccomp"), name, EPERM, attempts);
    }
    let flags = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
        0x80,
    ];
    let mut attempts = flags.map(Attempt::Unshare).to_vec();
    attempts.extend([libc::CLONE_NEWUSER, libc::CLONE_NEWNET].map(Attempt::Clone));
    Promise::new(("process", "seccomp"), "no new namespace can be made", EPERM, attempts)
}

pub(super) fn terminals() -> Promise {
    let mut attempts: Vec<Attempt> = filter::FORBIDDEN_IOCTLS.into_iter().map(Attempt::Ioctl).collect();
    attempts.push(Attempt::Personality(libc::ADDR_NO_RANDOMIZE as u32));
    let name = "nobody types into a terminal, and addresses stay random";
    Promise::new(("process", "seccomp"), name, EPERM, attempts)
}

fn capabilities() -> Promise {
    let attempts = vec![Attempt::HaveCapability, Attempt::TakeCapabilities, Attempt::GainByExec];
    let by = ("process", "no capabilities, secure bits, no_new_privs");
    Promise::new(by, "there is no capability and no way to one", EPERM, attempts)
}

fn identity() -> Promise {
    let attempts = vec![Attempt::ChangeUser, Attempt::ChangeGroups];
    let by = ("process", "user namespace");
    Promise::new(by, "a process stays its user", &[Errno::PERM, Errno::INVAL], attempts)
}

pub(super) fn init_of(pid: u32) -> Promise {
    let files = ["mem", "environ", "maps", "root", "cwd", "fd/0", "ns/mnt"];
    let mut attempts: Vec<Attempt> =
        files.into_iter().map(|file| Attempt::Read(format!("/proc/{pid}/{file}").into())).collect();
    attempts.extend([Attempt::Trace(pid), Attempt::ReadMemory(pid)]);
    let by = ("process", "not dumpable, seccomp");
    let refusals = &[Errno::ACCESS, Errno::PERM, Errno::NOENT];
    Promise::new(by, "init's memory and files are closed", refusals, attempts)
}

fn processes(outside: &Outside) -> Promise {
    let mut attempts = vec![Attempt::SeeOthers, Attempt::Signal(-1)];
    let warden = outside.pid;
    if warden >= FIRST_OUTSIDE {
        attempts.extend([
            Attempt::Signal(warden.cast_signed()),
            Attempt::PidFd(warden),
            Attempt::ReadMemory(warden),
            Attempt::Trace(warden),
            Attempt::Read(format!("/proc/{warden}/mem").into()),
            Attempt::Read(format!("/proc/{warden}/environ").into()),
        ]);
    }
    let by = ("process", "pid namespace");
    Promise::new(by, "no process outside is seen, signalled, traced or read", UNSEEN, attempts)
}

fn alone() -> Promise {
    let by = ("network", "network namespace");
    Promise::new(by, "loopback is the only interface", EPERM, vec![Attempt::OtherInterface])
}

fn wiring() -> Promise {
    let attempts = vec![Attempt::SetInterface, Attempt::SetRoute];
    Promise::new(("network", "no capabilities"), "interfaces and routes cannot be changed", EPERM, attempts)
}

fn sockets() -> Promise {
    let stream = libc::SOCK_STREAM as u32;
    let (datagram, raw, packets) =
        (libc::SOCK_DGRAM as u32, libc::SOCK_RAW as u32, libc::SOCK_SEQPACKET as u32);
    let kinds = [
        (libc::AF_INET, raw, libc::IPPROTO_ICMP),
        (libc::AF_INET6, raw, libc::IPPROTO_ICMPV6),
        (libc::AF_INET, datagram, libc::IPPROTO_ICMP),
        (libc::AF_INET, stream, libc::IPPROTO_SCTP),
        (libc::AF_PACKET, raw, 0),
        (libc::AF_VSOCK, stream, 0),
        (libc::AF_ALG, packets, 0),
        (libc::AF_XDP, raw, 0),
        (libc::AF_BLUETOOTH, raw, 0),
        (libc::AF_NETLINK, raw, libc::NETLINK_NETFILTER),
        (libc::AF_NETLINK, raw, libc::NETLINK_SOCK_DIAG),
    ];
    let attempt = |(family, kind, protocol): (i32, u32, i32)| {
        Attempt::Socket(family.unsigned_abs() as u16, kind, protocol.unsigned_abs())
    };
    let refusals = &[Errno::PERM, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
    let name = "sockets are TCP, UDP, Unix and routing only";
    Promise::new(("network", "seccomp"), name, refusals, kinds.into_iter().map(attempt).collect())
}

/// Whether nobody else than the warden is there for a connection is seen on the other side.
fn captured() -> Promise {
    let attempts = vec![Attempt::Connect((SOMEWHERE_V4, DISCARD).into())];
    let by = ("network", "routes, nftables");
    Promise {
        kept: Kept::Captured(&[]),
        ..Promise::new(by, "a TCP connection arrives at the warden", &[], attempts)
    }
}

fn captured_v6() -> Promise {
    let attempts = vec![Attempt::Connect((SOMEWHERE_V6, DISCARD).into())];
    let by = ("network", "routes, nftables");
    let name = "a TCP connection by IPv6 arrives at the warden, where there is IPv6";
    Promise { kept: Kept::Captured(NO_V6), ..Promise::new(by, name, &[], attempts) }
}

fn datagrams() -> Promise {
    let v4 = SocketAddr::from((SOMEWHERE_V4, DISCARD));
    let attempts =
        vec![Attempt::Send(v4), Attempt::Send((SOMEWHERE_V6, DISCARD).into()), Attempt::FastOpen(v4)];
    let refusals = &[
        Errno::PERM,
        Errno::CONNREFUSED,
        Errno::OPNOTSUPP,
        Errno::AFNOSUPPORT,
        Errno::ADDRNOTAVAIL,
        Errno::NETUNREACH,
    ];
    let by = ("network", "nftables, no fast open");
    Promise::new(by, "datagrams and data before a connection go nowhere", refusals, attempts)
}

fn servers(outside: &Outside) -> Promise {
    let mut attempts = vec![Attempt::SendAbstract(outside.name.clone())];
    attempts.extend(outside.server.map(Attempt::Connect));
    let by = ("network", "network namespace, Landlock");
    let refusals = &[Errno::CONNREFUSED, Errno::PERM];
    Promise::new(
        by,
        "servers on the host's loopback and its abstract sockets are not reached",
        refusals,
        attempts,
    )
}

pub(super) fn limits(plan: &Plan) -> Promise {
    let limits = &plan.limits;
    let wishes = [
        (true, Bound::Core),
        (limits.open_files.is_some(), Bound::OpenFiles),
        (limits.file_size.is_some(), Bound::FileSize),
        (limits.processes.is_some(), Bound::Processes),
    ];
    let attempts = wishes.into_iter().filter(|(asked, _)| *asked).map(|(_, bound)| Attempt::Raise(bound));
    Promise::new(("limits", "rlimits"), "no limit can be raised", EPERM, attempts.collect())
}

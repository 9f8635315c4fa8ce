//! What a sandbox promises that stands on the host's own file tree and network. What it does not promise, and the usual
//! one does, its policy has accepted by name (`creel_types::Weakness`).

use super::promises::{DISCARD, SOMEWHERE_V4, SOMEWHERE_V6};
use super::{Attempt, Outside, Promise, promises as usual};
use crate::{filter, syscalls};
use creel_api::plan::{Plan, What};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

const LANDLOCK: &str = "Landlock";
const CLOSED: &[Errno] = &[Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::ROFS];
/// How what no Landlock rule gives is refused; the rest where the host has no such thing, or refuses it before.
const REFUSED: &[Errno] = &[Errno::ACCESS, Errno::PERM, Errno::NOENT];

/// In the order in which they are tried: what changes the one who tries, where it wrongly succeeds, comes last.
pub(super) fn promises(plan: &Plan, outside: &Outside, init: u32) -> Vec<Promise> {
    let mut all = vec![
        elsewhere(plan),
        private(plan),
        own(plan),
        read_only(plan),
        system(plan),
        kernel_files(),
        devices(),
    ];
    all.extend([
        sockets(),
        connections(outside),
        usual::limits(plan),
        usual::calls(plan),
        shared(),
        attributes(),
    ]);
    all.extend([
        usual::unknown_calls(plan),
        usual::terminals(),
        usual::init_of(init),
        processes(outside, init),
    ]);
    all.extend([usual::namespaces(plan), capabilities(), identity()]);
    all.retain(|promise| !promise.attempts.is_empty());
    all
}

fn granted(plan: &Plan) -> impl Iterator<Item = &Path> {
    plan.places.iter().filter_map(|place| match &place.what {
        What::Read(source) | What::Write(source) | What::Review { source, .. } => Some(source.as_path()),
        What::Hidden | What::Scratch => None,
    })
}

/// Directories that hold what is worth taking; not what is granted, or lies in it.
fn elsewhere(plan: &Plan) -> Promise {
    let usual =
        ["/", "/home", "/root", "/var", "/run", "/tmp", "/sys", "/boot", "/dev", "/dev/shm", "/dev/pts"];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let all = usual.into_iter().map(PathBuf::from).chain(home);
    let closed = all.filter(|path| !granted(plan).any(|grant| path.starts_with(grant)));
    let attempts = closed.map(Attempt::Read).collect();
    Promise::new(
        ("filesystem", LANDLOCK),
        "what is not granted cannot be opened or listed",
        REFUSED,
        attempts,
    )
}

fn private(plan: &Plan) -> Promise {
    let hidden = plan.etc.iter().filter(|file| file.mode & 0o777 == 0);
    let attempts = hidden.map(|file| Attempt::Read(Path::new("/etc").join(&file.path))).collect();
    let name = "what only root reads of the system's settings cannot be read";
    Promise::new(("filesystem", LANDLOCK), name, REFUSED, attempts)
}

fn own(plan: &Plan) -> Promise {
    let attempts = plan.out_of_reach.iter().map(|path| Attempt::Read(path.clone())).collect();
    Promise::new(("filesystem", LANDLOCK), "the warden's own files cannot be opened", REFUSED, attempts)
}

fn read_only(plan: &Plan) -> Promise {
    let attempts = plan.places.iter().filter_map(|place| match &place.what {
        What::Read(source) if source.is_dir() => Some(Attempt::MakeIn(source.clone())),
        What::Read(source) if source.is_file() => Some(Attempt::Write(source.clone())),
        _ => None,
    });
    let name = "what is read-only cannot be written";
    Promise::new(("filesystem", LANDLOCK), name, CLOSED, attempts.collect())
}

fn system(plan: &Plan) -> Promise {
    let dirs = ["/", "/usr", "/etc", "/dev", "/proc", "/tmp"].map(PathBuf::from);
    let dirs = dirs.into_iter().filter(|dir| !granted(plan).any(|grant| dir.starts_with(grant)));
    let refusals = &[Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::OPNOTSUPP];
    let attempts = dirs.map(Attempt::MakeIn).collect();
    Promise::new(("filesystem", LANDLOCK), "the system cannot be changed", refusals, attempts)
}

fn kernel_files() -> Promise {
    let write =
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/mem", "/proc/self/uid_map"];
    let read =
        ["/proc/kcore", "/proc/kmsg", "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/debug", "/sys/fs/bpf"];
    let attempts = write.into_iter().map(|path| Attempt::Write(path.into()));
    let attempts = attempts.chain(read.into_iter().map(|path| Attempt::Read(path.into()))).collect();
    let by = ("filesystem", "Landlock, no capabilities");
    Promise::new(by, "the kernel's files and settings are closed", CLOSED, attempts)
}

fn devices() -> Promise {
    let files = [
        "/dev/mem",
        "/dev/kmsg",
        "/dev/kvm",
        "/dev/fuse",
        "/dev/sda",
        "/dev/vda",
        "/dev/net/tun",
        "/dev/ptmx",
    ];
    let mut attempts: Vec<Attempt> = files.into_iter().map(|path| Attempt::Read(path.into())).collect();
    attempts.push(Attempt::MakeDevice("/tmp".into()));
    let by = ("filesystem", "Landlock, no capabilities");
    Promise::new(by, "no device of the machine is opened, and none can be made", CLOSED, attempts)
}

fn sockets() -> Promise {
    let stream = libc::SOCK_STREAM as u32;
    let (datagram, raw, packets) =
        (libc::SOCK_DGRAM as u32, libc::SOCK_RAW as u32, libc::SOCK_SEQPACKET as u32);
    let kinds = [
        (libc::AF_INET, datagram, 0),
        (libc::AF_INET6, datagram, 0),
        (libc::AF_UNIX, datagram, 0),
        (libc::AF_INET, raw, libc::IPPROTO_ICMP),
        (libc::AF_INET, stream, libc::IPPROTO_SCTP),
        (libc::AF_INET, stream, libc::IPPROTO_MPTCP),
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
    let name = "sockets are TCP, Unix streams and routing only";
    Promise::new(("network", "seccomp"), name, refusals, kinds.into_iter().map(attempt).collect())
}

/// The warden is asked about every connection and never lets one go on; here it does, to see that Landlock stands behind
/// it.
fn connections(outside: &Outside) -> Promise {
    let v4 = std::net::SocketAddr::from((SOMEWHERE_V4, DISCARD));
    let v6 = std::net::SocketAddr::from((SOMEWHERE_V6, DISCARD));
    let mut attempts =
        vec![Attempt::Connect(v4), Attempt::Connect(v6), Attempt::FastOpen(v4), Attempt::Send(v4)];
    attempts.push(Attempt::SendAbstract(outside.name.clone()));
    attempts.extend(outside.server.map(Attempt::Connect));
    let refusals = &[Errno::ACCESS, Errno::PERM, Errno::OPNOTSUPP, Errno::AFNOSUPPORT];
    let by = ("network", "Landlock, seccomp");
    Promise::new(by, "no connection is made and nothing is sent but by the warden", refusals, attempts)
}

/// What no namespace of its own keeps apart.
fn shared() -> Promise {
    let attempts = syscalls::refused_confined().map(Attempt::Call).collect();
    let name = "owners of files, and messages and memory of the machine, are out of reach";
    Promise::new(("process", "seccomp"), name, &[Errno::PERM], attempts)
}

fn attributes() -> Promise {
    let attempts = filter::FILE_ATTRIBUTES.into_iter().map(Attempt::Ioctl).collect();
    Promise::new(("filesystem", "seccomp"), "attributes of files cannot be set", &[Errno::PERM], attempts)
}

fn processes(outside: &Outside, init: u32) -> Promise {
    let mut attempts = vec![Attempt::Signal(init.cast_signed())];
    let warden = outside.pid;
    attempts.extend([
        Attempt::Signal(warden.cast_signed()),
        Attempt::ReadMemory(warden),
        Attempt::Trace(warden),
        Attempt::Read(format!("/proc/{warden}/mem").into()),
        Attempt::Read(format!("/proc/{warden}/environ").into()),
        Attempt::Read(format!("/proc/{warden}/fd/0").into()),
        Attempt::Read(format!("/proc/{warden}/root").into()),
        Attempt::Read(format!("/proc/{warden}/maps").into()),
    ]);
    let by = ("process", "Landlock, seccomp");
    Promise::new(by, "no process outside, and not init, is signalled, traced or read", REFUSED, attempts)
}

/// Without a user namespace of its own the bounding set stays what it is; nothing can be gained from it.
fn capabilities() -> Promise {
    let attempts = vec![Attempt::TakeCapabilities, Attempt::GainByExec];
    let by = ("process", "no capabilities, no_new_privs");
    Promise::new(by, "there is no capability and no way to one", &[Errno::PERM], attempts)
}

fn identity() -> Promise {
    let attempts = vec![Attempt::ChangeUser, Attempt::ChangeGroups];
    let by = ("process", "no capabilities");
    Promise::new(by, "a process stays its user", &[Errno::PERM, Errno::INVAL], attempts)
}

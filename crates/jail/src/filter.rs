//! The table of system calls as a BPF program: a binary search over runs of neighbours that share a fate.

use crate::syscalls::{self, AUDIT, Action, Check, table};
use creel_kernel::bpf::{Assembler, Instruction, Label, NotAProgram};
use creel_kernel::seccomp::verdict;

/// Offsets in `struct seccomp_data`.
pub(crate) const NUMBER: u32 = 0;
pub(crate) const ARCH: u32 = 4;

/// Offset of the low half of an argument. The kernel itself looks only at the low half of those that are checked here.
pub(crate) const fn argument(index: u32) -> u32 {
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    16 + 8 * index + low
}

pub(crate) const NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | CLONE_NEWTIME;
/// In `clone` this bit is part of the exit signal and not a flag; no libc uses it there.
const CLONE_NEWTIME: u32 = 0x80;

/// Typing into somebody's terminal; selection of the console; line disciplines, which are drivers; the console's output.
pub(crate) const FORBIDDEN_IOCTLS: [u32; 4] =
    [libc::TIOCSTI as u32, libc::TIOCLINUX as u32, libc::TIOCSETD as u32, libc::TIOCCONS as u32];

/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question which it is.
const PERSONALITIES: [u32; 5] = [0, 8, 0x0002_0000, 0x0002_0008, u32::MAX];

/// `SOCK_TYPE_MASK`: above it are `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
const TYPE: u32 = 0xf;

/// Flags, extended flags and verity of a file, which its owner may set through a descriptor that only reads.
pub(crate) const FILE_ATTRIBUTES: [u32; 3] = [0x4008_6602, 0x401c_5820, 0x4080_6685];

const ENOSYS: u32 = refuse(libc::ENOSYS);
const EPERM: u32 = refuse(libc::EPERM);

pub(crate) const fn refuse(errno: i32) -> u32 {
    verdict::errno(errno as u16)
}

/// The filter of every sandbox on this architecture; of one in which others may be nested.
pub(crate) fn program(nested: bool) -> Result<Vec<Instruction>, NotAProgram> {
    program_of(table(nested))
}

/// The filter of a sandbox that stands on the host's own file tree and network.
pub(crate) fn confined() -> Result<Vec<Instruction>, NotAProgram> {
    program_of(syscalls::confined())
}

fn program_of(table: Vec<(u32, Action)>) -> Result<Vec<Instruction>, NotAProgram> {
    #[cfg(test)]
    if !crate::walls::stands(crate::walls::Wall::Filter) {
        return missing();
    }
    let mut a = Assembler::default();
    let foreign = a.label();
    let native = a.label();
    a.load(ARCH);
    a.if_equal(AUDIT, native);
    a.jump(foreign);
    a.place(native);
    a.load(NUMBER);
    // Numbers from 0x4000_0000 on are x32's on x86_64; the last run of the search covers them: no such call.
    let mut checks = Vec::new();
    search(&mut a, &runs(table), &mut checks);
    for (check, label) in checks {
        a.place(label);
        compile_check(&mut a, check);
    }
    a.place(foreign);
    a.give(ENOSYS);
    a.finish()
}

/// No filter at all, but that the warden is asked for connections.
#[cfg(test)]
fn missing() -> Result<Vec<Instruction>, NotAProgram> {
    let mut a = Assembler::default();
    let asked = a.label();
    a.load(NUMBER);
    a.if_equal(libc::SYS_connect as u32, asked);
    a.give(verdict::ALLOW);
    a.place(asked);
    a.give(verdict::NOTIFY);
    a.finish()
}

/// A run of call numbers, from the first on, that share a fate.
type Run = (u32, Action);

fn runs(table: Vec<(u32, Action)>) -> Vec<Run> {
    let nothing = Action::Errno(libc::ENOSYS);
    let mut runs: Vec<Run> = vec![(0, nothing)];
    let mut next = 0;
    for (number, action) in table {
        if number > next {
            extend(&mut runs, next, nothing);
        }
        extend(&mut runs, number, action);
        next = number + 1;
    }
    extend(&mut runs, next, nothing);
    runs
}

fn extend(runs: &mut Vec<Run>, first: u32, action: Action) {
    match runs.last_mut() {
        Some((start, last)) if *start == first => *last = action,
        Some((_, last)) if *last == action => {}
        _ => runs.push((first, action)),
    }
}

fn search(a: &mut Assembler, runs: &[Run], checks: &mut Vec<(Check, Label)>) {
    if let [(_, action)] = runs {
        return leaf(a, *action, checks);
    }
    let (low, high) = runs.split_at(runs.len() / 2);
    let upper = a.label();
    a.if_at_least(high[0].0, upper);
    search(a, low, checks);
    a.place(upper);
    search(a, high, checks);
}

fn leaf(a: &mut Assembler, action: Action, checks: &mut Vec<(Check, Label)>) {
    match action {
        Action::Allow => a.give(verdict::ALLOW),
        Action::Errno(errno) => a.give(refuse(errno)),
        Action::Notify => a.give(verdict::NOTIFY),
        Action::Check(check) => {
            let label = a.label();
            a.jump(label);
            checks.push((check, label));
        }
    }
}

fn compile_check(a: &mut Assembler, check: Check) {
    match check {
        Check::NoNamespaces => none_of(a, NAMESPACES),
        Check::NestedNamespaces => none_of(a, libc::CLONE_NEWCGROUP as u32 | CLONE_NEWTIME),
        Check::Socket => compile_socket(a),
        Check::UnixOnly => one_of(a, 0, &[libc::AF_UNIX as u32], refuse(libc::EAFNOSUPPORT)),
        Check::Ioctl => not_one_of(a, 1, &FORBIDDEN_IOCTLS),
        Check::ConfinedIoctl => not_one_of(a, 1, &[&FORBIDDEN_IOCTLS[..], &FILE_ATTRIBUTES].concat()),
        Check::Making(flags, mode) => compile_making(a, flags, mode),
        Check::OneselfIn(index) => one_of(a, index, &[0], EPERM),
        Check::NoFastOpen(index) => {
            none_of_bits(a, index, libc::MSG_FASTOPEN as u32, refuse(libc::EOPNOTSUPP))
        }
        Check::NoDetour => compile_options(a),
        Check::StreamSocket => compile_stream_socket(a),
        Check::StreamPair => unix_stream(a),
        Check::Personality => one_of(a, 0, &PERSONALITIES, EPERM),
    }
}

/// Allows the call when its first argument has none of these bits.
fn none_of(a: &mut Assembler, bits: u32) {
    none_of_bits(a, 0, bits, EPERM);
}

fn none_of_bits(a: &mut Assembler, index: u32, bits: u32, otherwise: u32) {
    let bad = a.label();
    a.load(argument(index));
    a.if_any_bit(bits, bad);
    a.give(verdict::ALLOW);
    a.place(bad);
    a.give(otherwise);
}

/// Allows the call when the argument is none of the values.
fn not_one_of(a: &mut Assembler, index: u32, values: &[u32]) {
    let bad = a.label();
    a.load(argument(index));
    values.iter().for_each(|&value| a.if_equal(value, bad));
    a.give(verdict::ALLOW);
    a.place(bad);
    a.give(EPERM);
}

/// A file that is not made has no mode, whatever the argument says.
fn compile_making(a: &mut Assembler, flags: Option<u32>, mode: u32) {
    const SET_ID: u32 = 0o6000;
    /// `O_TMPFILE` without `O_DIRECTORY`, which is part of it.
    const MAKES: u32 = libc::O_CREAT as u32 | (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
    if let Some(flags) = flags {
        let made = a.label();
        a.load(argument(flags));
        a.if_any_bit(MAKES, made);
        a.give(verdict::ALLOW);
        a.place(made);
    }
    none_of_bits(a, mode, SET_ID, EPERM);
}

/// Source routes and options that carry them, other devices, connecting while sending, and protocols in between.
fn compile_options(a: &mut Assembler) {
    const IPV6: [u32; 8] = [3, 4, 5, 6, 54, 55, 57, 59];
    const LEVELS: [(u32, &[u32]); 4] = [
        (libc::SOL_IP as u32, &[libc::IP_OPTIONS as u32]),
        (libc::SOL_IPV6 as u32, &IPV6),
        (libc::SOL_SOCKET as u32, &[libc::SO_BINDTODEVICE as u32, 62]),
        (libc::SOL_TCP as u32, &[23, 30, 31]),
    ];
    let labels = LEVELS.map(|_| a.label());
    a.load(argument(1));
    LEVELS.iter().zip(labels).for_each(|((level, _), label)| a.if_equal(*level, label));
    a.give(verdict::ALLOW);
    for ((_, options), label) in LEVELS.iter().zip(labels) {
        a.place(label);
        not_one_of(a, 2, options);
    }
}

fn compile_stream_socket(a: &mut Assembler) {
    let (unix, internet, routing) = (a.label(), a.label(), a.label());
    a.load(argument(0));
    a.if_equal(libc::AF_UNIX as u32, unix);
    a.if_equal(libc::AF_INET as u32, internet);
    a.if_equal(libc::AF_INET6 as u32, internet);
    a.if_equal(libc::AF_NETLINK as u32, routing);
    a.give(refuse(libc::EAFNOSUPPORT));
    a.place(routing);
    one_of(a, 2, &[libc::NETLINK_ROUTE as u32], refuse(libc::EPROTONOSUPPORT));
    a.place(internet);
    let stream = a.label();
    a.load(argument(1));
    a.and(TYPE);
    a.if_equal(libc::SOCK_STREAM as u32, stream);
    a.give(EPERM);
    a.place(stream);
    one_of(a, 2, &[0, libc::IPPROTO_TCP as u32], refuse(libc::EPROTONOSUPPORT));
    a.place(unix);
    unix_stream(a);
}

/// Unix sockets that are connected for good: a datagram could be sent to any socket with a name, whatever Landlock says.
fn unix_stream(a: &mut Assembler) {
    let (family, good) = (a.label(), a.label());
    a.load(argument(0));
    a.if_equal(libc::AF_UNIX as u32, family);
    a.give(refuse(libc::EAFNOSUPPORT));
    a.place(family);
    a.load(argument(1));
    a.and(TYPE);
    a.if_equal(libc::SOCK_STREAM as u32, good);
    a.if_equal(libc::SOCK_SEQPACKET as u32, good);
    a.give(EPERM);
    a.place(good);
    a.give(verdict::ALLOW);
}

/// Allows the call when the argument is one of the values.
pub(crate) fn one_of(a: &mut Assembler, index: u32, values: &[u32], otherwise: u32) {
    let good = a.label();
    a.load(argument(index));
    values.iter().for_each(|&value| a.if_equal(value, good));
    a.give(otherwise);
    a.place(good);
    a.give(verdict::ALLOW);
}

fn compile_socket(a: &mut Assembler) {
    let (internet, routing, allow) = (a.label(), a.label(), a.label());
    a.load(argument(0));
    a.if_equal(libc::AF_UNIX as u32, allow);
    a.if_equal(libc::AF_INET as u32, internet);
    a.if_equal(libc::AF_INET6 as u32, internet);
    a.if_equal(libc::AF_NETLINK as u32, routing);
    a.give(refuse(libc::EAFNOSUPPORT));
    a.place(routing);
    one_of(a, 2, &[libc::NETLINK_ROUTE as u32], refuse(libc::EPROTONOSUPPORT));
    a.place(internet);
    compile_internet(a);
    a.place(allow);
    a.give(verdict::ALLOW);
}

/// Streams are TCP and datagrams UDP, and there is nothing else: no raw packets, no ping sockets, no SCTP.
pub(crate) fn compile_internet(a: &mut Assembler) {
    let (stream, datagram) = (a.label(), a.label());
    a.load(argument(1));
    a.and(TYPE);
    a.if_equal(libc::SOCK_STREAM as u32, stream);
    a.if_equal(libc::SOCK_DGRAM as u32, datagram);
    a.give(EPERM);
    a.place(stream);
    one_of(a, 2, &[0, libc::IPPROTO_TCP as u32], refuse(libc::EPROTONOSUPPORT));
    a.place(datagram);
    one_of(a, 2, &[0, libc::IPPROTO_UDP as u32], refuse(libc::EPROTONOSUPPORT));
}

#[cfg(test)]
mod also;
#[cfg(test)]
mod used;

#[cfg(test)]
mod tests {
    use super::*;
    use creel_kernel::bpf::interpret;

    const ALLOW: u32 = verdict::ALLOW;

    fn judge(arch: u32, number: i64, args: [u64; 3]) -> u32 {
        judge_in(false, arch, number, args)
    }

    fn judge_in(nested: bool, arch: u32, number: i64, args: [u64; 3]) -> u32 {
        let mut data = (number as u32).to_ne_bytes().to_vec();
        data.extend_from_slice(&arch.to_ne_bytes());
        data.extend_from_slice(&[0; 8]);
        args.iter().for_each(|arg| data.extend_from_slice(&arg.to_ne_bytes()));
        data.resize(64, 0);
        interpret(&program(nested).unwrap(), &data).expect("the program ends")
    }

    fn check(cases: &[(i64, [u64; 3], u32)]) {
        for &(number, args, expected) in cases {
            let got = judge(AUDIT, number, args);
            assert_eq!(got, expected, "call {number} {args:x?}: {got:#x}, not {expected:#x}");
        }
    }

    fn judge_confined(number: i64, args: [u64; 4]) -> u32 {
        let mut data = (number as u32).to_ne_bytes().to_vec();
        data.extend_from_slice(&AUDIT.to_ne_bytes());
        data.extend_from_slice(&[0; 8]);
        args.iter().for_each(|arg| data.extend_from_slice(&arg.to_ne_bytes()));
        data.resize(64, 0);
        interpret(&confined().unwrap(), &data).expect("the program ends")
    }

    #[test]
    fn confined_nothing_is_sent_made_or_bounded_that_reaches_beyond() {
        let made = libc::O_CREAT as u64;
        let fast = libc::MSG_FASTOPEN as u64;
        let (unix, internet) = (libc::AF_UNIX as u64, libc::AF_INET as u64);
        let (stream, datagram) = (libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64);
        for (number, args, expected) in [
            (libc::SYS_connect, [0; 4], verdict::NOTIFY),
            (libc::SYS_listen, [0; 4], verdict::NOTIFY),
            (libc::SYS_fchmod, [0; 4], verdict::NOTIFY),
            (libc::SYS_execve, [0; 4], verdict::NOTIFY),
            (libc::SYS_fchown, [0; 4], EPERM),
            (libc::SYS_shmget, [0; 4], EPERM),
            (libc::SYS_openat2, [0; 4], ENOSYS),
            (libc::SYS_openat, [0, 0, made, 0o644], ALLOW),
            (libc::SYS_openat, [0, 0, made, 0o4755], EPERM),
            (libc::SYS_openat, [0, 0, libc::O_TMPFILE as u64, 0o2755], EPERM),
            (libc::SYS_openat, [0, 0, libc::O_DIRECTORY as u64, u64::MAX], ALLOW),
            (libc::SYS_mkdirat, [0, 0, 0o2755, 0], EPERM),
            (libc::SYS_sendto, [0, 0, 0, fast], refuse(libc::EOPNOTSUPP)),
            (libc::SYS_sendmsg, [0, 0, fast, 0], refuse(libc::EOPNOTSUPP)),
            (libc::SYS_sendto, [0; 4], ALLOW),
            (libc::SYS_setsockopt, [0, libc::SOL_IP as u64, libc::IP_OPTIONS as u64, 0], EPERM),
            (libc::SYS_setsockopt, [0, libc::SOL_IPV6 as u64, 57, 0], EPERM),
            (libc::SYS_setsockopt, [0, libc::SOL_SOCKET as u64, libc::SO_BINDTODEVICE as u64, 0], EPERM),
            (libc::SYS_setsockopt, [0, libc::SOL_TCP as u64, libc::TCP_NODELAY as u64, 0], ALLOW),
            (libc::SYS_socket, [internet, stream, 0, 0], ALLOW),
            (libc::SYS_socket, [internet, datagram, 0, 0], EPERM),
            (libc::SYS_socket, [unix, stream, 0, 0], ALLOW),
            (libc::SYS_socket, [unix, datagram, 0, 0], EPERM),
            (libc::SYS_socketpair, [unix, datagram, 0, 0], EPERM),
            (libc::SYS_prlimit64, [0; 4], ALLOW),
            (libc::SYS_prlimit64, [77, 0, 0, 0], EPERM),
            (libc::SYS_setpriority, [0, 77, 0, 0], EPERM),
        ] {
            assert_eq!(judge_confined(number, args), expected, "{number} {args:x?}");
        }
    }

    #[test]
    fn no_call_is_in_two_lists() {
        for table in [table(false), table(true)] {
            for pair in table.windows(2) {
                assert_ne!(pair[0].0, pair[1].0, "{pair:?}");
            }
        }
    }

    #[test]
    fn nesting_allows_namespaces_and_mounts_but_none_that_undoes_a_limit() {
        for (number, argument, expected) in [
            (libc::SYS_unshare, libc::CLONE_NEWUSER as u64, ALLOW),
            (libc::SYS_clone, libc::CLONE_NEWUSER as u64 | 17, ALLOW),
            (libc::SYS_unshare, libc::CLONE_NEWCGROUP as u64, EPERM),
            (libc::SYS_clone, libc::CLONE_NEWCGROUP as u64 | 17, EPERM),
            (libc::SYS_unshare, 0x80, EPERM),
            (libc::SYS_mount, 0, ALLOW),
            (libc::SYS_fsopen, 0, ENOSYS),
            (libc::SYS_mount_setattr, 0, ENOSYS),
            (libc::SYS_clone3, 0, ENOSYS),
            (libc::SYS_ptrace, 0, EPERM),
            (libc::SYS_bpf, 0, EPERM),
            (libc::SYS_open_by_handle_at, 0, EPERM),
        ] {
            assert_eq!(judge_in(true, AUDIT, number, [argument, 0, 0]), expected, "{number} {argument:x}");
        }
    }

    #[test]
    fn the_search_finds_for_each_number_what_the_table_says() {
        let table = table(false);
        for number in 0..1000 {
            let expected = match table.iter().find(|(nr, _)| *nr == number) {
                Some((_, Action::Allow)) => ALLOW,
                Some((_, Action::Errno(errno))) => refuse(*errno),
                Some((_, Action::Notify)) => verdict::NOTIFY,
                Some((_, Action::Check(_))) => continue,
                None => ENOSYS,
            };
            assert_eq!(judge(AUDIT, i64::from(number), [0; 3]), expected, "call {number}");
        }
    }

    #[test]
    fn what_would_make_a_namespace_is_refused_and_threads_are_not() {
        let threads =
            libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        check(&[
            (libc::SYS_clone, [threads as u64, 0, 0], ALLOW),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], ALLOW),
            (libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 17, 0, 0], EPERM),
            (libc::SYS_clone, [libc::CLONE_NEWNET as u64, 0, 0], EPERM),
            (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0], ALLOW),
            (libc::SYS_unshare, [libc::CLONE_NEWNS as u64, 0, 0], EPERM),
            (libc::SYS_unshare, [0x80, 0, 0], EPERM),
            (libc::SYS_clone3, [0; 3], ENOSYS),
            (libc::SYS_setns, [0; 3], EPERM),
        ]);
    }

    #[test]
    fn sockets_are_unix_tcp_udp_and_routing_only() {
        let make = |family: i32, kind: i32, protocol: i32| [family as u64, kind as u64, protocol as u64];
        let no_family = refuse(libc::EAFNOSUPPORT);
        let no_protocol = refuse(libc::EPROTONOSUPPORT);
        let socket = libc::SYS_socket;
        check(&[
            (socket, make(libc::AF_UNIX, libc::SOCK_STREAM, 0), ALLOW),
            (socket, make(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0), ALLOW),
            (socket, make(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 6), ALLOW),
            (socket, make(libc::AF_INET, libc::SOCK_DGRAM, 17), ALLOW),
            (socket, make(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP), no_protocol),
            (socket, make(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6), no_protocol),
            (socket, make(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP), no_protocol),
            (socket, make(libc::AF_INET, libc::SOCK_STREAM, 262), no_protocol),
            (socket, make(libc::AF_INET, libc::SOCK_RAW, 6), EPERM),
            (socket, make(libc::AF_INET, libc::SOCK_SEQPACKET, 132), EPERM),
            (socket, make(libc::AF_NETLINK, libc::SOCK_RAW, 0), ALLOW),
            (socket, make(libc::AF_NETLINK, libc::SOCK_RAW, 12), no_protocol),
            (socket, make(libc::AF_PACKET, libc::SOCK_RAW, 0), no_family),
            (socket, make(libc::AF_VSOCK, libc::SOCK_STREAM, 0), no_family),
            (socket, make(libc::AF_ALG, libc::SOCK_SEQPACKET, 0), no_family),
            (libc::SYS_socketpair, make(libc::AF_UNIX, 1, 0), ALLOW),
            (libc::SYS_socketpair, make(libc::AF_TIPC, 1, 0), no_family),
            // The kernel reads an int: what is above it changes nothing.
            (socket, [0x1_0000_0000 | libc::AF_PACKET as u64, 3, 0], no_family),
        ]);
    }

    #[test]
    fn typing_into_terminals_and_odd_personalities_are_refused() {
        check(&[
            (libc::SYS_ioctl, [0, libc::TCGETS, 0], ALLOW),
            (libc::SYS_ioctl, [0, libc::TIOCSTI, 0], EPERM),
            (libc::SYS_ioctl, [0, libc::TIOCLINUX, 0], EPERM),
            (libc::SYS_ioctl, [0, 0xffff_ffff_0000_0000 | libc::TIOCSTI, 0], EPERM),
            (libc::SYS_ioctl, [0, libc::TIOCSETD, 0], EPERM),
            (libc::SYS_personality, [0xffff_ffff, 0, 0], ALLOW),
            (libc::SYS_personality, [0x0040_0000, 0, 0], EPERM),
        ]);
    }

    #[test]
    fn who_connects_and_what_is_executed_and_begins_is_asked() {
        for number in [libc::SYS_connect, libc::SYS_execve, libc::SYS_execveat, libc::SYS_set_tid_address] {
            check(&[(number, [0; 3], verdict::NOTIFY)]);
        }
    }

    #[test]
    fn other_architectures_have_no_calls() {
        const I386: u32 = 0x4000_0003;
        assert_eq!(judge(I386, 1, [0; 3]), ENOSYS);
        assert_eq!(judge(AUDIT, 0x4000_0000 | libc::SYS_connect, [0; 3]), ENOSYS);
        assert_eq!(judge(AUDIT, -1, [0; 3]), ENOSYS);
    }

    #[test]
    fn no_call_is_allowed_that_nobody_makes() {
        let named: Vec<i64> = used::USED.iter().map(|&(_, number)| number).chain(also()).collect();
        for (number, action) in table(false) {
            let allowed = !matches!(action, Action::Errno(_));
            let who = named.iter().filter(|&&nr| nr == i64::from(number)).count();
            assert_eq!(who, usize::from(allowed), "call {number}: {action:?}, named {who} times");
        }
    }

    fn also() -> impl Iterator<Item = i64> {
        also::ALSO.iter().flat_map(|(_, calls)| *calls).copied()
    }

    #[test]
    fn what_ten_agents_use_is_there() {
        for &(name, number) in used::USED {
            let verdict = judge(AUDIT, number, [0; 3]);
            let checked =
                table(false).iter().any(|&(nr, a)| i64::from(nr) == number && matches!(a, Action::Check(_)));
            assert!(verdict == ALLOW || verdict == verdict::NOTIFY || checked, "{name}: {verdict:#x}");
        }
    }
}

//! What is attempted, as data, and the system call that attempts it.

use creel_kernel::{SysError, attempt, loopback, signal};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// One thing that must fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Open for reading.
    Read(PathBuf),
    /// Open a file for writing; nothing is written.
    Write(PathBuf),
    /// Make a nameless file in a directory, which is gone when it is closed.
    MakeIn(PathBuf),
    /// Open this very file or directory, whatever else stands at its path inside.
    Reach {
        /// Its path outside.
        path: PathBuf,
        /// The number of its device.
        device: u64,
        /// The number of its inode.
        inode: u64,
    },
    /// Make the null device in a directory; it is removed again.
    MakeDevice(PathBuf),
    /// Make a nameless file where only Landlock forbids it: in a writable mount that no path leads to.
    MakeBehindLandlock,
    /// A system call by its number, with arguments that mean nothing.
    Call(i64),
    /// A system call by the entry for 32-bit programs.
    I386,
    /// `unshare` with these flags.
    Unshare(i32),
    /// `clone` with these flags.
    Clone(i32),
    /// `personality`.
    Personality(u32),
    /// An `ioctl` request.
    Ioctl(u32),
    /// Trace a process.
    Trace(u32),
    /// Read a byte of a process's memory.
    ReadMemory(u32),
    /// Signal number 0, which only asks, to one process or (-1) to all.
    Signal(i32),
    /// A descriptor for a process.
    PidFd(u32),
    /// Find others than init and oneself in `/proc`.
    SeeOthers,
    /// Have any capability in any set, or secure bits that could bring one back.
    HaveCapability,
    /// Have no `no_new_privs`.
    GainByExec,
    /// Put all capabilities into the caller's sets.
    TakeCapabilities,
    /// Become another user.
    ChangeUser,
    /// Join other groups.
    ChangeGroups,
    /// A socket of this family, type and protocol.
    Socket(u16, u32, u32),
    /// Find an interface in use that is no loopback.
    OtherInterface,
    /// Change an interface.
    SetInterface,
    /// Change the routes.
    SetRoute,
    /// Connect by TCP.
    Connect(SocketAddr),
    /// Send data together with the first packet of a TCP connection.
    FastOpen(SocketAddr),
    /// Send a datagram of one byte.
    Send(SocketAddr),
    /// Send a datagram to an abstract Unix socket.
    SendAbstract(Vec<u8>),
    /// Raise a limit.
    Raise(Bound),
}

/// A limit that every process of a sandbox carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `RLIMIT_CORE`
    Core,
    /// `RLIMIT_NOFILE`
    OpenFiles,
    /// `RLIMIT_FSIZE`
    FileSize,
    /// `RLIMIT_NPROC`
    Processes,
}

impl Attempt {
    /// Makes the attempt; `Ok` when what must be impossible happened. `hatch` is the mount for
    /// [`Attempt::MakeBehindLandlock`].
    pub(super) fn make(&self, hatch: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        match self {
            Self::Read(path) => open(CWD, path, OFlags::RDONLY).map(drop),
            Self::Write(path) => write(path),
            Self::MakeIn(dir) => open(CWD, dir, OFlags::TMPFILE | OFlags::WRONLY).map(drop),
            Self::Reach { path, device, inode } => reach(path, (*device, *inode)),
            Self::MakeDevice(dir) => make_device(dir),
            Self::MakeBehindLandlock => {
                open(hatch.ok_or(Errno::BADF)?, Path::new("."), OFlags::TMPFILE | OFlags::WRONLY).map(drop)
            }
            Self::Call(number) => attempt::nonsense(*number),
            Self::I386 => i386(),
            Self::Unshare(flags) => attempt::unshare(*flags),
            Self::Clone(flags) => attempt::clone(*flags),
            Self::Personality(domain) => attempt::personality(*domain),
            Self::Ioctl(request) => attempt::ioctl(*request),
            Self::Trace(pid) => attempt::trace(pid.cast_signed()),
            Self::ReadMemory(pid) => attempt::read_byte_of(*pid),
            Self::Signal(whom) => plain(signal::kill(*whom, 0)),
            Self::PidFd(pid) => pid_fd(*pid),
            Self::SeeOthers => see_others(),
            Self::HaveCapability => have_capability(),
            Self::GainByExec => bad(!rustix::thread::no_new_privs()?),
            Self::TakeCapabilities => take_capabilities(),
            Self::ChangeUser => change_user(),
            Self::ChangeGroups => rustix::thread::set_thread_groups(&[Gid::from_raw(0)]),
            Self::Socket(family, kind, protocol) => socket(*family, *kind, *protocol).map(drop),
            Self::OtherInterface => bad(loopback::is_not_alone().map_err(|error| error.errno)?),
            Self::SetInterface => plain(loopback::up()),
            Self::SetRoute => plain(loopback::route_nonsense()),
            Self::Connect(to) => rustix::net::connect(internet(*to, SocketType::STREAM)?, to),
            Self::FastOpen(to) => {
                const FASTOPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);
                rustix::net::sendto(internet(*to, SocketType::STREAM)?, b"x", FASTOPEN, to).map(drop)
            }
            Self::Send(to) => {
                rustix::net::sendto(internet(*to, SocketType::DGRAM)?, b"x", SendFlags::empty(), to).map(drop)
            }
            Self::SendAbstract(name) => send_abstract(name),
            Self::Raise(bound) => bound.raise(),
        }
    }

    /// Whether the attempt may end the process that makes it, so that it must be the last.
    pub(super) fn may_be_fatal(&self) -> bool {
        matches!(self, Self::I386)
    }
}

/// A state that must not be: what is as it should be answers as a refusal would.
fn bad(found: bool) -> Result<(), Errno> {
    if found { Ok(()) } else { Err(Errno::PERM) }
}

fn plain<T>(result: Result<T, SysError>) -> Result<(), Errno> {
    result.map(drop).map_err(|error| error.errno)
}

fn open(at: impl std::os::fd::AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::openat(at, path, flags, Mode::RUSR | Mode::WUSR)
}

/// A program that runs cannot be written for that reason, which says nothing of the mount: so the mount is asked.
fn write(path: &Path) -> Result<(), Errno> {
    match open(CWD, path, OFlags::WRONLY) {
        Err(Errno::TXTBSY) => rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS),
        other => other.map(drop),
    }
}

fn reach(path: &Path, file: (u64, u64)) -> Result<(), Errno> {
    let found = open(CWD, path, OFlags::PATH)?;
    let stat = rustix::fs::fstat(&found)?;
    if (stat.st_dev, stat.st_ino) == file { Ok(()) } else { Err(Errno::NOENT) }
}

fn make_device(dir: &Path) -> Result<(), Errno> {
    let path = dir.join(".creel-posture");
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), null)?;
    rustix::fs::unlinkat(CWD, &path, AtFlags::empty())
}

#[cfg(target_arch = "x86_64")]
fn i386() -> Result<(), Errno> {
    attempt::by_i386_entry()
}

/// Elsewhere there is no such entry.
#[cfg(not(target_arch = "x86_64"))]
fn i386() -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

fn pid_fd(pid: u32) -> Result<(), Errno> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(drop)
}

fn see_others() -> Result<(), Errno> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    let mut numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    bad(numbers.any(|pid| pid != 1 && pid != own))
}

fn have_capability() -> Result<(), Errno> {
    let sets = rustix::thread::capabilities(None)?;
    let kept = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
    let loose = !rustix::thread::capabilities_secure_bits()?.contains(kept);
    let any = !(sets.effective | sets.permitted | sets.inheritable).is_empty();
    // The first number that the kernel does not know ends the list.
    let mut bounding = (0..64).map_while(|number| {
        let one = CapabilitySet::from_bits_retain(1 << number);
        rustix::thread::capability_is_in_bounding_set(one).ok()
    });
    bad(any || loose || bounding.any(|there| there))
}

fn take_capabilities() -> Result<(), Errno> {
    let one = CapabilitySet::SYS_ADMIN;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: one, permitted: one, inheritable: one },
    )
}

fn change_user() -> Result<(), Errno> {
    let own = rustix::process::getuid().as_raw();
    let other = Uid::from_raw(if own == 0 { 65534 } else { 0 });
    rustix::thread::set_thread_res_uid(other, other, other)
}

fn socket(family: u16, kind: u32, protocol: u32) -> Result<OwnedFd, Errno> {
    let protocol = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    let (family, kind) = (AddressFamily::from_raw(family), SocketType::from_raw(kind));
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)
}

fn internet(to: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

fn send_abstract(name: &[u8]) -> Result<(), Errno> {
    let socket = socket(AddressFamily::UNIX.as_raw(), SocketType::DGRAM.as_raw(), 0)?;
    let to = SocketAddrUnix::new_abstract_name(name)?;
    rustix::net::sendto(socket, b"x", SendFlags::empty(), &to).map(drop)
}

impl Bound {
    fn resource(self) -> Resource {
        match self {
            Self::Core => Resource::Core,
            Self::OpenFiles => Resource::Nofile,
            Self::FileSize => Resource::Fsize,
            Self::Processes => Resource::Nproc,
        }
    }

    /// No limit at all counts as raised.
    fn raise(self) -> Result<(), Errno> {
        let Some(most) = rustix::process::getrlimit(self.resource()).maximum else { return Ok(()) };
        let higher = Some(most.saturating_add(1));
        rustix::process::setrlimit(self.resource(), Rlimit { current: higher, maximum: higher })
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path) => write!(f, "read {}", path.display()),
            Self::Write(path) => write!(f, "write {}", path.display()),
            Self::MakeIn(dir) => write!(f, "make a file in {}", dir.display()),
            Self::Reach { path, .. } => write!(f, "reach {}", path.display()),
            Self::MakeDevice(dir) => write!(f, "make a device in {}", dir.display()),
            Self::MakeBehindLandlock => f.write_str("make a file in a mount that only Landlock closes"),
            Self::Call(number) => write!(f, "system call {number}"),
            Self::I386 => f.write_str("a system call of i386"),
            Self::Unshare(flags) => write!(f, "unshare {flags:#x}"),
            Self::Clone(flags) => write!(f, "clone {flags:#x}"),
            Self::Personality(domain) => write!(f, "personality {domain:#x}"),
            Self::Ioctl(request) => write!(f, "ioctl {request:#x}"),
            Self::Trace(pid) => write!(f, "trace process {pid}"),
            Self::ReadMemory(pid) => write!(f, "read the memory of process {pid}"),
            Self::Signal(-1) => f.write_str("signal all processes"),
            Self::Signal(whom) => write!(f, "signal process {whom}"),
            Self::PidFd(pid) => write!(f, "hold process {pid}"),
            Self::SeeOthers => f.write_str("see other processes in /proc"),
            Self::HaveCapability => f.write_str("have a capability, or a way to one"),
            Self::GainByExec => f.write_str("gain privileges from a file"),
            Self::TakeCapabilities => f.write_str("take a capability"),
            Self::ChangeUser => f.write_str("become another user"),
            Self::ChangeGroups => f.write_str("join another group"),
            Self::Socket(family, kind, protocol) => write!(f, "socket {family} {kind} {protocol}"),
            Self::OtherInterface => f.write_str("find an interface beside loopback"),
            Self::SetInterface => f.write_str("change an interface"),
            Self::SetRoute => f.write_str("change the routes"),
            Self::Connect(to) => write!(f, "connect to {to}"),
            Self::FastOpen(to) => write!(f, "send data in the first packet to {to}"),
            Self::Send(to) => write!(f, "send a datagram to {to}"),
            Self::SendAbstract(name) => {
                write!(f, "send to the abstract socket {}", String::from_utf8_lossy(name))
            }
            Self::Raise(bound) => write!(f, "raise {bound:?}"),
        }
    }
}

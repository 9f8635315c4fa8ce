//! What the warden and the sandbox's init say to each other while the sandbox lives.
//!
//! One message is one packet on a `SOCK_SEQPACKET` pair. When the pair ends, init exits and the kernel ends
//! everything in the sandbox with it; so a dead warden leaves nothing behind.

use crate::wire::{MAX, Reader, Writer};
use creel_api::plan::WindowSize;
use creel_kernel::{SysError, scm};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The job of the plan's own command.
pub const MAIN: Job = Job(0);

/// A command in the sandbox, numbered by the warden (0 is the plan's command).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job(pub u64);

/// A further command to run in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawn {
    /// The number that reports will carry; not in use by a living job.
    pub job: Job,
    /// The command and its arguments; a name without a slash is looked up in `PATH` of `env`.
    pub command: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, inside.
    pub cwd: PathBuf,
    /// A new terminal of this size; else the message carries the three standard descriptors.
    pub terminal: Option<WindowSize>,
}

/// Who a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The process group of a job.
    Job(Job),
    /// Every process in the sandbox except init.
    All,
}

/// From the warden to init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The warden serves: run the plan's command.
    Go,
    /// Run a further command.
    Spawn(Spawn),
    /// Send a signal.
    Signal {
        /// To whom.
        to: Target,
        /// The signal's number.
        signal: i32,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The status as a shell reports it: the code, or 128 and the signal.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Why a command did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// No such program (127 to a shell).
    NotFound,
    /// The program is there and may not be executed, or is no program (126 to a shell).
    NotExecutable(SysError),
    /// Something else before it (126 to a shell): its directory, its terminal, a limit.
    Failed(SysError),
}

impl NotRun {
    /// The status as a shell reports it.
    pub fn status(&self) -> i32 {
        if matches!(self, Self::NotFound) { 127 } else { 126 }
    }
}

/// From init to the warden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The terminal that was asked for with `Spawn`: the message carries its master.
    Terminal {
        /// Whose.
        job: Job,
    },
    /// The job's program runs.
    Running {
        /// Which.
        job: Job,
        /// Its process id inside the sandbox.
        pid: u32,
    },
    /// The job's program never ran.
    NotRun {
        /// Which.
        job: Job,
        /// Why.
        why: NotRun,
    },
    /// The job's first process ended (its children may live on).
    Exited {
        /// Which.
        job: Job,
        /// How.
        exit: Exit,
    },
}

/// The warden's end of the link.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl From<OwnedFd> for Link {
    /// Takes the warden's end over, as after the warden has executed itself anew.
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> Self {
        link.0
    }
}

impl Link {
    /// Sends an order. `Spawn` without a terminal takes the three standard descriptors.
    ///
    /// `EMSGSIZE` when command and environment are over [`MAX`] bytes; never waits (`EAGAIN`).
    pub fn send(&self, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
        send(&self.0, &order.encode(), fds)
    }

    /// The next report and its descriptors, `None` when there is none yet; `EPIPE` when init is gone.
    pub fn recv(&self) -> Result<Option<(Report, Vec<OwnedFd>)>, SysError> {
        let Some((bytes, fds)) = recv(&self.0, false)? else { return Ok(None) };
        let report = Report::decode(&bytes).ok_or_else(|| garbled("a report"))?;
        Ok(Some((report, fds)))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    if bytes.len() > MAX {
        return Err(SysError::new("sendmsg", format_args!("{} bytes", bytes.len()), Errno::MSGSIZE));
    }
    scm::send(socket, bytes, fds)
}

/// A message and its descriptors.
pub(crate) type Packet = (Vec<u8>, Vec<OwnedFd>);

/// One packet; `None` when `wait` is false and there is none.
pub(crate) fn recv(socket: &OwnedFd, wait: bool) -> Result<Option<Packet>, SysError> {
    let mut buffer = vec![0; MAX];
    match scm::recv(socket, &mut buffer, wait) {
        Ok(Some((length, fds))) => {
            buffer.truncate(length);
            Ok(Some((buffer, fds)))
        }
        Ok(None) => Err(SysError::new("recvmsg", "the other side ended", Errno::PIPE)),
        Err(e) if e.errno == Errno::AGAIN => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn garbled(what: &str) -> SysError {
    SysError::new("recvmsg", format_args!("{what} that makes no sense"), Errno::BADMSG)
}

impl Order {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Go => w.u8(0),
            Self::Spawn(spawn) => {
                w.u8(1);
                encode_spawn(&mut w, spawn);
            }
            Self::Signal { to, signal } => {
                w.u8(2);
                w.u64(match to {
                    Target::Job(job) => job.0,
                    Target::All => u64::MAX,
                });
                w.u32(signal.cast_unsigned());
            }
        }
        w.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        let order = match r.u8()? {
            0 => Self::Go,
            1 => Self::Spawn(decode_spawn(&mut r)?),
            2 => Self::Signal {
                to: match r.u64()? {
                    u64::MAX => Target::All,
                    job => Target::Job(Job(job)),
                },
                signal: r.u32()?.cast_signed(),
            },
            _ => return None,
        };
        r.whole(order)
    }
}

fn encode_spawn(w: &mut Writer, spawn: &Spawn) {
    w.u64(spawn.job.0);
    w.list(&spawn.command);
    let (names, values): (Vec<_>, Vec<_>) = spawn.env.iter().cloned().unzip();
    w.list(&names);
    w.list(&values);
    w.bytes(spawn.cwd.as_os_str().as_bytes());
    w.window(spawn.terminal);
}

fn decode_spawn(r: &mut Reader<'_>) -> Option<Spawn> {
    let job = Job(r.u64()?);
    let command = r.list()?;
    let (names, values) = (r.list()?, r.list()?);
    if names.len() != values.len() || command.is_empty() {
        return None;
    }
    let cwd = PathBuf::from(OsString::from_vec(r.bytes()?.to_vec()));
    let terminal = r.window()?;
    Some(Spawn { job, command, env: names.into_iter().zip(values).collect(), cwd, terminal })
}

impl Report {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Terminal { job } => {
                w.u8(4);
                w.u64(job.0);
            }
            Self::Running { job, pid } => {
                w.u8(0);
                w.u64(job.0);
                w.u32(*pid);
            }
            Self::NotRun { job, why } => {
                w.u8(1);
                w.u64(job.0);
                encode_not_run(&mut w, why);
            }
            Self::Exited { job, exit } => {
                let (kind, value) = match exit {
                    Exit::Code(code) => (2, code),
                    Exit::Signal(signal) => (3, signal),
                };
                w.u8(kind);
                w.u64(job.0);
                w.u32(value.cast_unsigned());
            }
        }
        w.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (kind, job) = (r.u8()?, Job(r.u64()?));
        let report = match kind {
            0 => Self::Running { job, pid: r.u32()? },
            1 => Self::NotRun { job, why: decode_not_run(&mut r)? },
            2 => Self::Exited { job, exit: Exit::Code(r.u32()?.cast_signed()) },
            4 => Self::Terminal { job },
            3 => Self::Exited { job, exit: Exit::Signal(r.u32()?.cast_signed()) },
            _ => return None,
        };
        r.whole(report)
    }
}

pub(crate) fn encode_not_run(w: &mut Writer, why: &NotRun) {
    match why {
        NotRun::NotFound => w.u8(0),
        NotRun::NotExecutable(fault) => {
            w.u8(1);
            w.fault(fault);
        }
        NotRun::Failed(fault) => {
            w.u8(2);
            w.fault(fault);
        }
    }
}

pub(crate) fn decode_not_run(r: &mut Reader<'_>) -> Option<NotRun> {
    Some(match r.u8()? {
        0 => NotRun::NotFound,
        1 => NotRun::NotExecutable(r.fault()?),
        2 => NotRun::Failed(r.fault()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Vec<Order> {
        vec![
            Order::Go,
            Order::Signal { to: Target::All, signal: 15 },
            Order::Signal { to: Target::Job(Job(7)), signal: 2 },
            Order::Spawn(Spawn {
                job: Job(1),
                command: vec!["sh".into(), "-c".into(), OsString::from_vec(vec![0xff, 0xfe])],
                env: vec![("A".into(), "b=c".into())],
                cwd: "/work".into(),
                terminal: Some(WindowSize { rows: 24, cols: 80 }),
            }),
        ]
    }

    fn reports() -> Vec<Report> {
        let fault = SysError::new("chdir", "/x", Errno::NOENT);
        vec![
            Report::Terminal { job: Job(9) },
            Report::Running { job: MAIN, pid: 2 },
            Report::NotRun { job: MAIN, why: NotRun::NotFound },
            Report::NotRun { job: Job(3), why: NotRun::Failed(fault.clone()) },
            Report::NotRun { job: Job(3), why: NotRun::NotExecutable(fault) },
            Report::Exited { job: MAIN, exit: Exit::Code(3) },
            Report::Exited { job: MAIN, exit: Exit::Signal(9) },
        ]
    }

    #[test]
    fn what_one_end_says_the_other_understands() {
        for order in orders() {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        for report in reports() {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn a_message_that_is_cut_or_padded_is_refused() {
        for bytes in orders().iter().map(Order::encode) {
            for cut in 0..bytes.len() {
                assert_eq!(Order::decode(&bytes[..cut]), None);
            }
            assert_eq!(Order::decode(&[&bytes[..], &[0]].concat()), None);
        }
        for bytes in reports().iter().map(Report::encode) {
            for cut in 0..bytes.len() {
                assert_eq!(Report::decode(&bytes[..cut]), None);
            }
        }
    }
}

//! The asking side of a control socket: finds running sandboxes and talks to one.
//!
//! Sandboxes are found by their abstract sockets in `/proc/net/unix`, so there is no registry that could be wrong,
//! stale or left behind. Who answers is checked (`SO_PEERCRED`): another user may bind any abstract name.

use crate::message::{self, Inbox};
use creel_api::control::{self, Answer, Request};
use rustix::net::sockopt::socket_peercred;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

/// Why a sandbox could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such sandbox runs.
    #[error("no sandbox named `{0}` is running (see `creel ps`)")]
    NotRunning(String),
    /// Somebody else listens under this name.
    #[error("the socket of `{name}` belongs to user {uid}, not to you")]
    NotYours {
        /// The sandbox's name.
        name: String,
        /// Who listens.
        uid: u32,
    },
    /// The conversation broke off.
    #[error("asking `{name}` failed")]
    Io {
        /// The sandbox's name.
        name: String,
        /// The cause.
        source: io::Error,
    },
}

/// Names of this user's running sandboxes, sorted.
pub fn names() -> io::Result<Vec<String>> {
    let prefix = format!("@{}", control::socket_name(uid(), ""));
    let table = std::fs::read_to_string("/proc/net/unix")?;
    let mut names: Vec<String> = table
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("00010000")) // __SO_ACCEPTCON: listening
        .filter_map(|line| line.split_whitespace().last()?.strip_prefix(&prefix).map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// An open conversation with one sandbox.
pub struct Conversation {
    name: String,
    stream: UnixStream,
    inbox: Inbox,
}

impl Conversation {
    /// Connects to the sandbox `name` of this user.
    pub fn open(name: &str) -> Result<Self, AskError> {
        let io = |source| AskError::Io { name: name.to_owned(), source };
        let addr = SocketAddr::from_abstract_name(control::socket_name(uid(), name)).map_err(io)?;
        let stream = UnixStream::connect_addr(&addr).map_err(|_| AskError::NotRunning(name.to_owned()))?;
        let peer = socket_peercred(&stream).map_err(|e| io(e.into()))?.uid.as_raw();
        if peer != uid() && peer != 0 {
            return Err(AskError::NotYours { name: name.to_owned(), uid: peer });
        }
        Ok(Self { name: name.to_owned(), stream, inbox: Inbox::default() })
    }

    /// Sends a request with the descriptors that belong to it.
    pub fn send(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), AskError> {
        message::send(&self.stream, request, fds).map_err(|e| self.io(e))
    }

    /// The next answer; `None` when the sandbox said all it had to say.
    pub fn answer(&mut self) -> Result<Option<Answer>, AskError> {
        self.inbox.wait(&self.stream).map_err(|source| AskError::Io { name: self.name.clone(), source })
    }

    /// A descriptor that came beside an answer.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.inbox.fds.pop()
    }

    fn io(&self, source: io::Error) -> AskError {
        AskError::Io { name: self.name.clone(), source }
    }
}

/// Asks one question and takes the one answer.
pub fn ask(name: &str, request: &Request) -> Result<Answer, AskError> {
    let mut conversation = Conversation::open(name)?;
    conversation.send(request, &[])?;
    conversation
        .answer()?
        .ok_or_else(|| conversation.io(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer")))
}

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

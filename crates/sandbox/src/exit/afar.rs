//! The warden's side: asks, and waits for the answer for as long as it may take.
//!
//! A process that was taken over could answer nonsense, or nothing. So one answer that does not come, or makes no sense,
//! ends the conversation: whatever is asked after it fails, and the exit, which hears that, ends and the sandbox with it.

use super::words::{Entered, Entry, Order, Reply};
use crate::credentials::Sent;
use crate::message::{self, Inbox};
use crate::policies::Included;
use creel_api::control::Document;
use creel_audit::Event;
use creel_proxy::{Held, JournalError};
use creel_types::{Generation, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an answer may take; a disk may be slow.
const LONGEST: Duration = Duration::from_secs(30);

/// Questions and answers, one after the other.
pub struct Conversation {
    line: Mutex<Line>,
    refusals: AtomicU64,
}

struct Line {
    stream: UnixStream,
    inbox: Inbox,
}

impl Line {
    /// Waits for the answer to what was sent.
    fn answer<T: DeserializeOwned>(&mut self, sent: io::Result<()>) -> io::Result<T> {
        let Self { stream, inbox } = self;
        let answer = sent
            .and_then(|()| inbox.wait(stream))
            .and_then(|answer| answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        if answer.is_err() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Nobody sends any over these sockets who is what he was.
        inbox.fds.clear();
        answer
    }
}

/// An event on its way into the record. Nobody else is heard before its answer has come.
pub struct Underway<'a> {
    refusals: &'a AtomicU64,
    line: MutexGuard<'a, Line>,
    sent: Option<io::Result<()>>,
}

impl Underway<'_> {
    /// Waits until it is written.
    pub fn finish(mut self) -> Result<(), JournalError> {
        self.wait()
    }

    fn wait(&mut self) -> Result<(), JournalError> {
        let Some(sent) = self.sent.take() else { return Ok(()) };
        let answer: io::Result<Entered> = self.line.answer(sent);
        entered(answer, self.refusals)
    }
}

impl Drop for Underway<'_> {
    /// The answer comes, wanted or not, and must not pass for the next one's.
    fn drop(&mut self) {
        let _ = self.wait();
    }
}

fn entered(answer: io::Result<Entered>, refusals: &AtomicU64) -> Result<(), JournalError> {
    let entered = answer.map_err(|error| JournalError(format!("the exit does not answer: {error}")))?;
    refusals.store(entered.refusals, Ordering::Relaxed);
    entered.written.map_err(JournalError)
}

/// Why a change of policy was not made ready.
#[derive(Debug)]
pub struct Unready {
    /// In one line.
    pub why: String,
    /// More.
    pub details: Vec<String>,
}

impl Conversation {
    /// Over this socket.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(LONGEST))?;
        stream.set_write_timeout(Some(LONGEST))?;
        let line = Mutex::new(Line { stream, inbox: Inbox::default() });
        Ok(Self { line, refusals: AtomicU64::new(0) })
    }

    fn ask<T: DeserializeOwned>(&self, question: Option<&impl Serialize>) -> io::Result<T> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = question.map_or(Ok(()), |question| message::send(&line.stream, question, &[]));
        line.answer(sent)
    }

    fn order(&self, order: &Order) -> Result<Reply, Unready> {
        self.ask(Some(order)).map_err(|error| Unready {
            why: format!("the exit does not answer: {error}"),
            details: Vec::new(),
        })
    }

    /// Waits until the exit is confined and serves; why it does not.
    pub fn begun(&self) -> Result<(), String> {
        match self.ask(None::<&Order>) {
            Ok(Reply::Serving) => Ok(()),
            Ok(Reply::Failed { why, .. }) => Err(why),
            Ok(_) => Err("it made no sense".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has a policy made ready.
    pub fn prepare(
        &self,
        documents: Vec<Document>,
        included: Vec<Included>,
        (key, credentials): (Option<&Secret>, Vec<Held>),
    ) -> Result<(), Unready> {
        // The exit is who uses the key; the socket is nobody else's.
        let key = key.map(|key| key.expose().to_vec());
        let credentials = credentials.into_iter().map(Sent::from).collect();
        match self.order(&Order::Prepare { documents, included, key, credentials })? {
            Reply::Ready => Ok(()),
            Reply::Failed { why, details } => Err(Unready { why, details }),
            _ => Err(Unready { why: "the exit made no sense".to_owned(), details: Vec::new() }),
        }
    }

    /// Puts in force what was made ready: what was cut, and how many connections go on.
    pub fn switch(&self, to: Generation) -> Result<(Vec<String>, usize), Unready> {
        match self.order(&Order::Switch(to.0))? {
            Reply::Switched { cut, kept } => Ok((cut, kept)),
            _ => Err(Unready { why: "the exit made no sense".to_owned(), details: Vec::new() }),
        }
    }

    /// How many connections are open; none, where the exit does not say.
    pub fn connections(&self) -> usize {
        match self.order(&Order::Count) {
            Ok(Reply::Open(many)) => many,
            _ => 0,
        }
    }

    /// Has an event written down.
    pub fn write(&self, event: &Event) -> Result<(), JournalError> {
        self.enter(&Entry::Event(Box::new(event.clone())))
    }

    /// Has the notes taken in that wait.
    pub fn nudge(&self) -> Result<(), JournalError> {
        self.enter(&Entry::Nudge)
    }

    fn enter(&self, entry: &Entry) -> Result<(), JournalError> {
        entered(self.ask(Some(entry)), &self.refusals)
    }

    /// Hands an event over to be written down, and does not wait for it.
    pub fn begin(&self, event: Event) -> Underway<'_> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = message::send(&line.stream, &Entry::Event(Box::new(event)), &[]);
        Underway { refusals: &self.refusals, line, sent: Some(sent) }
    }

    /// How much the exit had refused when it answered last.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

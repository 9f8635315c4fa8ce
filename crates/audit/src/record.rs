//! The writer.

use crate::checkpoint::{Checkpoint, PublicKey, Signer, Statement};
use crate::event::{Event, Finding, Severity};
use crate::line::{self, FORMAT, FORMAT_VERSION, Header, MAX_LINE, Written};
use crate::ocsf;
use crate::sink::{self, Sink};
use creel_types::{Digest, SandboxId, SandboxName};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a record in its directory.
pub const FILE_NAME: &str = "record.jsonl";

/// After how many lines a checkpoint stands: a line whose `seq` is a multiple of this is one.
pub const CHECKPOINT_EVERY: u64 = 1000;

/// Room for most events; a longer one takes more.
const USUAL_LINE: usize = 2048;

/// Whose record it is.
#[derive(Debug, Clone)]
pub struct About {
    /// The sandbox's name.
    pub name: SandboxName,
    /// The identity of this run.
    pub id: SandboxId,
    /// Creel's version.
    pub version: String,
}

/// Why nothing was, or will be, recorded. Whoever gets one must not admit what it wanted to record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be created, for example because there is a record already.
    #[error("create record {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The line could not be written. The record is broken until [`Record::recover`] succeeds.
    #[error("write line {seq} of record {path}")]
    Write {
        /// The line.
        seq: u64,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An earlier write failed, and the record was not recovered since.
    #[error("record {path} is broken since a write failed")]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// The record was closed by its exit event.
    #[error("record {path} is closed")]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// The event makes a line over [`MAX_LINE`]; nothing was written and the record is not broken by it.
    #[error("an event of {bytes} bytes is too long for a record")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The event could not be encoded; nothing was written and the record is not broken by it.
    #[error("encode an event")]
    Encode(#[source] serde_json::Error),
    /// The file is not as this writer left it, so that it cannot be continued.
    #[error("record {path} was changed by somebody else: {found} bytes where {expected} were written")]
    Tampered {
        /// The file.
        path: PathBuf,
        /// How long it should be at least.
        expected: u64,
        /// How long it is.
        found: u64,
    },
}

/// A record that is being written. Any thread may append; the order of lines is the order of the calls.
pub struct Record {
    path: PathBuf,
    about: About,
    /// The run's identity as text, and what every event begins with.
    id: String,
    frame: ocsf::Frame,
    public_key: PublicKey,
    /// How many events there were, those that were not written among them.
    events: AtomicU64,
    state: Mutex<State>,
}

struct State {
    sink: Box<dyn Sink>,
    signer: Signer,
    seq: u64,
    prev: Digest,
    /// Bytes of whole lines.
    length: u64,
    condition: Condition,
    /// Holds one line while it is made.
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Good,
    /// A write failed; this many events were turned away since.
    Broken(u64),
    Closed,
}

impl Record {
    /// Creates `record.jsonl` in `dir`, which must exist, and writes the header. Never overwrites.
    pub fn create(dir: &Path, about: About) -> Result<Self, RecordError> {
        let path = dir.join(FILE_NAME);
        let file =
            sink::create(&path).map_err(|source| RecordError::Create { path: path.clone(), source })?;
        Self::on(Box::new(file), path, about)
    }

    /// A record on any sink.
    pub(crate) fn on(sink: Box<dyn Sink>, path: PathBuf, about: About) -> Result<Self, RecordError> {
        let mut seed = [0; 32];
        fill_random(&mut seed).map_err(|source| RecordError::Create { path: path.clone(), source })?;
        let signer = Signer::from_random(seed);
        let public_key = signer.public_key();
        let state = State {
            sink,
            signer,
            seq: 0,
            prev: line::NO_PREVIOUS,
            length: 0,
            condition: Condition::Good,
            buffer: Vec::with_capacity(2 * USUAL_LINE),
        };
        let id = about.id.to_string();
        let frame = ocsf::Frame::of(&source(&about, &id)).map_err(RecordError::Encode)?;
        let (events, state) = (AtomicU64::new(0), Mutex::new(state));
        let record = Self { path, about, id, frame, public_key, events, state };
        record.write_header(millis(SystemTime::now()))?;
        Ok(record)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that verifies the checkpoints. Keep it apart from the record: it is what ties the file to this run.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Whether appends fail because a write failed. A sandbox whose record is broken admits nothing.
    pub fn is_broken(&self) -> bool {
        matches!(self.lock().condition, Condition::Broken(_))
    }

    /// Appends `event` as of now and returns its sequence number. The whole line is written by one `write`; it is
    /// in the kernel's hands when this returns, and on stable storage after [`Record::sync`].
    ///
    /// [`Event::Exit`] closes the record: a last checkpoint is written and everything is synced.
    pub fn append(&self, event: &Event) -> Result<u64, RecordError> {
        self.append_at(event, SystemTime::now())
    }

    /// Appends `event` as of `at`.
    pub fn append_at(&self, event: &Event, at: SystemTime) -> Result<u64, RecordError> {
        let time = millis(at);
        // Before the lock, so that threads wait for each other's bytes to be written and for nothing else.
        let shape = self.encode(event, time)?;
        let mut state = self.lock();
        match &mut state.condition {
            Condition::Good => {}
            Condition::Broken(turned_away) => {
                *turned_away += 1;
                return Err(RecordError::Broken { path: self.path.clone() });
            }
            Condition::Closed => return Err(RecordError::Closed { path: self.path.clone() }),
        }
        let seq = self.write_event(&mut state, &shape)?;
        if matches!(event, Event::Exit(_)) {
            self.write_checkpoint(&mut state, time, true)?;
            state.condition = Condition::Closed;
            self.synced(&mut state)?;
        } else if state.seq.is_multiple_of(CHECKPOINT_EVERY) {
            // The event itself is written; a checkpoint that cannot be written breaks the record for the next one.
            let _ = self.write_checkpoint(&mut state, time, false);
        }
        Ok(seq)
    }

    /// Returns when every line is on stable storage.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.synced(&mut self.lock())
    }

    /// Makes a broken record whole again: cuts off what was written of the failed line and appends a finding that
    /// says how many events were turned away. Does nothing to a record that is not broken.
    pub fn recover(&self) -> Result<(), RecordError> {
        let mut state = self.lock();
        let Condition::Broken(turned_away) = state.condition else { return Ok(()) };
        self.cut_back(&mut state)?;
        let finding = Event::Finding(Finding {
            title: "the record was interrupted".to_owned(),
            detail: format!(
                "a write failed; {turned_away} events after it were not recorded, nor what they asked for admitted"
            ),
            severity: Severity::High,
            layer: "record".to_owned(),
            program: None,
        });
        let now = millis(SystemTime::now());
        if state.seq.is_multiple_of(CHECKPOINT_EVERY) {
            self.write_checkpoint(&mut state, now, false)?;
        }
        let shape = self.encode(&finding, now)?;
        self.write_event(&mut state, &shape)?;
        state.condition = Condition::Good;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left at worst an unfinished line, which the length check finds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn synced(&self, state: &mut State) -> Result<(), RecordError> {
        state.sink.sync().map_err(|source| self.broke(state, source))
    }

    fn write_header(&self, created: i64) -> Result<(), RecordError> {
        let header = Header {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            name: self.about.name.to_string(),
            id: self.id.clone(),
            created,
            public_key: self.public_key,
            creel: self.about.version.clone(),
        };
        let state = &mut *self.lock();
        let (seq, prev) = (state.seq, state.prev);
        self.write_line(state, &Written { seq, prev, header: Some(&header), checkpoint: None })
    }

    /// What of an event's line does not depend on its place among the lines.
    fn encode(&self, event: &Event, time: i64) -> Result<Vec<u8>, RecordError> {
        let stamp = ocsf::Stamp { number: self.events.fetch_add(1, Ordering::Relaxed), time };
        let mut shape = Vec::with_capacity(USUAL_LINE);
        serde_json::to_writer(&mut shape, &ocsf::event(event, &source(&self.about, &self.id), &stamp))
            .map_err(RecordError::Encode)?;
        Ok(shape)
    }

    fn write_event(&self, state: &mut State, shape: &[u8]) -> Result<u64, RecordError> {
        let seq = state.seq;
        let mut line = std::mem::take(&mut state.buffer);
        line.clear();
        line::open_event(&mut line, seq, &state.prev);
        self.frame.put(&mut line, seq, shape);
        line.push(b'}');
        let written = self.write_bytes(state, &mut line);
        state.buffer = line;
        written.map(|()| seq)
    }

    fn write_checkpoint(&self, state: &mut State, time: i64, closed: bool) -> Result<(), RecordError> {
        let (seq, prev) = (state.seq, state.prev);
        let checkpoint: Checkpoint = state.signer.sign(&Statement { id: &self.id, seq, prev, time, closed });
        let line = Written { seq, prev, header: None, checkpoint: Some(&checkpoint) };
        self.write_line(state, &line)
    }

    fn write_line(&self, state: &mut State, line: &impl Serialize) -> Result<(), RecordError> {
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.clear();
        let encoded = serde_json::to_writer(&mut buffer, line).map_err(RecordError::Encode);
        let written = encoded.and_then(|()| self.write_bytes(state, &mut buffer));
        state.buffer = buffer;
        written
    }

    fn write_bytes(&self, state: &mut State, line: &mut Vec<u8>) -> Result<(), RecordError> {
        if line.len() > MAX_LINE {
            return Err(RecordError::TooLong { bytes: line.len() });
        }
        let prev = line::digest(line);
        line.push(b'\n');
        match state.sink.write(line) {
            Ok(wrote) if wrote == line.len() => {}
            Ok(wrote) => return Err(self.broke(state, short_write(wrote, line.len()))),
            Err(source) => return Err(self.broke(state, source)),
        }
        state.prev = prev;
        state.seq += 1;
        state.length += line.len() as u64;
        Ok(())
    }

    /// Marks the record broken, and takes back what was written of the line where that is possible now.
    fn broke(&self, state: &mut State, source: io::Error) -> RecordError {
        if !matches!(state.condition, Condition::Broken(_)) {
            state.condition = Condition::Broken(0);
        }
        // When this fails, `recover` tries it again; until then the file ends in an unfinished line.
        let _ = self.cut_back(state);
        RecordError::Write { seq: state.seq, path: self.path.clone(), source }
    }

    fn cut_back(&self, state: &mut State) -> Result<(), RecordError> {
        let write_error = |source| RecordError::Write { seq: state.seq, path: self.path.clone(), source };
        let found = state.sink.length().map_err(write_error)?;
        if found < state.length {
            return Err(RecordError::Tampered { path: self.path.clone(), expected: state.length, found });
        }
        state.sink.truncate(state.length).map_err(write_error)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("path", &self.path).field("about", &self.about).finish_non_exhaustive()
    }
}

fn source<'a>(about: &'a About, id: &'a str) -> ocsf::Source<'a> {
    ocsf::Source { name: about.name.as_str(), id, version: &about.version }
}

fn short_write(wrote: usize, of: usize) -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, format!("{wrote} of {of} bytes were taken"))
}

fn fill_random(bytes: &mut [u8; 32]) -> io::Result<()> {
    // `getrandom` gives up to 256 bytes whole once the kernel's generator is seeded (getrandom(2)).
    let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::other("getrandom gave fewer bytes than asked"))
    }
}

/// Milliseconds since 1970 UTC; a clock before that is zero.
fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;

//! The writer.

mod error;

pub use error::RecordError;

use crate::checkpoint::{Checkpoint, PublicKey, Signer, Statement};
use crate::event::{Event, Finding, Severity};
use crate::line::{self, FORMAT, FORMAT_VERSION, Header, MAX_LINE};
use crate::ocsf;
use crate::sink::{self, Sink};
use creel_types::{Digest, SandboxId, SandboxName};
use serde::Serialize;
use std::io;
use std::os::fd::RawFd;
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

/// When so many bytes wait, they are written at once.
const MOST_WAITING: usize = 64 * 1024;

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

/// Cuts an unfinished line off a record in this process's stead.
pub type Cutter = Box<dyn FnMut() -> io::Result<()> + Send>;

struct State {
    sink: Box<dyn Sink>,
    signer: Signer,
    /// What the next line has, behind those that wait.
    seq: u64,
    prev: Digest,
    condition: Condition,
    /// Cuts an unfinished line off, where this process cannot do it itself.
    cutter: Option<Cutter>,
    /// Whole lines that wait to be written, and how many they are.
    waiting: Vec<u8>,
    lines: u64,
    /// Where the lines that are written end.
    written: Written,
}

/// The end of what is written: what the next line after it has, and the bytes before it.
struct Written {
    seq: u64,
    prev: Digest,
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Good,
    /// A write of so many lines failed; this many events were turned away since.
    Broken {
        lines: u64,
        turned_away: u64,
    },
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
            condition: Condition::Good,
            cutter: None,
            waiting: Vec::with_capacity(2 * USUAL_LINE),
            lines: 0,
            written: Written { seq: 0, prev: line::NO_PREVIOUS, length: 0 },
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

    /// From now on an unfinished line is cut off by `cutter`, in a process that may do so (see
    /// [`cut_unfinished_line`]).
    pub fn cut_by(&self, cutter: Cutter) {
        self.lock().cutter = Some(cutter);
    }

    /// The descriptor that is written to, where it is a file.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.lock().sink.descriptor()
    }

    /// Whether appends fail because a write failed. A sandbox whose record is broken admits nothing.
    pub fn is_broken(&self) -> bool {
        matches!(self.lock().condition, Condition::Broken { .. })
    }

    /// Appends `event` as of now and returns its sequence number. Its line, and those that wait before it, are written
    /// by one `write`; it is in the kernel's hands when this returns, and on stable storage after [`Record::sync`].
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
        let mut state = self.admitting()?;
        let seq = self.put_event(&mut state, &shape)?;
        self.write(&mut state)?;
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

    /// Appends an event that only says how something ended. Its place among the lines is settled when this returns, but
    /// the line waits in memory until the next [`Record::append`] or [`Record::write_waiting`]. Whether it waits.
    ///
    /// What is to be recorded before it may happen is never appended so. When many lines wait, the caller writes them.
    pub fn append_soon(&self, event: &Event) -> Result<bool, RecordError> {
        let time = millis(SystemTime::now());
        let shape = self.encode(event, time)?;
        let mut state = self.admitting()?;
        self.put_event(&mut state, &shape)?;
        let checkpoint = state.seq.is_multiple_of(CHECKPOINT_EVERY);
        if checkpoint || state.waiting.len() >= MOST_WAITING {
            self.write(&mut state)?;
        }
        if checkpoint {
            let _ = self.write_checkpoint(&mut state, time, false); // as in `append_at`
        }
        Ok(!state.waiting.is_empty())
    }

    /// Writes the lines that wait, and says whether there were any.
    pub fn write_waiting(&self) -> Result<bool, RecordError> {
        let mut state = self.lock();
        let waited = !state.waiting.is_empty();
        self.write(&mut state).map(|()| waited)
    }

    /// The state of a record that takes events; one that is broken counts who was turned away.
    fn admitting(&self) -> Result<MutexGuard<'_, State>, RecordError> {
        let mut state = self.lock();
        match &mut state.condition {
            Condition::Good => Ok(state),
            Condition::Broken { turned_away, .. } => {
                *turned_away += 1;
                Err(RecordError::Broken { path: self.path.clone() })
            }
            Condition::Closed => Err(RecordError::Closed { path: self.path.clone() }),
        }
    }

    /// Returns when every line is on stable storage.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.synced(&mut self.lock())
    }

    /// Makes a broken record whole again: cuts off what was written of the failed line and appends a finding that
    /// says how many events were turned away. Does nothing to a record that is not broken.
    pub fn recover(&self) -> Result<(), RecordError> {
        let mut state = self.lock();
        let Condition::Broken { lines, turned_away } = state.condition else { return Ok(()) };
        self.cut_back(&mut state)?;
        let finding = Event::Finding(Finding {
            title: "the record was interrupted".to_owned(),
            detail: format!(
                "a write of {lines} lines failed; {turned_away} events after it were not recorded, nor what they asked \
                 for admitted"
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
        self.put_event(&mut state, &shape)?;
        self.write(&mut state)?;
        state.condition = Condition::Good;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left at worst an unfinished line, which the length check finds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn synced(&self, state: &mut State) -> Result<(), RecordError> {
        self.write(state)?;
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
        put_line(state, &line::Written { seq, prev, header: Some(&header), checkpoint: None })?;
        self.write(state)
    }

    /// What of an event's line does not depend on its place among the lines.
    fn encode(&self, event: &Event, time: i64) -> Result<Vec<u8>, RecordError> {
        let stamp = ocsf::Stamp { number: self.events.fetch_add(1, Ordering::Relaxed), time };
        let mut shape = Vec::with_capacity(USUAL_LINE);
        serde_json::to_writer(&mut shape, &ocsf::event(event, &source(&self.about, &self.id), &stamp))
            .map_err(RecordError::Encode)?;
        Ok(shape)
    }

    fn put_event(&self, state: &mut State, shape: &[u8]) -> Result<u64, RecordError> {
        let (seq, start) = (state.seq, state.waiting.len());
        line::open_event(&mut state.waiting, seq, &state.prev);
        self.frame.put(&mut state.waiting, seq, shape);
        state.waiting.push(b'}');
        end_line(state, start).map(|()| seq)
    }

    fn write_checkpoint(&self, state: &mut State, time: i64, closed: bool) -> Result<(), RecordError> {
        let (seq, prev) = (state.seq, state.prev);
        let checkpoint: Checkpoint = state.signer.sign(&Statement { id: &self.id, seq, prev, time, closed });
        let line = line::Written { seq, prev, header: None, checkpoint: Some(&checkpoint) };
        put_line(state, &line)?;
        self.write(state)
    }

    /// Writes all lines that wait, in one call.
    fn write(&self, state: &mut State) -> Result<(), RecordError> {
        if state.waiting.is_empty() {
            return Ok(());
        }
        match state.sink.write(&state.waiting) {
            Ok(wrote) if wrote == state.waiting.len() => {}
            Ok(wrote) => {
                let short = short_write(wrote, state.waiting.len());
                keep(state, wrote);
                return Err(self.broke(state, short));
            }
            Err(source) => return Err(self.broke(state, source)),
        }
        let length = state.written.length + state.waiting.len() as u64;
        state.written = Written { seq: state.seq, prev: state.prev, length };
        state.waiting.clear();
        state.lines = 0;
        Ok(())
    }

    /// Marks the record broken, and takes back the lines that waited: those in memory, and what was written of them
    /// where that is possible now.
    fn broke(&self, state: &mut State, source: io::Error) -> RecordError {
        if !matches!(state.condition, Condition::Broken { .. }) {
            state.condition = Condition::Broken { lines: state.lines, turned_away: 0 };
        }
        state.waiting.clear();
        state.lines = 0;
        (state.seq, state.prev) = (state.written.seq, state.written.prev);
        // When this fails, `recover` tries it again; until then the file ends in an unfinished line.
        let _ = self.cut_back(state);
        RecordError::Write { seq: state.seq, path: self.path.clone(), source }
    }

    fn cut_back(&self, state: &mut State) -> Result<(), RecordError> {
        let write_error = |source| RecordError::Write { seq: state.seq, path: self.path.clone(), source };
        let found = state.sink.length().map_err(write_error)?;
        let expected = state.written.length;
        if found < expected {
            return Err(self.tampered(state, found));
        }
        let cut = match &mut state.cutter {
            None => state.sink.truncate(expected),
            Some(cutter) => cutter(),
        };
        cut.map_err(write_error)?;
        let found = state.sink.length().map_err(write_error)?;
        if found == expected { Ok(()) } else { Err(self.tampered(state, found)) }
    }

    fn tampered(&self, state: &State, found: u64) -> RecordError {
        RecordError::Tampered { path: self.path.clone(), expected: state.written.length, found }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Nobody is left to be told that it failed; the chain shows where the record ends.
        let _ = self.write_waiting();
    }
}

/// Cuts off what follows the last whole line of a record: that, and nothing else, can be taken from a record by whoever
/// can only ask for it.
pub fn cut_unfinished_line(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_LINE as u64 + 1);
    let mut tail = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut tail, from)?;
    let end = tail.iter().rposition(|&byte| byte == b'\n').ok_or(io::ErrorKind::InvalidData)?;
    file.set_len(from + end as u64 + 1)
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("path", &self.path).field("about", &self.about).finish_non_exhaustive()
    }
}

/// Adds a line to those that wait.
fn put_line(state: &mut State, line: &impl Serialize) -> Result<(), RecordError> {
    let start = state.waiting.len();
    if let Err(error) = serde_json::to_writer(&mut state.waiting, line) {
        state.waiting.truncate(start);
        return Err(RecordError::Encode(error));
    }
    end_line(state, start)
}

/// Ends the line that begins at `start`, and binds the next one to it. A line that is too long is taken back.
fn end_line(state: &mut State, start: usize) -> Result<(), RecordError> {
    let bytes = state.waiting.len() - start;
    if bytes > MAX_LINE {
        state.waiting.truncate(start);
        return Err(RecordError::TooLong { bytes });
    }
    state.prev = line::digest(&state.waiting[start..]);
    state.waiting.push(b'\n');
    (state.seq, state.lines) = (state.seq + 1, state.lines + 1);
    Ok(())
}

/// Keeps, of the lines that waited, those that are whole in the first `wrote` bytes; of a record only what follows its
/// last whole line is ever cut off.
fn keep(state: &mut State, wrote: usize) {
    let whole = &state.waiting[..wrote.min(state.waiting.len())];
    let Some(end) = whole.iter().rposition(|&byte| byte == b'\n') else { return };
    let start = whole[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let lines = whole.iter().filter(|&&byte| byte == b'\n').count() as u64;
    state.written = Written {
        seq: state.written.seq + lines,
        prev: line::digest(&whole[start..end]),
        length: state.written.length + end as u64 + 1,
    };
    state.lines = state.lines.saturating_sub(lines);
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

//! Verifying: one pass, one line in memory, nothing taken on trust.

use crate::checkpoint::{PublicKey, Statement};
use crate::line::{self, FORMAT, FORMAT_VERSION, Header, Line, MAX_LINE, When};
use creel_types::Digest;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A record whose chain holds from the header to the last whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose record it is, and the key of its checkpoints. Compare the key with the one kept apart from the file.
    pub header: Header,
    /// How many whole lines there are, header and checkpoints included.
    pub lines: u64,
    /// How many of them are events.
    pub events: u64,
    /// When the first event happened, in milliseconds since 1970 UTC.
    pub first: Option<i64>,
    /// When the last event happened.
    pub last: Option<i64>,
    /// The last line that a checkpoint vouches for; lines after it are chained but not signed.
    pub signed_through: Option<u64>,
    /// SHA-256 of the last whole line: who keeps it can tell later whether the record was cut.
    pub digest: Digest,
    /// How it ends.
    pub closing: Closing,
}

impl Verified {
    /// Whether the record is complete: its exit event is there and signed for.
    pub fn is_closed(&self) -> bool {
        self.closing == Closing::Closed
    }
}

/// How a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// With a signed closing checkpoint: nothing is missing.
    Closed,
    /// Without one. The sandbox still runs, or ended without being able to say so, or somebody cut the end off:
    /// the file cannot tell which.
    OpenOrTruncated {
        /// Bytes of an unfinished line after the last whole one.
        unfinished: u64,
    },
}

/// A record that was changed, or is none.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Broken {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub why: Why,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is longer than any line that a record holds.
    #[error("is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It is not a line of a record.
    #[error("is not a line of a record: {0}")]
    NotALine(#[from] serde_json::Error),
    /// It has none, or more than one, of header, event and checkpoint, or a header where none belongs.
    #[error("does not hold exactly one event or checkpoint, or a header as the first line")]
    WrongContent,
    /// Another format, or a version of it that this reader does not know.
    #[error("is of format {format} version {version}; this reader knows {FORMAT} version {FORMAT_VERSION}")]
    UnknownFormat {
        /// The format's name.
        format: String,
        /// Its version.
        version: u32,
    },
    /// A line was removed, inserted, repeated or moved.
    #[error("has sequence number {found} where {expected} belongs: lines were removed, inserted or moved")]
    Sequence {
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The line before it is not the one that it was written after.
    #[error("was written after a line with digest {claimed}, but the line before it has {actual}")]
    Chain {
        /// What the line says.
        claimed: String,
        /// What is so.
        actual: Digest,
    },
    /// The checkpoint's signature is not the header's key's over these lines.
    #[error("has a checkpoint that the record's key did not sign")]
    Signature,
    /// There is something after the end.
    #[error("follows the line that closed the record")]
    AfterClose,
    /// The file is empty.
    #[error("is missing: the file has no header")]
    Empty,
}

/// Verifies the record in the file at `path`, in time linear in its size and in constant memory.
pub fn verify(path: &Path) -> Result<Verified, Broken> {
    let file = File::open(path).map_err(|error| Broken { line: 0, why: error.into() })?;
    verify_reader(BufReader::with_capacity(1 << 16, file))
}

/// Verifies the record that `input` gives.
pub fn verify_reader(mut input: impl BufRead) -> Result<Verified, Broken> {
    let mut buffer = Vec::with_capacity(4096);
    let mut chain: Option<Chain> = None;
    let mut unfinished = 0;
    loop {
        let line = chain.as_ref().map_or(0, |chain| chain.seen.lines) + 1;
        let broken = |why| Broken { line, why };
        match next_line(&mut input, &mut buffer).map_err(broken)? {
            Next::End => break,
            Next::Unfinished => {
                unfinished = buffer.len() as u64;
                break;
            }
            Next::Line => {}
        }
        match &mut chain {
            None => chain = Some(Chain::begin(&buffer).map_err(broken)?),
            Some(chain) => chain.take(&buffer).map_err(broken)?,
        }
    }
    let mut chain = chain.ok_or(Broken { line: 1, why: Why::Empty })?;
    if unfinished > 0 && chain.seen.is_closed() {
        return Err(Broken { line: chain.seen.lines + 1, why: Why::AfterClose });
    }
    if let Closing::OpenOrTruncated { unfinished: bytes } = &mut chain.seen.closing {
        *bytes = unfinished;
    }
    Ok(chain.seen)
}

/// What was verified so far.
struct Chain {
    seen: Verified,
}

impl Chain {
    fn begin(bytes: &[u8]) -> Result<Self, Why> {
        let line: Line<'_, When> = serde_json::from_slice(bytes)?;
        let Line { seq, prev, header: Some(header), event: None, checkpoint: None } = line else {
            return Err(Why::WrongContent);
        };
        if header.format != FORMAT || header.version != FORMAT_VERSION {
            return Err(Why::UnknownFormat { format: header.format, version: header.version });
        }
        check_place(seq, prev, 0, line::NO_PREVIOUS)?;
        let seen = Verified {
            header,
            lines: 1,
            events: 0,
            first: None,
            last: None,
            signed_through: None,
            digest: line::digest(bytes),
            closing: Closing::OpenOrTruncated { unfinished: 0 },
        };
        Ok(Self { seen })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Why> {
        if self.seen.is_closed() {
            return Err(Why::AfterClose);
        }
        let line: Line<'_, When> = serde_json::from_slice(bytes)?;
        check_place(line.seq, line.prev, self.seen.lines, self.seen.digest)?;
        match line {
            Line { header: None, event: Some(When { time }), checkpoint: None, .. } => {
                self.seen.events += 1;
                self.seen.first = self.seen.first.or(Some(time));
                self.seen.last = Some(time);
            }
            Line { seq, header: None, event: None, checkpoint: Some(checkpoint), .. } => {
                self.check_signature(seq, &checkpoint)?;
            }
            _ => return Err(Why::WrongContent),
        }
        self.seen.lines += 1;
        self.seen.digest = line::digest(bytes);
        Ok(())
    }

    fn check_signature(&mut self, seq: u64, checkpoint: &crate::checkpoint::Checkpoint) -> Result<(), Why> {
        let statement = Statement {
            id: &self.seen.header.id,
            seq,
            prev: self.seen.digest,
            time: checkpoint.time,
            closed: checkpoint.closed,
        };
        let key: PublicKey = self.seen.header.public_key;
        if !checkpoint.is_signed(key, &statement) {
            return Err(Why::Signature);
        }
        self.seen.signed_through = Some(seq);
        if checkpoint.closed {
            self.seen.closing = Closing::Closed;
        }
        Ok(())
    }
}

fn check_place(seq: u64, prev: &str, expected: u64, digest: Digest) -> Result<(), Why> {
    if seq != expected {
        return Err(Why::Sequence { expected, found: seq });
    }
    if prev != digest.to_string() {
        return Err(Why::Chain { claimed: prev.to_owned(), actual: digest });
    }
    Ok(())
}

/// What came of reading a line.
pub(crate) enum Next {
    /// A whole line is in the buffer, without its end.
    Line,
    /// Bytes without a line's end are in the buffer.
    Unfinished,
    /// There is nothing more.
    End,
}

/// Reads one line of at most [`MAX_LINE`] bytes.
pub(crate) fn next_line(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> Result<Next, Why> {
    buffer.clear();
    let limit = MAX_LINE as u64 + 1;
    input.take(limit).read_until(b'\n', buffer)?;
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        return Ok(Next::Line);
    }
    match buffer.len() {
        0 => Ok(Next::End),
        long if long > MAX_LINE => Err(Why::TooLong),
        _ => Ok(Next::Unfinished),
    }
}

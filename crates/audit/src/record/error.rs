//! Why nothing was, or will be, recorded.

use std::io;
use std::path::PathBuf;

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
    /// The line could not be written. The record is broken until [`recover`](super::Record::recover) succeeds.
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
    /// The event makes a line over [`MAX_LINE`](crate::MAX_LINE); nothing was written and the record is not broken by it.
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

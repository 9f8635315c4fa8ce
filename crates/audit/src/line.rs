//! One line of a record: `{"seq":N,"prev":"…","event":{…}}`, or with `header` or `checkpoint` in the place of `event`.

use crate::checkpoint::{Checkpoint, PublicKey};
use crate::event::Event;
use creel_types::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest line, in bytes without its end. A writer refuses to write a longer one, a reader to read it.
pub const MAX_LINE: usize = 1 << 20;

/// What `prev` is in the first line.
pub(crate) const NO_PREVIOUS: Digest = Digest([0; 32]);

/// The name of the format, and its version.
pub(crate) const FORMAT: &str = "creel-record";
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The first line: whose record this is, and the key that its checkpoints are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `creel-record`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// The sandbox's name.
    pub name: String,
    /// The identity of the run.
    pub id: String,
    /// When the record was created, in milliseconds since 1970 UTC.
    pub created: i64,
    /// The key that checkpoints are verified with.
    pub public_key: PublicKey,
    /// The version of Creel that wrote the record.
    pub creel: String,
}

/// The beginning of a line, up to the value of its `event`.
pub(crate) fn open_event(line: &mut Vec<u8>, seq: u64, prev: &Digest) {
    line.extend_from_slice(b"{\"seq\":");
    line.extend_from_slice(seq.to_string().as_bytes());
    line.extend_from_slice(b",\"prev\":\"");
    line.extend_from_slice(prev.digits().as_str().as_bytes());
    line.extend_from_slice(b"\",\"event\":");
}

/// A line that is no event, as it is written.
#[derive(Serialize)]
pub(crate) struct Written<'a> {
    pub(crate) seq: u64,
    #[serde(with = "crate::text::digest")]
    pub(crate) prev: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<&'a Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<&'a Checkpoint>,
}

/// A line as it is read; `E` is what is wanted of an event ([`When`], [`Occurred`]).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a, E> {
    pub(crate) seq: u64,
    pub(crate) prev: &'a str,
    pub(crate) header: Option<Header>,
    pub(crate) event: Option<E>,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// What is read of an event: when, and what is ours.
#[derive(Deserialize)]
pub(crate) struct Occurred {
    pub(crate) time: i64,
    pub(crate) unmapped: Unmapped,
}

#[derive(Deserialize)]
pub(crate) struct Unmapped {
    pub(crate) creel: Event,
}

/// Only when.
#[derive(Deserialize)]
pub(crate) struct When {
    pub(crate) time: i64,
}

/// The SHA-256 of a line's bytes, without its end.
pub(crate) fn digest(line: &[u8]) -> Digest {
    Digest(Sha256::digest(line).into())
}

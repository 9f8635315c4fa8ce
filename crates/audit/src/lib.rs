//! The record: what a sandbox did, in a file outside it that shows when it was changed.
//!
//! A [`Record`] is append-only. Each line carries the SHA-256 of the line before it, so an edit, a reordering or a
//! deletion in the middle is found by anyone who reads the file ([`verify`]); signed checkpoints make it impossible
//! to write a new history under the same public key once the writer has gone. What this does not prove is said in
//! `docs/record.md`.
//!
//! The events are OCSF events, so that existing tools read them; the whole typed [`Event`] travels in each under
//! `unmapped.creel`, and only that is read back. Nothing here decides anything, and nothing here holds a secret:
//! what may carry one enters through [`Target`] and [`Argv`], which mask while they are made.

mod behind;
mod checkpoint;
mod event;
mod filter;
mod line;
mod ocsf;
mod read;
mod record;
mod redact;
mod render;
mod sink;
mod text;
mod verify;

pub use behind::Behind;
pub use checkpoint::{Checkpoint, PublicKey};
pub use event::{
    Actor, Connection, Disposition, Dns, Event, Exec, Exit, Finding, Handling, Kind, ModelCall, Parent,
    Phase, PolicyChange, Program, Request, Severity, Start, Tokens,
};
pub use filter::{Filter, Unknown};
pub use line::{Header, MAX_LINE};
pub use read::{Entry, ReadError, Reader, read};
pub use record::{About, CHECKPOINT_EVERY, Cutter, FILE_NAME, Record, RecordError, cut_unfinished_line};
pub use redact::{Argv, Target};
pub use render::{Colour, render};
pub use text::{of_os as text_of_os, of_path as text_of_path};
pub use verify::{Broken, Closing, Verified, Why, verify, verify_reader};

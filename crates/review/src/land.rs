//! Landing: a list of steps in the workspace, all of them or none, also when it is interrupted at any point.
//!
//! 1. Everything that is to appear is made in a staging directory on the workspace's file system, outside of every
//!    sandbox's sight where that is possible, and synced.
//! 2. The steps are written to a journal and synced. From here on they will all be taken, or all be taken back.
//! 3. Each step is one rename (or one `chmod`). What a path held is exchanged into the staging directory and compared
//!    with what it was expected to hold; a surprise takes all steps back.
//! 4. The journal is closed; only then is what was replaced put away.
//!
//! Every step can be told done from not done by inode numbers, so that whoever comes after an interruption goes on
//! from the journal alone. Until then a part of the steps may be seen: a file system has no rename of many names. A
//! copy of the whole workspace exchanged in one rename would be atomic for onlookers too, but costs the workspace's
//! size each time and takes the directory from under every shell and editor that stands in it.

mod carry;
mod journal;
mod opened;
mod recover;
mod spend;
mod stage;
mod step;

pub(crate) use carry::Stop;
pub(crate) use journal::{Intent, Journal, Kind, Spelled};
pub use recover::Recovered;
pub(crate) use spend::{Undo, undo_dir};
pub(crate) use stage::{Staging, Stuff};
pub(crate) use step::Step;

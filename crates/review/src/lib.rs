//! What a sandbox did to a workspace that it may not touch: reads the layer that took its writes, shows the
//! differences, lands them in the workspace or forgets them.
//!
//! The layer is the upper directory of an overlay (`user.overlay.*`, as an ordinary user mounts it); what stands in it
//! was made by an agent, so nothing of it is trusted: names are bytes, no symbolic link is followed on either side
//! ([`beneath`]), and what has no place in a workspace (devices, sockets, set-user-id bits) does not land.
//!
//! Landing is all or nothing ([`land`]): everything is staged, written down and synced before the first name in the
//! workspace changes, each change of a name is a rename that can be told done from not done, and whoever comes next
//! finishes, or takes back, what an interrupted one left.

mod apply;
mod base;
mod beneath;
mod change;
mod compare;
mod content;
mod diff;
mod json;
mod land;
mod merge;
mod node;
mod notes;
mod snapshot;
mod spelling;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod undo;

pub use apply::{Choice, Landed, Options};
pub use change::{Change, Moved, What};
pub use diff::{Paint, Sides};
pub use json::{Entry, Side};
pub use land::Recovered;
pub use node::{Kind, Node};
pub use notes::Note;
pub use snapshot::{BEFORE_APPLY, Snapshot};
pub use store::{Lent, Review, Shelf};

use creel_kernel::SysError;
use std::path::PathBuf;

/// Why a review could not be read, landed or forgotten. The workspace is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// A call into the kernel.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// Nothing of that name.
    #[error("no changes of a sandbox named `{0}` wait for review")]
    Nothing(String),
    /// It runs, and its layer is mounted.
    #[error("the sandbox `{0}` runs: what it writes cannot be taken from under it")]
    Running(String),
    /// Somebody else is at it.
    #[error("another command works on the changes of `{0}`")]
    Busy(String),
    /// The same name with another workspace.
    #[error("changes that `{name}` made in {} wait for review", workspace.display())]
    OtherWorkspace {
        /// The sandbox.
        name: String,
        /// Where they were made.
        workspace: PathBuf,
    },
    /// The workspace is not the directory that it was.
    #[error("{} is not the directory that the changes were made in", .0.display())]
    Replaced(PathBuf),
    /// A path that is not among the changes.
    #[error("{} is not among the changes", .0.display())]
    NotChanged(PathBuf),
    /// Something moved underneath, and what is to become of it is not clear. Nothing was applied.
    #[error("the workspace moved under {} of the changes", .0.len())]
    Moved(Vec<(PathBuf, Moved)>),
    /// Things that never land. Nothing was applied.
    #[error("{} of the changes cannot be applied", .0.len())]
    Unfit(Vec<(PathBuf, &'static str)>),
    /// The kernel refused one of the steps. Everything was taken back.
    #[error("{} cannot be changed in the workspace", path.display())]
    Hindered {
        /// Where.
        path: PathBuf,
        /// Why.
        source: SysError,
    },
    /// The layer holds what no overlay of Creel's writes.
    #[error("cannot read the change of {}: {why}", path.display())]
    Strange {
        /// Where.
        path: PathBuf,
        /// What is strange.
        why: &'static str,
    },
    /// Creel's own notes beside the layer cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Notes {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No such snapshot.
    #[error("there is no snapshot `{0}`")]
    NoSnapshot(String),
    /// The name of a snapshot that exists, or that is no name.
    #[error("a snapshot cannot be called `{label}`: {why}")]
    Label {
        /// The name.
        label: String,
        /// Why not.
        why: &'static str,
    },
}

//! One change, as people and programs read it.

use crate::node::{Kind, Node};
use crate::notes::Note;
use crate::spelling;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was not there.
    Added(Node),
    /// It is another.
    Modified {
        /// What stands in the workspace.
        before: Node,
        /// What the sandbox made of it.
        after: Node,
        /// Whether what is in it differs, or only its mode and attributes.
        content: bool,
    },
    /// It is gone.
    Deleted(Node),
}

/// How the workspace moved since the sandbox took the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// It was changed in the workspace, and what it was then is kept: a three-way merge can be tried.
    Changed,
    /// It was changed in the workspace while the sandbox ran; what it was then is not known.
    ChangedMeanwhile,
    /// The sandbox changed it, and it is gone from the workspace.
    Gone,
    /// The sandbox made it, and somebody else made it in the workspace, too.
    Appeared,
}

impl Moved {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed in the workspace, too",
            Self::ChangedMeanwhile => "changed in the workspace while the sandbox ran",
            Self::Gone => "gone from the workspace",
            Self::Appeared => "made in the workspace, too",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the workspace; empty for the workspace itself. Any bytes, no `..`.
    pub path: PathBuf,
    /// What happened.
    pub what: What,
    /// When, in milliseconds since 1970: of a file its last write, of anything else its last change in the layer; of
    /// what went with a directory nothing is known.
    pub time: Option<i64>,
    /// What a reviewer should look at twice.
    pub notes: Vec<Note>,
    /// Whether the workspace moved underneath.
    pub moved: Option<Moved>,
}

impl Change {
    /// `A`, `M`, `D`, and `m` where only the mode or an attribute differs.
    pub fn letter(&self) -> char {
        match self.what {
            What::Added(_) => 'A',
            What::Modified { content: true, .. } => 'M',
            What::Modified { content: false, .. } => 'm',
            What::Deleted(_) => 'D',
        }
    }

    /// What stands in the workspace.
    pub fn before(&self) -> Option<&Node> {
        match &self.what {
            What::Added(_) => None,
            What::Modified { before, .. } => Some(before),
            What::Deleted(node) => Some(node),
        }
    }

    /// What the sandbox made.
    pub fn after(&self) -> Option<&Node> {
        match &self.what {
            What::Added(node) => Some(node),
            What::Modified { after, .. } => Some(after),
            What::Deleted(_) => None,
        }
    }

    /// The path as a person may see it, a directory with a `/` behind it.
    pub fn shown(&self) -> String {
        let slash = match self.after().or(self.before()) {
            Some(node) if node.kind == Kind::Directory => "/",
            _ => "",
        };
        format!("{}{slash}", shown(&self.path))
    }
}

/// A path as a person may see it; the workspace itself is a dot.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { spelling::shown(&path.to_string_lossy()) }
}

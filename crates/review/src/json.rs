//! The changes as programs read them.

use crate::beneath::Root;
use crate::change::{Change, What};
use crate::compare::with_access;
use crate::content;
use crate::node::{Kind, Node};
use crate::{Review, ReviewError};
use rustix::fs::OFlags;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;

/// One change, with digests.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Relative to the workspace; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The path's bytes in hexadecimal, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// `added`, `modified`, `deleted`.
    pub change: &'static str,
    /// Whether what is in it differs, or only its mode and attributes.
    pub content: bool,
    /// What stands in the workspace.
    pub before: Option<Side>,
    /// What the sandbox made of it.
    pub after: Option<Side>,
    /// When, in UTC; nothing where it is not known.
    pub time: Option<String>,
    /// The program that did it: nothing, as the kernel does not tell an ordinary user.
    pub program: Option<String>,
    /// What a reviewer should look at twice.
    pub notes: Vec<String>,
    /// How the workspace moved underneath.
    pub moved: Option<&'static str>,
}

/// One side of a change.
#[derive(Debug, Serialize)]
pub struct Side {
    /// `file`, `directory`, `link`, `special`.
    pub kind: Kind,
    /// Permission bits, octal.
    pub mode: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of a file of at most 1 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Review {
    /// The changes with digests of both sides.
    pub fn entries(&self, changes: &[Change]) -> Result<Vec<Entry>, ReviewError> {
        let (upper, lower) = (self.upper()?, self.lower()?);
        changes.iter().map(|change| entry(change, &upper, &lower)).collect()
    }
}

fn entry(change: &Change, upper: &Root, lower: &Root) -> Result<Entry, ReviewError> {
    let (word, content) = match change.what {
        What::Added(_) => ("added", true),
        What::Modified { content, .. } => ("modified", content),
        What::Deleted(_) => ("deleted", true),
    };
    let bytes = change.path.as_os_str();
    Ok(Entry {
        path: if bytes.is_empty() { ".".into() } else { bytes.to_string_lossy().into_owned() },
        path_bytes: bytes.to_str().is_none().then(|| hex(bytes.as_bytes())),
        change: word,
        content,
        before: change.before().map(|node| side(lower, change, node)).transpose()?,
        after: change.after().map(|node| side(upper, change, node)).transpose()?,
        time: change
            .time
            .and_then(|time| jiff::Timestamp::from_millisecond(time).ok())
            .map(|at| format!("{at:.3}")),
        program: None,
        notes: change.notes.iter().map(crate::Note::text).collect(),
        moved: change.moved.map(crate::Moved::as_str),
    })
}

fn side(root: &Root, change: &Change, node: &Node) -> Result<Side, ReviewError> {
    let sha256 = match node.kind {
        Kind::File => match with_access(root, &change.path, node, OFlags::RDONLY) {
            Ok(fd) => content::digest(&fd, node.size, &change.path)?.map(|digest| digest.to_string()),
            Err(_) => None,
        },
        _ => None,
    };
    let target = match node.kind {
        Kind::Link => Some(root.link(&change.path)?.to_string_lossy().into_owned()),
        _ => None,
    };
    Ok(Side { kind: node.kind, mode: format!("{:04o}", node.mode), size: node.size, sha256, target })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

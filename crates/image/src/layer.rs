//! A layer: a tar stream becomes a directory that can be one layer of an overlay.
//!
//! What is written down is what one user may own: everything belongs to the caller, set-id bits and file
//! capabilities are left out, device nodes and sockets are passed over and counted. Whiteouts become what overlayfs
//! reads: a character device 0:0, which everyone may make, and an attribute on an opaque directory.
//!
//! The stream is hostile. Every name is looked up by the kernel within the layer's directory
//! (`RESOLVE_IN_ROOT`), so links lead nowhere else; nothing that is there is written through, it is replaced; sizes,
//! numbers and the memory for names are bounded.

mod entry;
mod meter;
mod tree;

use crate::Sha256;
use entry::Entry;
use meter::Meter;
use rustix::io::Errno;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use tree::Tree;

/// Bounds of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the tar stream, without its compression, and of all files that it makes.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 2_000_000 }
    }
}

/// What was passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Device nodes.
    pub devices: u64,
    /// Sockets, pipes and whatever else has no content.
    pub others: u64,
    /// Files that belong to somebody else than uid 0 in the image, and to the caller here.
    pub owners: u64,
    /// Set-user-id and set-group-id bits that were dropped.
    pub set_id: u64,
}

/// A layer that was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// The digest of the tar stream without its compression.
    pub diff_id: Sha256,
    /// Bytes of files.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// What was passed over.
    pub skipped: Skipped,
}

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The stream is no tar stream, or ended early, or its compression is broken.
    #[error("cannot read the layer")]
    Read(#[source] io::Error),
    /// A name that would lead out of the layer, or is none.
    #[error("the layer has an entry named `{name}`: {why}")]
    Name {
        /// As it stands there.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A bound was met.
    #[error("the layer has more than {most} {what}")]
    TooMuch {
        /// The bound.
        most: u64,
        /// Of what.
        what: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {what} `{name}` of the layer")]
    Make {
        /// What was tried.
        what: &'static str,
        /// On which entry.
        name: String,
        /// The kernel's answer.
        source: Errno,
    },
    /// Contents could not be written.
    #[error("cannot write `{name}` of the layer")]
    Write {
        /// The entry.
        name: String,
        /// The cause.
        source: io::Error,
    },
}

/// Unpacks a layer, compressed or not, into the empty directory `into`.
pub fn unpack(from: impl Read, into: OwnedFd, limits: Limits) -> Result<Unpacked, LayerError> {
    let plain =
        crate::decompress::plain(io::BufReader::with_capacity(128 << 10, from)).map_err(LayerError::Read)?;
    let (meter, dial) = Meter::new(plain, limits.bytes);
    let mut archive = tar::Archive::new(meter);
    let mut state =
        State { tree: Tree::new(into), limits, bytes: 0, entries: 0, skipped: Skipped::default() };
    let mut entries = archive.entries().map_err(LayerError::Read)?;
    loop {
        // Between entries only headers are read, and long names into memory.
        dial.allow_headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| dial.explain(error))?;
        dial.allow_content();
        state.take(&mut entry).map_err(|error| match error {
            LayerError::Read(error) => dial.explain(error),
            other => other,
        })?;
        // What was not read yet is content, too.
        io::copy(&mut entry, &mut io::sink()).map_err(|error| dial.explain(error))?;
    }
    dial.allow_content();
    // The digest is of all bytes, also of those behind the end of the archive.
    let mut meter = archive.into_inner();
    io::copy(&mut meter, &mut io::sink()).map_err(|error| dial.explain(error))?;
    let entries = state.entries.saturating_add(state.tree.implied());
    state.tree.finish()?;
    let State { bytes, skipped, .. } = state;
    Ok(Unpacked { diff_id: meter.digest(), bytes, entries, skipped })
}

struct State {
    tree: Tree,
    limits: Limits,
    bytes: u64,
    entries: u64,
    skipped: Skipped,
}

impl State {
    fn take(&mut self, raw: &mut tar::Entry<'_, impl Read>) -> Result<(), LayerError> {
        self.entries += 1;
        self.bounded()?;
        let Some(entry) = Entry::read(raw)? else {
            self.skipped.others += 1;
            return Ok(());
        };
        self.note(raw, &entry);
        if let Entry::File { size, .. } = entry {
            self.bytes = self.bytes.saturating_add(size);
            if self.bytes > self.limits.bytes {
                return Err(LayerError::TooMuch { most: self.limits.bytes, what: "bytes" });
            }
        }
        self.tree.make(&entry, raw)?;
        self.bounded()
    }

    /// Directories that only names tell of take as much room as others; one name can tell of two thousand.
    fn bounded(&self) -> Result<(), LayerError> {
        let most = self.limits.entries;
        if self.entries.saturating_add(self.tree.implied()) > most {
            return Err(LayerError::TooMuch { most, what: "entries" });
        }
        Ok(())
    }

    fn note(&mut self, raw: &tar::Entry<'_, impl Read>, entry: &Entry) {
        let header = raw.header();
        let mode = header.mode().unwrap_or(0);
        self.skipped.devices += u64::from(matches!(entry, Entry::Device));
        self.skipped.set_id += u64::from(mode & 0o6000 != 0 && matches!(entry, Entry::File { .. }));
        self.skipped.owners += u64::from(header.uid().unwrap_or(0) != 0 || header.gid().unwrap_or(0) != 0);
    }
}

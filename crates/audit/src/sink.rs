//! Where lines go: a file, or in tests something that fails when it is told to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a record needs of the thing that it is written to.
pub(crate) trait Sink: Send {
    /// Appends at most all of `bytes` in one call and says how many it took.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts back to `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// How long it is now.
    fn length(&self) -> io::Result<u64>;

    /// Returns when everything is on stable storage.
    fn sync(&mut self) -> io::Result<()>;

    /// Its descriptor, where it has one.
    fn descriptor(&self) -> Option<RawFd> {
        None
    }
}

/// Creates the file of a record: new, for its owner alone, append-only for every writer, not inherited by programs
/// (the standard library opens every file with `O_CLOEXEC`).
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)
}

impl Sink for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match Write::write(self, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.as_raw_fd())
    }
}

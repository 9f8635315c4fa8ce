//! SHA-256 of executables, each file read once as long as it does not change.

use creel_types::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// The largest executable that is read, in bytes; of a larger one there is no digest.
const LARGEST: u64 = 1 << 30;
/// How many files are remembered; then all are forgotten at once.
const MOST: usize = 4096;

/// What tells one state of one file from another.
#[derive(PartialEq, Eq, Hash)]
struct State {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The digests known so far.
pub struct Digests {
    known: HashMap<State, Digest>,
    /// Creel's own binary, which init is until it executes a command: large, and no program of the agent's.
    own: Option<(u64, u64)>,
}

impl Default for Digests {
    fn default() -> Self {
        let own = std::fs::metadata("/proc/self/exe").ok().map(|meta| (meta.dev(), meta.ino()));
        Self { known: HashMap::new(), own }
    }
}

impl Digests {
    /// Creel's own binary, by device and inode.
    pub fn own(&self) -> Option<(u64, u64)> {
        self.own
    }

    /// The digest of a regular file; `None` when it is none, too large, Creel's own, or cannot be read.
    pub fn of(&mut self, file: &File) -> Option<Digest> {
        let meta = file.metadata().ok().filter(|meta| meta.is_file() && meta.len() <= LARGEST)?;
        if self.own == Some((meta.dev(), meta.ino())) {
            return None;
        }
        let state = State::of(&meta);
        if let Some(known) = self.known.get(&state) {
            return Some(*known);
        }
        let digest = read(file)?;
        // A file that changed while it was read is read again next time.
        if State::of(&file.metadata().ok()?) == state {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            self.known.insert(state, digest);
        }
        Some(digest)
    }
}

fn read(mut file: &File) -> Option<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(Digest(hash.finalize().into())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_changes_has_another_digest() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let mut digests = Digests::default();
        let open = || File::open(file.path()).unwrap();
        let first = digests.of(&open()).unwrap();
        assert_eq!(first.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digests.of(&open()), Some(first));
        std::fs::OpenOptions::new().append(true).open(file.path()).unwrap().write_all(b"d").unwrap();
        assert_ne!(digests.of(&open()), Some(first));
    }

    #[test]
    fn a_directory_has_none() {
        assert_eq!(Digests::default().of(&File::open("/").unwrap()), None);
    }
}

//! SHA-256 of executables, each file read once as long as it does not change.

use super::lineage::FileId;
use creel_types::Digest;
use rustix::fs::{FileType, Stat, fstat};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The largest executable that is read, in bytes; of a larger one there is no digest.
const LARGEST: i64 = 1 << 30;
/// How many files are remembered; then all are forgotten at once.
const MOST: usize = 4096;

/// What tells one state of one file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl State {
    /// As the kernel says.
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether the file has been left alone for so long that another change would show in its times: on many kernels
    /// they move in steps of some milliseconds, and two changes within one step look like one.
    fn is_settled(&self) -> bool {
        const STEP: Duration = Duration::from_secs(1);
        let changed = u64::try_from(self.changed.0).ok().and_then(|seconds| {
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_nanos(self.changed.1))
        });
        changed.is_some_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age >= STEP))
    }

    /// Which file it is.
    pub fn file(&self) -> FileId {
        (self.device, self.inode)
    }
}

/// The digests known so far.
pub struct Digests {
    known: HashMap<State, Digest>,
    /// Creel's own binary, which init is until it executes a command: large, and no program of the agent's.
    own: Option<FileId>,
}

impl Default for Digests {
    fn default() -> Self {
        let own = std::fs::metadata("/proc/self/exe").ok().map(|meta| (meta.dev(), meta.ino()));
        Self { known: HashMap::new(), own }
    }
}

impl Digests {
    /// Creel's own binary, by device and inode.
    pub fn own(&self) -> Option<FileId> {
        self.own
    }

    /// The digest of a file in this state, if it was read before.
    pub fn known(&self, state: State) -> Option<Digest> {
        self.known.get(&state).copied()
    }

    /// The digest of a regular file; `None` when it is none, too large, Creel's own, or cannot be read.
    pub fn of(&mut self, file: &File) -> Option<Digest> {
        let stat = fstat(file).ok()?;
        let state = State::of(&stat);
        let regular = FileType::from_raw_mode(stat.st_mode).is_file();
        if !regular || state.size > LARGEST || self.own == Some(state.file()) {
            return None;
        }
        if let Some(known) = self.known.get(&state) {
            return Some(*known);
        }
        let digest = read(file)?;
        // A file that changed while it was read is read again next time.
        if State::of(&fstat(file).ok()?) == state && state.is_settled() {
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

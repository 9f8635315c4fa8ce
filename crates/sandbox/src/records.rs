//! Where records are kept, and how one is found again.
//!
//! `$XDG_STATE_HOME/creel/records/NAME/TIME-ID/record.jsonl` (`~/.local/state` when the variable is not set).

use creel_audit::FILE_NAME;
use creel_types::{SandboxId, SandboxName};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why there is no place for a record, or no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// Nobody's home directory.
    #[error("cannot tell where records are kept: set HOME or XDG_STATE_HOME to an absolute path")]
    NoState,
    /// The directory cannot be made.
    #[error("cannot make directory {} for the record", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No record of this sandbox.
    #[error("no record of `{0}`: give a sandbox's name, or the path of a record")]
    None(String),
    /// No record at all.
    #[error("no sandbox has left a record yet")]
    Nothing,
}

/// Makes the directory for a new record; `wanted` is the operator's choice.
pub fn make(wanted: Option<&Path>, name: &SandboxName, id: SandboxId) -> Result<PathBuf, RecordsError> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None => root()?.join(name.as_str()).join(format!("{:010}-{}", seconds(), &id.to_string()[..8])),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| RecordsError::Make { path, source })
}

/// The record that `what` names: a file, a directory, a sandbox's name; the newest when nothing is named.
pub fn find(what: Option<&str>) -> Result<PathBuf, RecordsError> {
    let Some(what) = what else {
        let all = subdirectories(&root()?).into_iter().filter_map(|dir| newest(&dir));
        return all
            .max_by_key(|path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned))
            .ok_or(RecordsError::Nothing);
    };
    let path = Path::new(what);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.join(FILE_NAME).is_file() {
        return Ok(path.join(FILE_NAME));
    }
    let named = what.parse::<SandboxName>().map_err(|_| RecordsError::None(what.to_owned()))?;
    newest(&root()?.join(named.as_str())).ok_or_else(|| RecordsError::None(what.to_owned()))
}

/// Creel's own state, which no sandbox may see.
pub fn state() -> Result<PathBuf, RecordsError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|dir| dir.join("creel"))
        .ok_or(RecordsError::NoState)
}

fn root() -> Result<PathBuf, RecordsError> {
    Ok(state()?.join("records"))
}

/// The newest record of one sandbox; directory names begin with the time.
fn newest(dir: &Path) -> Option<PathBuf> {
    let mut runs = subdirectories(dir);
    runs.retain(|run| run.join(FILE_NAME).is_file());
    runs.into_iter().max().map(|run| run.join(FILE_NAME))
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

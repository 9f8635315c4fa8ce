//! What is written down before anything changes: enough for somebody else to finish it, or to take it back.

use super::Step;
use crate::ReviewError;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const NAME: &str = "journal.json";

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intent {
    /// Things are being staged; nothing in the workspace changed.
    Stage,
    /// All steps are to be taken.
    Forward,
    /// Something stood in the way: all steps are to be taken back.
    Back,
    /// All steps were taken; what was replaced is to be put away.
    Taken,
    /// All steps were taken back.
    TakenBack,
}

/// What lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Changes of the layer.
    Apply,
    /// What an apply replaced.
    Undo,
}

/// The journal of one landing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub kind: Kind,
    pub intent: Intent,
    /// The staging directory.
    #[serde(with = "crate::spelling")]
    pub staging: PathBuf,
    /// In this order; taken back in the opposite one.
    pub steps: Vec<Step>,
    /// What leaves the layer when all is done.
    pub spent: Vec<Spelled>,
}

/// A path by itself, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spelled(#[serde(with = "crate::spelling")] pub PathBuf);

impl Journal {
    /// The journal that an interrupted landing left in a review's directory.
    pub fn read(dir: &Path) -> Result<Option<Self>, ReviewError> {
        let path = dir.join(NAME);
        let bad = |why: String| ReviewError::Notes { path: path.clone(), why };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// Writes it whole; on stable storage when this returns.
    pub fn write(&self, dir: &Path) -> Result<(), ReviewError> {
        let path = dir.join(NAME);
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ReviewError::Notes { path: path.clone(), why: error.to_string() })?;
        store::replace(&path, &bytes).map_err(ReviewError::from)
    }

    /// The same with another intent, written.
    pub fn turn(&mut self, intent: Intent, dir: &Path) -> Result<(), ReviewError> {
        self.intent = intent;
        self.write(dir)
    }

    /// The end: nothing is left to do.
    pub fn remove(dir: &Path) -> Result<(), ReviewError> {
        use creel_kernel::Named;
        let path = dir.join(NAME);
        std::fs::remove_file(&path)
            .and_then(|()| store::sync_dir(dir))
            .named("remove", path.display())
            .map_err(ReviewError::from)
    }
}

//! Takes the steps of a journal, or takes them back.

use super::step::{Ground, Surprise};
use super::{Intent, Journal, Staging};
use crate::ReviewError;
use crate::beneath::Root;
use creel_kernel::Named;
use std::path::{Path, PathBuf};

/// Called before each act on the disk: a test interrupts there, anybody else lets it pass.
pub(crate) type Stop<'a> = &'a mut dyn FnMut() -> Result<(), ReviewError>;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// All steps were taken.
    All,
    /// All steps were taken back, as these paths were not what was expected. `kept` were changed by somebody else
    /// after they had landed, and stay as they are.
    None { surprised: Vec<PathBuf>, kept: Vec<PathBuf> },
}

/// Goes on from wherever the journal stands. What is staged stays where it is.
pub(crate) fn carry(
    dir: &Path,
    workspace: &Root,
    journal: &mut Journal,
    stop: Stop<'_>,
) -> Result<Carried, ReviewError> {
    let mut surprised = Vec::new();
    if journal.intent == Intent::Forward {
        match forward(workspace, journal, stop)? {
            Ok(()) => {
                stop()?;
                rustix::fs::syncfs(workspace.fd())
                    .named("syncfs", workspace.full(Path::new("")).display())?;
                stop()?;
                journal.turn(Intent::Taken, dir)?;
            }
            Err(Surprise(path)) => {
                surprised.push(path);
                stop()?;
                journal.turn(Intent::Back, dir)?;
            }
        }
    }
    if journal.intent == Intent::Taken {
        return Ok(Carried::All);
    }
    let kept = backward(workspace, journal, stop)?;
    rustix::fs::syncfs(workspace.fd()).named("syncfs", workspace.full(Path::new("")).display())?;
    stop()?;
    journal.turn(Intent::TakenBack, dir)?;
    Ok(Carried::None { surprised, kept })
}

fn forward(workspace: &Root, journal: &Journal, stop: Stop<'_>) -> Result<Result<(), Surprise>, ReviewError> {
    let Some(staging) = Staging::find(&journal.staging)? else {
        return Ok(Err(Surprise(journal.staging.clone())));
    };
    let ground = Ground { workspace, staging: &staging };
    for step in &journal.steps {
        stop()?;
        if let Err(surprise) = step.take(&ground)? {
            return Ok(Err(surprise));
        }
    }
    Ok(Ok(()))
}

fn backward(workspace: &Root, journal: &Journal, stop: Stop<'_>) -> Result<Vec<PathBuf>, ReviewError> {
    let mut kept = Vec::new();
    let Some(staging) = Staging::find(&journal.staging)? else { return Ok(kept) };
    let ground = Ground { workspace, staging: &staging };
    for step in journal.steps.iter().rev() {
        stop()?;
        if let Err(Surprise(path)) = step.take_back(&ground)? {
            kept.push(path);
        }
    }
    Ok(kept)
}

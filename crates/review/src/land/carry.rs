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
#[derive(Debug)]
pub(crate) enum Carried {
    /// All steps were taken.
    All,
    /// All steps were taken back, as something was in the way. `kept` were changed by somebody else after they had
    /// landed, and stay as they are.
    None { obstacle: Option<Obstacle>, kept: Vec<PathBuf> },
}

/// What keeps a landing from its end.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// A path was not what was expected.
    Surprise(PathBuf),
    /// The kernel refused a step. It would do so again, so that trying until it goes would leave a part for good.
    Refused(PathBuf, Box<ReviewError>),
}

/// Goes on from wherever the journal stands. What is staged stays where it is.
pub(crate) fn carry(
    dir: &Path,
    workspace: &Root,
    journal: &mut Journal,
    stop: Stop<'_>,
) -> Result<Carried, ReviewError> {
    let mut obstacle = None;
    if journal.intent == Intent::Forward {
        match forward(workspace, journal, stop)? {
            Ok(()) => {
                stop()?;
                rustix::fs::syncfs(workspace.fd())
                    .named("syncfs", workspace.full(Path::new("")).display())?;
                stop()?;
                journal.turn(Intent::Taken, dir)?;
            }
            Err(found) => {
                obstacle = Some(found);
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
    Ok(Carried::None { obstacle, kept })
}

fn forward(workspace: &Root, journal: &Journal, stop: Stop<'_>) -> Result<Result<(), Obstacle>, ReviewError> {
    let Some(staging) = Staging::find(&journal.staging)? else {
        return Ok(Err(Obstacle::Surprise(journal.staging.clone())));
    };
    let ground = Ground { workspace, staging: &staging };
    for step in &journal.steps {
        stop()?;
        match step.take(&ground) {
            Ok(Ok(())) => {}
            Ok(Err(Surprise(path))) => return Ok(Err(Obstacle::Surprise(path))),
            Err(error) => return Ok(Err(Obstacle::Refused(step.path().to_owned(), Box::new(error)))),
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

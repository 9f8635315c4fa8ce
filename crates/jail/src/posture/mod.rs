//! Posture: what must be impossible inside is tried inside, before the command runs.
//!
//! The plan says what a sandbox must keep out; from it come [`Promise`]s, each a list of [`Attempt`]s that are plain
//! data. A child of init, confined through the same path as every command, makes them as real system calls; the
//! warden's side hears what the kernel answered, and judges. One answer that is not among those promised, and there
//! is no sandbox. An attempt is chosen so that it does no harm where it wrongly succeeds.
//!
//! Reading configuration back (is the filter installed, is the mount read-only) was rejected: it shows that something
//! was asked for, not that it holds.

mod attempt;
mod confined;
mod encoding;
mod files;
mod judge;
#[cfg(test)]
mod missing;
mod outside;
mod probe;
mod promises;

pub use attempt::{Attempt, Bound};

use creel_api::plan::Plan;
use creel_api::posture::Tried;
use creel_kernel::SysError;
use rustix::io::Errno;

pub(crate) use outside::{Outside, hear};
pub(crate) use probe::run as probe;
pub(crate) use promises::promises;

/// Something that must be impossible inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The layer that makes it: `filesystem`, `process`, `network`, `limits`.
    pub layer: &'static str,
    /// What is promised.
    pub name: &'static str,
    /// What keeps it.
    pub mechanism: &'static str,
    /// What would break it.
    pub attempts: Vec<Attempt>,
    /// How many attempts there could be; more than there are where a sample is taken.
    pub of: usize,
    /// Which answers keep it.
    pub kept: Kept,
}

/// Which answers keep a promise. Any other breaks it, another error, too: then something else than what was promised
/// stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The kernel refuses with one of these.
    By(&'static [Errno]),
    /// The connection arrives at the warden's own listener, or fails with one of these.
    Captured(&'static [Errno]),
}

impl Promise {
    /// A promise that is kept by refusals.
    pub fn new(
        (layer, mechanism): (&'static str, &'static str),
        name: &'static str,
        refusals: &'static [Errno],
        attempts: Vec<Attempt>,
    ) -> Self {
        Self { layer, name, mechanism, of: attempts.len(), attempts, kept: Kept::By(refusals) }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Happened,
    Refused(Errno),
    /// The process that tried never said.
    Missing,
}

/// Tries what a sandbox for `plan` promises outside of any: how a test sees that an attempt can succeed where nothing
/// prevents it. Each promise has a child of the caller to itself, and the caller has one thread. Only those are tried
/// that `which` picks by their names; none of layer `network` leaves the machine but those that send to addresses.
pub fn try_bare(plan: &Plan, which: impl Fn(&Promise) -> bool) -> Result<Vec<Tried>, SysError> {
    let outside = Outside::stand()?;
    let promises = promises(plan, &outside, 1).into_iter().filter(which);
    let one = |promise: Promise| {
        let (answers, _child) = probe::fork_and_try(&promise.attempts, None, None)?;
        Ok(judge::judge(&[promise], &answers, &[]))
    };
    promises.map(one).collect::<Result<Vec<_>, _>>().map(|tried| tried.concat())
}

//! Holds a sandbox still and lets it go on.
//!
//! A control group is the better brake: what it holds cannot tell. Where this machine gives none, every process is
//! sent SIGSTOP by init, in one call that no fork escapes (`kill(-1)` in the sandbox's own pid namespace): nobody is left
//! inside who could send SIGCONT, but a shell with job control sees that its job stopped.
//!
//! Connections stay open, the record stays open, and the wall time goes on: a paused sandbox still ends in time.

use crate::jobs::Jobs;
use crate::limits::SharedGroup;
use crate::mounts::holders::descendants;
use creel_jail::link::{Order, Target};
use creel_kernel::SysError;
use creel_kernel::cgroup::Group;
use rustix::process::Signal;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long the last process may take to stand still, in steps of [`STEP`].
const STEPS: u32 = 1000;
const STEP: Duration = Duration::from_millis(1);

/// Why a sandbox was not held, or not let go.
#[derive(Debug, thiserror::Error)]
pub enum BrakeError {
    /// The group does not obey.
    #[error("the control group cannot be held or let go")]
    Group(#[from] SysError),
    /// Some process is in the kernel and comes not out of it.
    #[error("not every process stood still within {} ms; all go on", STEPS)]
    Restless,
    /// Nothing to let go.
    #[error("it is not paused")]
    NotPaused,
    /// Held already.
    #[error("it is paused already")]
    Paused,
}

/// Holds one sandbox.
pub struct Brake {
    init: u32,
    group: SharedGroup,
    jobs: Arc<Jobs>,
    held: AtomicBool,
}

impl Brake {
    /// For the sandbox of this init.
    pub fn new(init: u32, group: SharedGroup, jobs: Arc<Jobs>) -> Self {
        Self { init, group, jobs, held: AtomicBool::new(false) }
    }

    /// Whether it is held.
    pub fn holds(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Holds every process but init; by which means. When one does not stand still, all go on.
    pub async fn hold(&self) -> Result<&'static str, BrakeError> {
        if self.held.swap(true, Ordering::AcqRel) {
            return Err(BrakeError::Paused);
        }
        let held = self.press().await;
        if held.is_err() {
            let _ = self.let_go();
        }
        held
    }

    /// Lets everything go on.
    pub fn let_go(&self) -> Result<(), BrakeError> {
        if !self.held.swap(false, Ordering::AcqRel) {
            return Err(BrakeError::NotPaused);
        }
        if self.by_group(|group| group.freeze(false))?.is_none() {
            self.jobs.say(&to_all(Signal::CONT), &[])?;
        }
        Ok(())
    }

    async fn press(&self) -> Result<&'static str, BrakeError> {
        let group = self.by_group(|group| group.freeze(true).map(|()| group.brake()))?.flatten();
        if group.is_none() {
            self.jobs.say(&to_all(Signal::STOP), &[])?;
        }
        for _ in 0..STEPS {
            let still = match group {
                // Asked again at each step: the first version forgets whoever began to wait for a child of `vfork`
                // just then, and holds it when it is told once more.
                Some(_) => {
                    self.by_group(|group| group.freeze(true).and_then(|()| group.frozen()))?.unwrap_or(false)
                }
                None => descendants(self.init).into_iter().all(stands),
            };
            if still {
                return Ok(group.unwrap_or("SIGSTOP"));
            }
            tokio::time::sleep(STEP).await;
        }
        Err(BrakeError::Restless)
    }

    /// What the group answers; `None` where no group can hold anything.
    fn by_group<T>(&self, ask: impl FnOnce(&Group) -> Result<T, SysError>) -> Result<Option<T>, BrakeError> {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        match group.as_ref().filter(|group| group.brake().is_some()) {
            Some(group) => Ok(Some(ask(group)?)),
            None => Ok(None),
        }
    }
}

fn to_all(signal: Signal) -> Order {
    Order::Signal { to: Target::All, signal: signal.as_raw() }
}

/// Whether a process is stopped or over, or will stop before it runs its own code again: in the kernel, mostly for a
/// child of `vfork` that is stopped, with SIGSTOP waiting for it (`proc_pid_status(5)`).
fn stands(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let waiting = |name| field(name).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0);
    let stop = 1 << (Signal::STOP.as_raw() - 1);
    match field("State:").and_then(|state| state.chars().next()) {
        None | Some('T' | 't' | 'Z' | 'X') => true,
        Some('D') => (waiting("SigPnd:") | waiting("ShdPnd:")) & stop != 0,
        Some(_) => false,
    }
}

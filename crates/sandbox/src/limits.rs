//! Limits of a running sandbox, changed while it runs.
//!
//! What a control group bounds can be changed both ways: memory, swap, CPU time, and processes where a group counts
//! them. What is bounded for each process (`getrlimit(2)`) can only be lowered: a hard limit that was lowered once is not raised again without a right that nobody here has, and a soft one
//! the agent could raise by itself.

use crate::mounts::holders;
use creel_api::plan::Limits;
use creel_jail::PROCESSES_CEILING;
use creel_kernel::cgroup::{Bounds, Controller, Group};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often processes that were born meanwhile are looked for.
const ROUNDS: usize = 8;

/// The control groups of a sandbox, until its warden removes them.
pub type SharedGroup = Arc<Mutex<Option<Group>>>;

/// What bounds a running sandbox.
pub struct Bounded {
    /// Process id of init.
    pub init: u32,
    /// Control groups.
    pub group: SharedGroup,
    /// Wall time since the start.
    pub time: watch::Sender<Option<Duration>>,
}

/// Whether `now` can become `next` while the sandbox runs, where a group counts its processes or none does; why not.
fn check(now: &Limits, next: &Limits, counted: bool) -> Result<(), Vec<String>> {
    let lowered = |name: &str, now: Option<u64>, next: Option<u64>| {
        let raised = match (now, next) {
            (_, None) => now.is_some(),
            (None, Some(_)) => false,
            (Some(now), Some(next)) => next > now,
        };
        raised.then(|| format!("`{name}` can only be lowered while the sandbox runs"))
    };
    let removed = |name: &str, gone: bool| {
        gone.then(|| format!("`{name}` cannot be taken away while the sandbox runs"))
    };
    let size = |size: Option<creel_types::Size>| size.map(|size| size.0);
    let wrong: Vec<String> = [
        if counted {
            raised_too_far(now.processes, next.processes)
        } else {
            lowered("processes", now.processes, next.processes)
        },
        lowered("open_files", now.open_files, next.open_files),
        lowered("file_size", size(now.file_size), size(next.file_size)),
        removed("memory", now.memory.is_some() && next.memory.is_none()),
        removed("swap", now.swap.is_some() && next.swap.is_none()),
        removed("cpus", now.millicpus.is_some() && next.millicpus.is_none()),
        added("memory", now.memory.is_none() && next.memory.is_some()),
        added("swap", now.swap.is_none() && next.swap.is_some()),
        added("cpus", now.millicpus.is_none() && next.millicpus.is_some()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Every process carries a ceiling that stays.
fn raised_too_far(now: Option<u64>, next: Option<u64>) -> Option<String> {
    match (now, next) {
        (Some(_), None) => Some("`processes` cannot be taken away while the sandbox runs".to_owned()),
        (Some(now), Some(next)) if next > now.max(PROCESSES_CEILING) => {
            Some(format!("`processes` can be raised to {PROCESSES_CEILING} while the sandbox runs"))
        }
        _ => None,
    }
}

/// A control group is made before its first process.
fn added(name: &str, new: bool) -> Option<String> {
    new.then(|| format!("`{name}` needs a control group from the start: start the sandbox anew"))
}

impl Bounded {
    /// Whether `now` can become `next` while the sandbox runs; why not.
    pub fn check(&self, now: &Limits, next: &Limits) -> Result<(), Vec<String>> {
        check(now, next, self.counts())
    }

    /// Whether a group counts the processes.
    fn counts(&self) -> bool {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        group.as_ref().is_some_and(|group| group.bounds(Controller::Pids))
    }

    /// Puts `next` in force; a line for each limit that changed. [`Bounded::check`] has passed.
    pub fn apply(&self, now: &Limits, next: &Limits) -> Result<Vec<String>, String> {
        let bounds = Bounds {
            pids: next.processes.filter(|_| now.processes.is_some()),
            memory: next.memory.map(|size| size.0),
            swap: next.swap.map(|size| size.0),
            millicpus: next.millicpus,
        };
        if let Some(group) = &*self.group.lock().unwrap_or_else(PoisonError::into_inner) {
            group.adjust(bounds).map_err(|error| error.to_string())?;
        }
        let each = [
            (Resource::Nproc, "processes", now.processes, next.processes),
            (Resource::Nofile, "open_files", now.open_files, next.open_files),
            (Resource::Fsize, "file_size", now.file_size.map(|s| s.0), next.file_size.map(|s| s.0)),
        ];
        let mut did = Vec::new();
        let counted = self.counts();
        if counted && now.processes != next.processes {
            let bound = next.processes.map_or_else(|| "not bounded".to_owned(), |most| most.to_string());
            did.push(format!("processes is {bound} now, for all together"));
        }
        for (resource, name, now, next) in each {
            let counted = counted && matches!(resource, Resource::Nproc);
            if let Some(next) = next.filter(|_| now != next && !counted) {
                let many = self.lower(resource, next);
                did.push(format!("{name} is {next} now, for {many} processes and all that they start"));
            }
        }
        if (now.memory, now.swap, now.millicpus) != (next.memory, next.swap, next.millicpus) {
            did.push("memory, swap and cpus are bounded anew".to_owned());
        }
        if now.time != next.time {
            self.time.send_replace(next.time);
            did.push("the wall time is bounded anew".to_owned());
        }
        Ok(did)
    }

    /// Lowers a limit for init first, so that later commands have it, then for every process until no new one is
    /// found. How many processes have it.
    fn lower(&self, resource: Resource, most: u64) -> usize {
        let mut done = BTreeSet::new();
        for _ in 0..ROUNDS {
            let all = std::iter::once(self.init).chain(holders::descendants(self.init));
            let fresh: Vec<u32> = all.filter(|pid| !done.contains(pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                let limit = Rlimit { current: Some(most), maximum: Some(most) };
                if let Some(own) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    // One that has ended meanwhile needs no limit; one whose own is lower keeps it.
                    let _ = prlimit(Some(own), resource, limit);
                }
                done.insert(pid);
            }
        }
        done.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(most: Option<u64>) -> Limits {
        Limits { processes: most, ..Limits::default() }
    }

    #[test]
    fn what_is_bounded_for_each_process_can_only_be_lowered() {
        for (now, next, good) in [
            (Some(10), Some(5), true),
            (Some(10), Some(10), true),
            (None, Some(5), true),
            (Some(5), Some(10), false),
            (Some(5), None, false),
        ] {
            assert_eq!(check(&processes(now), &processes(next), false).is_ok(), good, "{now:?} -> {next:?}");
        }
        let timed = Limits { time: Some(Duration::from_secs(1)), ..Limits::default() };
        assert!(check(&timed, &Limits::default(), false).is_ok());
        assert!(check(&Limits::default(), &timed, false).is_ok());
    }

    #[test]
    fn processes_that_a_group_counts_can_be_raised_up_to_what_each_carries() {
        for (now, next, good) in [
            (Some(5), Some(10), true),
            (Some(10), Some(5), true),
            (Some(5), Some(PROCESSES_CEILING), true),
            (Some(5), Some(PROCESSES_CEILING + 1), false),
            (Some(PROCESSES_CEILING * 2), Some(PROCESSES_CEILING + 1), true),
            (Some(5), None, false),
        ] {
            assert_eq!(check(&processes(now), &processes(next), true).is_ok(), good, "{now:?} -> {next:?}");
        }
    }
}

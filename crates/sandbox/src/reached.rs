//! Limits that were reached: written down when it happens, and told at the end to the person who ran the command.
//!
//! The kernel wakes the warden; nothing here looks around by itself. What the kernel tells nobody but the process that
//! ran into it (too many open files, too large a file, a full directory) is not told here either.

use crate::journal::Scribe;
use creel_audit::{Event, Finding, Severity};
use creel_kernel::cgroup::{Count, Group, Watch};
use creel_policy::Limits;
use serde::Serialize;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::Interest;

/// The kernel wakes before it has killed and counted, and often more than once.
const SETTLING: Duration = Duration::from_millis(50);

/// One limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The limit's name in a policy, below `process.limits`.
    pub limit: &'static str,
    /// Its value when it was reached.
    pub value: String,
    /// How often, or how many processes it was about.
    pub count: u64,
    #[serde(skip)]
    what: String,
}

impl Reached {
    /// Of the kernel's counts.
    fn counted(count: Count, times: u64, limits: &Limits) -> Self {
        let one = times == 1;
        let (limit, value, what) = match count {
            Count::Killed => {
                let what = if one { "process was killed" } else { "processes were killed" };
                ("memory", limits.memory.map(|size| size.to_string()), what)
            }
            Count::NotMade => {
                let what = if one { "process was not started" } else { "processes were not started" };
                ("processes", limits.processes.map(|most| most.to_string()), what)
            }
        };
        Self { limit, value: value.unwrap_or_default(), count: times, what: format!("{times} {what}") }
    }

    /// The wall time.
    pub fn time(limit: Duration) -> Self {
        Self { limit: "time", value: format!("{limit:?}"), count: 1, what: "the sandbox was ended".into() }
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let Self { limit, value, what, .. } = self;
        format!("the {limit} limit of {value} was reached: {what}; raise process.limits.{limit}")
    }

    /// For the record.
    pub fn finding(&self) -> Event {
        Event::Finding(Finding {
            title: format!("the {} limit was reached", self.limit),
            detail: self.line(),
            severity: Severity::Low,
            layer: "process".into(),
            program: None,
        })
    }
}

/// Looks when the kernel says that there is something to see.
pub struct Lookout {
    watches: Vec<Watch>,
    /// What was written down of each.
    told: Mutex<Vec<u64>>,
    scribe: Arc<Scribe>,
}

impl Lookout {
    /// Begins to look out for the limits of `group`; within a runtime.
    pub fn begin(group: &Group, scribe: Arc<Scribe>) -> Arc<Self> {
        let watches = group.watch();
        let told = Mutex::new(vec![0; watches.len()]);
        let lookout = Arc::new(Self { watches, told, scribe });
        for watch in &lookout.watches {
            if let Ok((fd, reads)) = watch.wakes() {
                tokio::spawn(Arc::clone(&lookout).wait(fd, reads));
            }
        }
        lookout
    }

    async fn wait(self: Arc<Self>, fd: OwnedFd, reads: bool) {
        let interest = if reads { Interest::READABLE } else { Interest::PRIORITY };
        let Ok(fd) = crate::jobs::watch_for(fd, interest) else { return };
        while let Ok(mut ready) = fd.ready(interest).await {
            tokio::time::sleep(SETTLING).await;
            if reads {
                let _ = rustix::io::read(&fd, &mut [0; 8]);
            }
            ready.clear_ready();
            self.look(false);
        }
    }

    /// Every limit that was reached so far. What was not written down yet is: the first time of each at once, and how
    /// often it was in all at the `end`.
    pub fn look(&self, end: bool) -> Vec<Reached> {
        let policy = self.scribe.policy();
        let limits = policy.process().limits();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (watch, told) in self.watches.iter().zip(told.iter_mut()) {
            let times = watch.so_far();
            if times == 0 {
                continue;
            }
            let reached = Reached::counted(watch.count, times, limits);
            if *told == 0 || (end && *told != times) {
                *told = times;
                let _ = self.scribe.event(&reached.finding()); // a broken record stops the next admission
            }
            all.push(reached);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_types::Size;

    #[test]
    fn a_line_says_the_limit_its_value_what_it_did_and_what_to_change() {
        let limits = Limits { memory: Some(Size(4 << 30)), processes: Some(64), ..Limits::default() };
        for (reached, want) in [
            (
                Reached::counted(Count::Killed, 3, &limits),
                "the memory limit of 4GiB was reached: 3 processes were killed; raise process.limits.memory",
            ),
            (
                Reached::counted(Count::NotMade, 1, &limits),
                "the processes limit of 64 was reached: 1 process was not started; raise process.limits.processes",
            ),
            (
                Reached::time(Duration::from_secs(2)),
                "the time limit of 2s was reached: the sandbox was ended; raise process.limits.time",
            ),
        ] {
            assert_eq!(reached.line(), want);
        }
    }
}

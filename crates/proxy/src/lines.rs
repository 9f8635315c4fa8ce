//! The lines to backends that wait for the next call.
//!
//! A line stays on the thread that opened it: its events arrive there, and a call elsewhere would wait for two cores.

use crate::answer::Home;
use crate::line::Line;
use creel_types::Generation;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::time::Instant;

/// Idle lines kept to one backend, on each thread.
const MOST: usize = 32;
/// An idle line older than this is not used again: servers close theirs, and a call must not be lost to that.
const IDLE_FOR: Duration = Duration::from_secs(15);

/// Idle lines, by thread and backend.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    idle: HashMap<ThreadId, HashMap<String, Vec<Idle>>>,
    /// Whether somebody closes them when they have waited too long.
    swept: bool,
}

struct Idle {
    line: Line,
    since: Instant,
    generation: Generation,
}

/// Where a line goes when its call is over.
pub(crate) struct Berth {
    pub(crate) lines: Arc<Lines>,
    pub(crate) backend: String,
    pub(crate) generation: Generation,
}

impl Lines {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free line that was opened under this policy.
    pub(crate) fn take(&self, backend: &str, generation: Generation) -> Option<Line> {
        let mut kept = self.kept();
        let idle = kept.idle.get_mut(&thread::current().id())?.get_mut(backend)?;
        // The last one waited shortest. What is not fit is closed here.
        while let Some(mut last) = idle.pop() {
            if last.generation == generation && last.since.elapsed() < IDLE_FOR && last.line.is_free() {
                return Some(last.line);
            }
        }
        None
    }

    /// Closes lines that have waited too long or that the other end has closed, and says whether any is left.
    fn sweep(&self) -> bool {
        let mut kept = self.kept();
        kept.idle.retain(|_, backends| {
            backends.retain(|_, idle| {
                idle.retain_mut(|idle| idle.since.elapsed() < IDLE_FOR && idle.line.is_free());
                !idle.is_empty()
            });
            !backends.is_empty()
        });
        kept.swept = !kept.idle.is_empty();
        kept.swept
    }
}

impl Home for Berth {
    fn take_back(&self, mut line: Line) {
        if !line.is_free() {
            return;
        }
        let idle = Idle { line, since: Instant::now(), generation: self.generation };
        let mut kept = self.lines.kept();
        let backends = kept.idle.entry(thread::current().id()).or_default();
        match backends.get_mut(&self.backend) {
            Some(others) if others.len() < MOST => others.push(idle),
            Some(_) => {}
            None => {
                backends.insert(self.backend.clone(), vec![idle]);
            }
        }
        if !std::mem::replace(&mut kept.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.lines)));
        }
    }
}

/// Sweeps until no line is left, so that a sandbox that makes no calls has nothing to do.
async fn sweep(lines: Weak<Lines>) {
    loop {
        tokio::time::sleep(IDLE_FOR).await;
        if !lines.upgrade().is_some_and(|lines| lines.sweep()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    /// A place for lines with one idle line in it, and that line's other end.
    async fn one() -> (Arc<Lines>, DuplexStream) {
        let (ours, theirs) = duplex(64);
        let lines = Arc::<Lines>::default();
        let line = Line::agree(ours).await.unwrap();
        let generation = Generation::FIRST;
        Berth { lines: Arc::clone(&lines), backend: "b".into(), generation }.take_back(line);
        (lines, theirs)
    }

    #[tokio::test]
    async fn a_line_is_taken_for_the_backend_and_the_policy_that_it_was_opened_for() {
        let (lines, _theirs) = one().await;
        assert!(lines.take("other", Generation::FIRST).is_none());
        assert!(lines.take("b", Generation::FIRST).is_some());
        assert!(lines.take("b", Generation::FIRST).is_none(), "it was taken");
        let (lines, _theirs) = one().await;
        assert!(lines.take("b", Generation::FIRST.next()).is_none());
    }

    #[tokio::test]
    async fn a_line_that_the_other_end_has_closed_is_not_taken() {
        let (lines, theirs) = one().await;
        drop(theirs);
        assert!(lines.take("b", Generation::FIRST).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_nobody_calls_on_is_closed() {
        let (lines, mut theirs) = one().await;
        let closed = tokio::time::timeout(2 * IDLE_FOR, theirs.read(&mut [0])).await;
        assert!(matches!(closed, Ok(Ok(0))), "{closed:?}");
        let kept = lines.kept();
        assert!(kept.idle.is_empty() && !kept.swept);
    }
}

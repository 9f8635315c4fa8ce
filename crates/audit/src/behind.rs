//! The thread that writes what waits.
//!
//! While a sandbox does much, the lines that only close something ride with the next line that opens something, and
//! cost no system call of their own. This thread sees to it that the last of them are in the file a few milliseconds
//! later all the same. It sleeps without a timer while nothing waits.

use crate::event::Event;
use crate::record::{Record, RecordError};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// The longest that a line waits, but for the scheduler.
const WAIT: Duration = Duration::from_millis(5);

/// A record whose closing events need not be waited for.
#[derive(Debug)]
pub struct Behind {
    shared: Arc<Shared>,
    /// None where no thread could be had: then nothing waits. Started when it is first needed, by the thread that
    /// needs it, so that it is confined as that one is.
    thread: OnceLock<Option<Thread>>,
}

#[derive(Debug)]
struct Shared {
    record: Arc<Record>,
    /// The thread will look again without being woken.
    awake: AtomicBool,
    ended: AtomicBool,
}

impl Behind {
    /// Of this record. Nothing is started yet.
    pub fn new(record: Arc<Record>) -> Self {
        let (awake, ended) = (AtomicBool::new(true), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { record, awake, ended }), thread: OnceLock::new() }
    }

    /// The record itself.
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// Appends an event that only says how something ended, to be written within milliseconds.
    pub fn append(&self, event: &Event) -> Result<(), RecordError> {
        if !self.shared.record.append_soon(event)? {
            return Ok(());
        }
        match self.thread.get_or_init(|| start(&self.shared)) {
            Some(_) if self.shared.awake.swap(true, SeqCst) => Ok(()),
            Some(thread) => {
                thread.unpark();
                Ok(())
            }
            None => self.shared.record.write_waiting().map(drop),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        if let Some(Some(thread)) = self.thread.get() {
            thread.unpark();
        }
    }
}

fn start(shared: &Arc<Shared>) -> Option<Thread> {
    let shared = Arc::clone(shared);
    let spawned = thread::Builder::new().name("record-behind".into()).spawn(move || shared.run());
    spawned.ok().map(|handle| handle.thread().clone())
}

impl Shared {
    fn run(&self) {
        while !self.ended.load(SeqCst) {
            thread::park_timeout(WAIT);
            // A write that fails breaks the record, which whoever wants to be admitted next is told.
            if self.record.write_waiting().unwrap_or(false) {
                continue;
            }
            // Who appends after this wakes the thread; who appended before it is found by the second look.
            self.awake.store(false, SeqCst);
            if self.record.write_waiting().unwrap_or(false) {
                self.awake.store(true, SeqCst);
            } else if !self.ended.load(SeqCst) {
                thread::park();
            }
        }
        let _ = self.record.write_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Finding, Severity};
    use crate::record::About;
    use creel_types::SandboxId;
    use std::time::Instant;

    fn finding() -> Event {
        Event::Finding(Finding {
            title: "x".to_owned(),
            detail: "y".to_owned(),
            severity: Severity::Low,
            layer: "record".to_owned(),
            program: None,
        })
    }

    #[test]
    fn what_waits_is_written_though_nothing_follows_also_after_the_thread_slept() {
        let dir = tempfile::tempdir().unwrap();
        let id = SandboxId::from_random([1; 16]);
        let about = About { name: "claude".parse().unwrap(), id, version: "0.1.0".to_owned() };
        let behind = Behind::new(Arc::new(Record::create(dir.path(), about).unwrap()));
        for lines in 2..8 {
            behind.append(&finding()).unwrap();
            let since = Instant::now();
            while crate::verify(behind.record().path()).unwrap().lines < lines {
                assert!(since.elapsed() < Duration::from_secs(20), "line {lines} was not written");
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(WAIT * u32::try_from(lines).unwrap());
        }
    }
}

//! What init is told, and what it reports, for everybody who has a command running inside.

use crate::witness::Ordered;
use creel_jail::link::{Exit, Job, Link, MAIN, NotRun, Order, Report, Spawn};
use creel_kernel::SysError;
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Notes that init was told to run this command.
pub fn order(ordered: &Ordered, command: &[std::ffi::OsString]) {
    const MOST: usize = 256;
    let mut ordered = ordered.lock().unwrap_or_else(PoisonError::into_inner);
    if ordered.len() == MOST {
        ordered.pop_front();
    }
    ordered.push_back(command.to_vec());
}

/// What is said to the one who started a job.
#[derive(Debug)]
pub enum News {
    /// Its terminal's master.
    Terminal(OwnedFd),
    /// It runs, with this process id inside.
    Running(u32),
    /// It never ran.
    NotRun(NotRun),
    /// It ended.
    Ended(Exit),
}

/// The link to init, and who waits for which job.
pub struct Jobs {
    link: AsyncFd<Link>,
    next: AtomicU64,
    waiting: Mutex<HashMap<Job, mpsc::UnboundedSender<News>>>,
    ordered: Ordered,
}

/// Watches a descriptor for readiness.
///
/// The constructor is deprecated for types whose descriptor may change under it; the types that are watched here own
/// one descriptor from beginning to end, and its successor is `unsafe`, which this crate has none of.
#[allow(deprecated)]
pub fn watch<T: std::os::fd::AsRawFd>(fd: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(fd)
}

/// The same, for one kind of readiness.
#[allow(deprecated)]
pub fn watch_for<T: std::os::fd::AsRawFd>(fd: T, interest: tokio::io::Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, interest)
}

impl Jobs {
    /// Over this link; inside a runtime.
    pub fn new(link: Link, ordered: Ordered) -> io::Result<Self> {
        Ok(Self { link: watch(link)?, next: AtomicU64::new(MAIN.0 + 1), waiting: Mutex::default(), ordered })
    }

    /// Tells init something.
    pub fn say(&self, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
        self.link.get_ref().send(order, fds)
    }

    /// Lets init hear that nobody is here any more.
    pub fn hang_up(&self) {
        // Whoever is gone need not hear it.
        let _ = rustix::net::shutdown(self.link.get_ref(), rustix::net::Shutdown::Both);
    }

    /// Starts a further command; its news come through the receiver.
    pub fn spawn(
        &self,
        make: impl FnOnce(Job) -> Spawn,
        fds: &[OwnedFd],
    ) -> Result<(Job, mpsc::UnboundedReceiver<News>), SysError> {
        let job = Job(self.next.fetch_add(1, Ordering::Relaxed));
        let (send, receive) = mpsc::unbounded_channel();
        self.waiting().insert(job, send);
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let spawn = make(job);
        order(&self.ordered, &spawn.command);
        if let Err(error) = self.say(&Order::Spawn(spawn), &fds) {
            self.waiting().remove(&job);
            return Err(error);
        }
        Ok((job, receive))
    }

    /// The next report about the plan's own command; reports about other jobs go to those who started them. `None`
    /// when init is gone.
    pub async fn next(&self) -> Option<Report> {
        loop {
            let mut ready = self.link.readable().await.ok()?;
            match self.link.get_ref().recv() {
                Ok(None) => ready.clear_ready(),
                Ok(Some((report, fds))) => {
                    if let Some(own) = self.sort(report, fds) {
                        return Some(own);
                    }
                }
                Err(error) if error.errno == Errno::INTR => {}
                Err(_) => return None,
            }
        }
    }

    fn sort(&self, report: Report, mut fds: Vec<OwnedFd>) -> Option<Report> {
        let (job, news) = match &report {
            Report::Terminal { job } => match fds.pop() {
                Some(master) => (*job, News::Terminal(master)),
                None => return None,
            },
            Report::Running { job, pid } => (*job, News::Running(*pid)),
            Report::NotRun { job, why } => (*job, News::NotRun(why.clone())),
            Report::Exited { job, exit } => (*job, News::Ended(*exit)),
        };
        if job == MAIN {
            return Some(report);
        }
        let mut waiting = self.waiting();
        let over = matches!(news, News::NotRun(_) | News::Ended(_));
        if let Some(send) = waiting.get(&job) {
            let _ = send.send(news);
        }
        if over {
            waiting.remove(&job);
        }
        None
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Job, mpsc::UnboundedSender<News>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The threads that connections live on.
//!
//! A sandbox that does little needs one thread, and memory for no more. When several connections live at once, further
//! threads are started, each with a runtime of its own; a connection stays on the thread it was given to, so that its
//! parts never wait for another core. A work-stealing runtime was rejected: it starts all of its threads at once, in
//! every sandbox, and moves a connection's tasks between cores.

use crate::exit::Exit;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// So many connections stay together on one thread before another thread is started.
const FEW: usize = 2;

/// What a connection that was taken in is served by, and between whom it is.
pub(crate) struct Arrival {
    pub exit: Arc<Exit>,
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// A connection on its way from one thread to another: it belongs to no runtime meanwhile.
struct Moving {
    arrival: Arrival,
    stream: std::net::TcpStream,
    part: Part,
}

/// Connections that live on one thread.
#[derive(Debug, Clone, Default)]
struct Load(Arc<AtomicUsize>);

/// One connection's part of a [`Load`].
struct Part(Load);

/// A thread that was started for connections. It ends when its inbox is dropped, with the exit.
#[derive(Debug)]
struct Worker {
    load: Load,
    inbox: mpsc::UnboundedSender<Moving>,
}

/// All threads that serve one sandbox's connections.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Beside the one that accepts.
    most: usize,
    own: Load,
    started: Mutex<Vec<Worker>>,
}

impl Load {
    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn part(&self) -> Part {
        self.0.fetch_add(1, Ordering::Relaxed);
        Part(self.clone())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// At most `threads` threads, of which one is there already.
    pub(crate) fn new(threads: usize) -> Self {
        Self { most: threads.saturating_sub(1), own: Load::default(), started: Mutex::default() }
    }

    /// Has a connection served: on this thread while there are few, else where there are fewest.
    pub(crate) fn serve(&self, arrival: Arrival, stream: TcpStream) {
        let Some((inbox, part)) = self.elsewhere() else {
            tokio::spawn(live(arrival, stream, self.own.part()));
            return;
        };
        // What fails here is a connection that broke already, or a thread that ends: nothing is left to be served.
        if let Ok(stream) = stream.into_std() {
            let _ = inbox.send(Moving { arrival, stream, part });
        }
    }

    /// Another thread, the one with the fewest connections, or a new one where all have several; none when this one is
    /// the best place.
    fn elsewhere(&self) -> Option<(mpsc::UnboundedSender<Moving>, Part)> {
        if self.own.now() < FEW {
            return None;
        }
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let all_busy = started.iter().all(|worker| worker.load.now() >= FEW);
        if all_busy && started.len() < self.most {
            // A thread that cannot be had is done without: the connection is served where others are.
            let number = started.len() + 1;
            started.extend(Worker::start(number));
        }
        let worker = started.iter().min_by_key(|worker| worker.load.now())?;
        (worker.load.now() <= self.own.now()).then(|| (worker.inbox.clone(), worker.load.part()))
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (inbox, mut arrivals) = mpsc::unbounded_channel::<Moving>();
        thread::Builder::new().name(format!("exit-{}", number)).spawn(move || {
            runtime.block_on(async {
                while let Some(Moving { arrival, stream, part }) = arrivals.recv().await {
                    // What cannot be registered for lack of memory is closed, as an accept that fails would be.
                    let Ok(stream) = TcpStream::from_std(stream) else { continue };
                    tokio::spawn(live(arrival, stream, part));
                }
            });
        })?;
        Ok(Self { load: Load::default(), inbox })
    }
}

async fn live(Arrival { exit, source, destination }: Arrival, stream: TcpStream, part: Part) {
    exit.connection(stream, source, destination).await;
    drop(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each of `count` connections at once is served: how many on the first thread, and how many on each other.
    fn check(threads: usize, count: usize, on_first: usize, on_others: &[usize]) {
        let workers = Workers::new(threads);
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(match workers.elsewhere() {
                Some((_, part)) => part,
                None => workers.own.part(),
            });
        }
        let started = workers.started.lock().unwrap();
        let loads: Vec<usize> = started.iter().map(|worker| worker.load.now()).collect();
        assert_eq!((workers.own.now(), loads.as_slice()), (on_first, on_others), "{count} on {threads}");
        drop(parts);
        assert!(workers.own.now() == 0 && started.iter().all(|worker| worker.load.now() == 0));
    }

    #[test]
    fn threads_are_started_only_when_there_are_several_connections_for_them() {
        check(1, 9, 9, &[]);
        check(4, 1, 1, &[]);
        check(4, FEW, FEW, &[]);
        check(4, FEW + 1, FEW, &[1]);
        check(4, 2 * FEW, FEW, &[FEW]);
        check(4, 2 * FEW + 1, FEW, &[FEW, 1]);
        check(3, 30, 10, &[10, 10]);
    }
}

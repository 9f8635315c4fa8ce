//! Files that appear while a sandbox runs: what a pattern of `hide:` takes, and what the policy names but was missing.
//!
//! The kernel tells of every new name in a watched directory (`inotify(7)`), whoever made it. A thread follows, because
//! looking through a large directory blocks. It decides nothing: it says which names came, and the change judges them.
//! A policy that has nothing to wait for costs nothing: there is no thread and no watch.

mod tree;

use creel_policy::{Access, Filesystem, HidePattern};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tree::Tree;

/// How often everything is looked through where the kernel cannot tell of it.
const LOOK: Duration = Duration::from_secs(2);
/// How many sightings wait to be judged; the kernel keeps further ones.
const WAITING: usize = 16;

/// What the thread has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Sighting {
    /// These exist, by the host's names.
    Paths(Vec<PathBuf>),
    /// New names may go unseen for a while.
    Blind(String),
}

/// What is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    patterns: Vec<HidePattern>,
    roots: Vec<PathBuf>,
    names: Vec<PathBuf>,
}

impl Wanted {
    /// What this policy waits for. `missing` says whether a path of it that may be missing is.
    pub fn of(filesystem: &Filesystem, missing: &dyn Fn(&Path) -> bool) -> Self {
        let shown = || filesystem.grants().iter().filter(|grant| grant.access != Access::Hide);
        let mut roots: Vec<PathBuf> = Vec::new();
        for pattern in filesystem.hidden() {
            let base = pattern.base();
            roots.extend(shown().filter(|g| g.path.starts_with(base)).map(|g| g.path.clone()));
            // A base that is missing may come: then what it would stand in is watched.
            let within = shown().filter(|g| base.starts_with(&g.path));
            roots.extend(within.map(|g| if base.is_dir() { base } else { &g.path }.to_owned()));
        }
        roots.sort();
        roots.dedup_by(|later, first| later.starts_with(&*first));
        let hidden = |path: &Path| shown().any(|grant| path.starts_with(&grant.path));
        let names = filesystem.grants().iter().filter(|grant| match grant.access {
            // What is there may be replaced from outside, which takes the mask away.
            Access::Hide => hidden(&grant.path),
            _ => grant.optional && missing(&grant.path),
        });
        let names = names.map(|grant| grant.path.clone()).collect();
        Self { patterns: filesystem.hidden().to_vec(), roots, names }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.names.is_empty()
    }

    fn takes(&self, path: &Path) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

/// Where sightings come from and go to.
pub fn channel() -> (mpsc::Sender<Sighting>, mpsc::Receiver<Sighting>) {
    mpsc::channel(WAITING)
}

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Its end tells the thread.
    _end: UnixStream,
}

impl Watch {
    /// Watches for what is wanted, and says at once what of it is there.
    pub fn start(wanted: Wanted, to: mpsc::Sender<Sighting>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let notes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || follow(&wanted, &notes, &theirs, &to))?;
        Ok(Self { _end: ours })
    }
}

/// Until the other end goes, or nobody listens.
fn follow(wanted: &Wanted, notes: &OwnedFd, end: &UnixStream, to: &mpsc::Sender<Sighting>) {
    let mut tree = Tree::new(wanted, notes);
    let (mut look, mut blind) = (true, false);
    loop {
        let mut seen = if look { tree.look() } else { Vec::new() };
        let looked = Instant::now();
        look = tree.read(&mut seen);
        seen.sort();
        seen.dedup();
        if !seen.is_empty() && to.blocking_send(Sighting::Paths(seen)).is_err() {
            return;
        }
        if let Some(why) = tree.blind().filter(|_| !blind) {
            blind = true;
            if to.blocking_send(Sighting::Blind(why)).is_err() {
                return;
            }
        }
        if look {
            continue;
        }
        let patience = blind.then(|| LOOK.saturating_sub(looked.elapsed()));
        match wait(notes, end, patience) {
            Woken::News => {}
            Woken::Time => look = true,
            Woken::End => return,
        }
    }
}

enum Woken {
    News,
    Time,
    End,
}

fn wait(notes: &OwnedFd, end: &UnixStream, patience: Option<Duration>) -> Woken {
    let mut fds = [PollFd::new(notes, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    match poll(&mut fds, patience.as_ref()) {
        Ok(0) => Woken::Time,
        Ok(_) if !fds[1].revents().is_empty() => Woken::End,
        Ok(_) | Err(rustix::io::Errno::INTR) => Woken::News,
        Err(_) => Woken::End,
    }
}

#[cfg(test)]
mod tests;

//! The watched directories, and what the kernel tells of them.
//!
//! A watch stays with its directory when that is renamed, so the path that is kept for it may be an old one. That does
//! no harm: a directory that comes is looked through under its new name, and what is said under an old name is judged
//! by whether it is there.

use super::Wanted;
use rustix::fs::inotify::{self, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many directories one sandbox watches: they count against all that the user's programs may watch.
const MOST: usize = 100_000;
/// How many entries are looked at in one go.
const MOST_ENTRIES: usize = 1_000_000;

/// How often a name is looked for again when directories above it come meanwhile.
const ATTEMPTS: usize = 16;

/// See the module.
pub struct Tree<'a> {
    wanted: &'a Wanted,
    notes: &'a OwnedFd,
    watched: HashMap<i32, PathBuf>,
    blind: Option<String>,
}

impl<'a> Tree<'a> {
    /// Nothing watched yet.
    pub fn new(wanted: &'a Wanted, notes: &'a OwnedFd) -> Self {
        Self { wanted, notes, watched: HashMap::new(), blind: None }
    }

    /// Why the kernel will not tell of everything.
    pub fn blind(&self) -> Option<String> {
        self.blind.clone()
    }

    /// Watches everything and says what is there.
    pub fn look(&mut self) -> Vec<PathBuf> {
        let mut seen = Vec::new();
        for root in &self.wanted.roots {
            self.watch(root, WatchFlags::empty());
            self.enter(root, &mut seen);
        }
        for name in &self.wanted.names {
            self.await_name(name, &mut seen);
        }
        seen
    }

    /// What the kernel told since; true when it lost count and everything must be looked at again.
    pub fn read(&mut self, seen: &mut Vec<PathBuf>) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(self.notes, &mut buffer);
        let mut lost = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return lost,
            };
            lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let directory = event.events().contains(ReadFlags::ISDIR);
            if event.events().contains(ReadFlags::IGNORED) {
                // Its directory is gone; a name that was awaited there is awaited above.
                self.watched.remove(&event.wd());
                self.await_names(None, seen);
                continue;
            }
            let Some(name) = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) else {
                continue;
            };
            let Some(path) = self.watched.get(&event.wd()).map(|dir| dir.join(name)) else { continue };
            if self.wanted.takes(&path) {
                seen.push(path.clone());
            } else if directory && self.wanted.roots.iter().any(|root| path.starts_with(root)) {
                self.enter(&path, seen);
            }
            self.await_names(Some(&path), seen);
        }
    }

    /// Watches `top` and all beneath it before it looks inside, so that nothing comes unseen in between; not through
    /// links, not into what is taken.
    fn enter(&mut self, top: &Path, seen: &mut Vec<PathBuf>) {
        let mut left = MOST_ENTRIES;
        let mut next = vec![top.to_owned()];
        while let Some(dir) = next.pop() {
            self.watch(&dir, WatchFlags::DONT_FOLLOW);
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                if left == 0 {
                    self.blind = Some(format!("{} has more than {MOST_ENTRIES} entries", top.display()));
                    return;
                }
                left -= 1;
                let path = entry.path();
                if self.wanted.takes(&path) {
                    seen.push(path);
                } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    next.push(path);
                }
            }
        }
    }

    fn await_names(&mut self, of: Option<&Path>, seen: &mut Vec<PathBuf>) {
        for name in &self.wanted.names {
            if of.is_none_or(|path| name.starts_with(path)) {
                self.await_name(name, seen);
            }
        }
    }

    /// Watches the directory that holds the name, or the nearest above that there is, and says whether it is there.
    /// From above to below: what is made in between is either told of or found.
    fn await_name(&mut self, name: &Path, seen: &mut Vec<PathBuf>) {
        let parents: Vec<&Path> = name.ancestors().skip(1).collect();
        for _ in 0..ATTEMPTS {
            let there = parents.iter().take_while(|dir| !dir.is_dir()).count();
            // The one above the nearest, too: the nearest itself may be replaced.
            for dir in parents.iter().take(there + 2).rev() {
                self.watch(dir, WatchFlags::empty());
            }
            if name.symlink_metadata().is_ok() {
                return seen.push(name.to_owned());
            }
            if !parents.iter().take(there).any(|dir| dir.is_dir()) {
                return;
            }
        }
    }

    fn watch(&mut self, dir: &Path, links: WatchFlags) {
        let flags =
            links | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR | WatchFlags::EXCL_UNLINK;
        if self.watched.len() >= MOST {
            self.blind = Some(format!("there are more than {MOST} directories to watch"));
            return;
        }
        match inotify::add_watch(self.notes, dir, flags) {
            Ok(wd) => drop(self.watched.insert(wd, dir.to_owned())),
            Err(Errno::NOSPC) => {
                self.blind = Some("fs.inotify.max_user_watches is used up".to_owned());
            }
            // It is gone, or no directory any more, or cannot be looked into.
            Err(_) => {}
        }
    }
}

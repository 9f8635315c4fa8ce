//! Files of a running sandbox, changed from outside.
//!
//! A short-lived process of our own enters the sandbox's user and mount namespaces as their owner and makes the
//! mounts; a process with threads cannot. It is this same program under the name `internal-mounts`, and gets its
//! orders and the namespaces through a socket that stands in for its standard input.

mod helper;
pub(crate) mod holders;
pub(crate) mod masks;

pub use helper::role;

use crate::message::{self, Inbox};
use creel_api::plan::What;
use creel_jail::Spaces;
use helper::{Reply, Request, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a change is tried again after those who stood in its way were ended.
const ATTEMPTS: usize = 3;

/// One change of the file tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Something appears.
    Add {
        /// Where, inside.
        at: PathBuf,
        /// What.
        what: Shown,
    },
    /// Something is taken away, with everything beneath it.
    Remove {
        /// Where, inside.
        at: PathBuf,
        /// What goes with it, a parent before its children, so that it can be put back.
        lost: Vec<(PathBuf, Shown)>,
        /// Whether it stood on an empty directory that was made for it in the sandbox's own files, which then goes
        /// too: what is written there later would be lost without a word.
        point: bool,
        /// Whether nothing may still be in use there: not where what appears instead allows as much.
        idle: bool,
    },
    /// What has a name that is hidden is covered, if it is there.
    Mask {
        /// Where, inside.
        at: PathBuf,
    },
    /// What is there becomes writable or read-only.
    Access {
        /// Where, inside.
        at: PathBuf,
        /// Writable?
        write: bool,
    },
}

/// What appears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// The host's file or directory, read-only.
    Read(PathBuf),
    /// The same, writable.
    Write(PathBuf),
    /// A view of its own. It cannot be put into a sandbox that runs.
    Review,
    /// Nothing to see.
    Hidden,
    /// An empty writable directory.
    Scratch,
}

impl From<&What> for Shown {
    fn from(what: &What) -> Self {
        match what {
            What::Read(source) => Self::Read(source.clone()),
            What::Write(source) => Self::Write(source.clone()),
            What::Review { .. } => Self::Review,
            What::Hidden => Self::Hidden,
            What::Scratch => Self::Scratch,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { at, what: Shown::Read(_) } => write!(f, "grant {} for reading", at.display()),
            Self::Add { at, what: Shown::Write(_) } => write!(f, "grant {} for writing", at.display()),
            Self::Add { at, what: Shown::Review } => write!(f, "review {}", at.display()),
            Self::Add { at, what: Shown::Hidden } => write!(f, "hide {}", at.display()),
            Self::Add { at, what: Shown::Scratch } => write!(f, "empty directory {}", at.display()),
            Self::Mask { at } => write!(f, "hide {}", at.display()),
            Self::Remove { at, .. } => write!(f, "take {} away", at.display()),
            Self::Access { at, write: true } => write!(f, "make {} writable", at.display()),
            Self::Access { at, write: false } => write!(f, "make {} read-only", at.display()),
        }
    }
}

/// Why the files are as they were.
#[derive(Debug)]
pub struct Trouble {
    /// In one sentence.
    pub why: String,
    /// Who stands in the way, a line each.
    pub details: Vec<String>,
}

impl Trouble {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), details: Vec::new() }
    }

    fn broken(error: &io::Error) -> Self {
        Self::new(format!("the helper that changes mounts failed: {error}"))
    }
}

/// The sandbox's namespaces, as its owner holds them.
pub struct Mounts {
    /// The root's own tmpfs, writable; and user, mount and pid namespaces. Nothing where the sandbox has none: then
    /// nothing can be changed.
    pub inside: Option<(OwnedFd, Spaces)>,
    /// Process id of init.
    pub init: u32,
    /// Whether a helper broke off, so that what it did is neither done nor undone.
    pub torn: AtomicBool,
}

/// What one attempt came to.
enum Attempt {
    Done,
    /// These processes stood in the way and were ended: try again.
    Cleared(Vec<String>),
    /// Something that nobody can see stands in the way, a descriptor in flight: take it away all the same.
    Unseen,
}

impl Mounts {
    /// Takes all steps or none; a line for each, and for each process that was ended for it. Blocks.
    pub fn apply(&self, steps: &[Step], force: bool) -> Result<Vec<String>, Trouble> {
        let mut ended = Vec::new();
        let mut request = Request { steps: steps.to_vec(), lazy: false };
        for _ in 0..ATTEMPTS {
            match self.attempt(&request, force, &mut ended)? {
                Attempt::Unseen => request.lazy = true,
                Attempt::Done => return Ok(steps.iter().map(ToString::to_string).chain(ended).collect()),
                Attempt::Cleared(lines) => ended.extend(lines),
            }
        }
        Err(Trouble { why: "processes stand in the way as fast as they are ended".into(), details: ended })
    }

    fn attempt(&self, request: &Request, force: bool, ended: &mut Vec<String>) -> Result<Attempt, Trouble> {
        let mut helper = self.helper(request).map_err(|e| Trouble::broken(&e))?;
        match self.heard(helper.reply())? {
            Reply::Failed(why) => Err(Trouble::new(why)),
            Reply::Busy { at, mount } => {
                let narrowed =
                    request.steps.iter().any(|s| matches!(s, Step::Access { at: a, .. } if *a == at));
                let (left, why) = if narrowed {
                    (holders::writers(self.init, mount), format!("{} has open writers", at.display()))
                } else {
                    (holders::all(self.init, &[mount]), format!("{} is in use", at.display()))
                };
                if left.is_empty() && force && !narrowed {
                    return Ok(Attempt::Unseen);
                }
                self.clear(&left, force, why).map(Attempt::Cleared)
            }
            Reply::Done { removed } if removed.is_empty() => Ok(Attempt::Done),
            Reply::Done { removed } => {
                let left = holders::all(self.init, &removed);
                if left.is_empty() || force {
                    self.heard(helper.judge(Verdict::Keep))?;
                    if !left.is_empty() {
                        ended.extend(self.clear(&left, true, String::new())?);
                    }
                    return Ok(Attempt::Done);
                }
                self.heard(helper.judge(Verdict::Undo))?;
                Err(Trouble {
                    why: "what is to be taken away is in use".into(),
                    details: holders::lines(&left),
                })
            }
        }
    }

    /// Whether a change broke off half-way.
    pub fn is_torn(&self) -> bool {
        self.torn.load(Ordering::SeqCst)
    }

    /// What a helper said; one that says nothing may have done anything.
    fn heard<T>(&self, said: Result<T, Trouble>) -> Result<T, Trouble> {
        self.torn.fetch_or(said.is_err(), Ordering::SeqCst);
        said
    }

    /// Ends the holders, or says that they stand in the way.
    fn clear(&self, left: &[holders::Holder], force: bool, why: String) -> Result<Vec<String>, Trouble> {
        if !force {
            let unseen = vec!["nobody that can be seen: a descriptor in flight between processes".to_owned()];
            let details = if left.is_empty() { unseen } else { holders::lines(left) };
            return Err(Trouble { why, details });
        }
        if left.is_empty() {
            return Err(Trouble::new(format!("{why}, and they cannot be found")));
        }
        let lines = holders::lines(left);
        if let Some((_, spaces)) = &self.inside {
            holders::end(left, spaces.pid.as_fd());
        }
        Ok(lines.into_iter().map(|line| format!("ended {line}")).collect())
    }

    fn helper(&self, request: &Request) -> io::Result<Helper> {
        let Some((scaffold, spaces)) = &self.inside else { return Err(io::ErrorKind::Unsupported.into()) };
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg("internal-mounts")
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let helper = Helper { child: Some(child), stream: ours, inbox: Inbox::default() };
        let fds = [spaces.user.as_fd(), spaces.mount.as_fd(), scaffold.as_fd()];
        message::send(&helper.stream, request, &fds)?;
        Ok(helper)
    }
}

/// A running helper; it ends when this is dropped.
struct Helper {
    child: Option<Child>,
    stream: UnixStream,
    inbox: Inbox,
}

impl Helper {
    fn reply(&mut self) -> Result<Reply, Trouble> {
        match self.inbox.wait(&self.stream) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Trouble::new("the helper that changes mounts ended without an answer")),
            Err(error) => Err(Trouble::broken(&error)),
        }
    }

    fn judge(&mut self, verdict: Verdict) -> Result<(), Trouble> {
        message::send(&self.stream, &verdict, &[]).map_err(|e| Trouble::broken(&e))?;
        match self.reply()? {
            Reply::Failed(why) => Err(Trouble::new(why)),
            _ => Ok(()),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        // It has let go of everything before its last word; that the kernel puts its memory and its namespaces away,
        // which takes longer than the change, nobody need wait for.
        if let Some(mut child) = self.child.take() {
            let reap = move || drop(child.wait());
            let _ = std::thread::Builder::new().name("reaper".into()).spawn(reap);
        }
    }
}

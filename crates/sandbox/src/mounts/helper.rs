//! The short-lived process that makes the mounts: one thread, no runtime, nothing but this.

use super::{Shown, Step};
use crate::message::{self, Inbox};
use creel_kernel::SysError;
use creel_kernel::live::{Access, Door, Inside, LiveError, Outside, Parcel, Placed};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What is to be done; the namespaces come beside it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// In this order.
    pub steps: Vec<Step>,
    /// Whether what is in use is taken away all the same; its holders keep what they have open.
    pub lazy: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Everything was done. While there is somebody to look for, a [`Verdict`] is waited for.
    Done {
        /// Mounts that were taken away although somebody may use them still, by the kernel's number.
        removed: Vec<u64>,
    },
    /// Nothing was done, because somebody has files open for writing there.
    Busy {
        /// Where, inside.
        at: PathBuf,
        /// The mount, by the kernel's number.
        mount: u64,
    },
    /// Nothing was done.
    Failed(String),
}

/// Whether what was done stays.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It is taken back.
    Undo,
}

/// The role `internal-mounts`: serves the socket that is standard input.
pub fn role() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(_) => crate::EXIT_OWN_FAILURE,
    }
}

fn serve() -> std::io::Result<()> {
    let stream = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    let mut inbox = Inbox::default();
    let Some(request) = inbox.wait::<Request>(&stream)? else { return Ok(()) };
    let fds = std::mem::take(&mut inbox.fds);
    let mut work = match enter(&fds, &request) {
        Ok(work) => work,
        Err(error) => return message::send(&stream, &Reply::Failed(error.to_string()), &[]),
    };
    let reply = work.all(&request.steps);
    let Reply::Done { removed } = &reply else {
        work.undo();
        work.let_go();
        return message::send(&stream, &reply, &[]);
    };
    if !removed.is_empty() {
        message::send(&stream, &reply, &[])?;
        // A warden that is gone undoes nothing: its sandbox is ending.
        let verdict = inbox.wait::<Verdict>(&stream)?;
        if matches!(verdict, Some(Verdict::Undo)) {
            work.undo();
        }
    }
    work.let_go();
    message::send(&stream, &Reply::Done { removed: Vec::new() }, &[])
}

/// What takes a step back.
enum Back {
    Revoke(Placed),
    Restore(Losses),
    Access(PathBuf, Access),
}

/// Something that can be attached.
enum Held {
    Parcel(Parcel),
    Hidden,
}

/// What goes with a place, a parent before its children.
type Losses = Vec<(PathBuf, Held)>;

struct Work<'a> {
    inside: Inside<'a>,
    /// For each `Add` in order what it shows, and for each `Remove` what it loses.
    adds: VecDeque<Held>,
    losses: VecDeque<Losses>,
    back: Vec<Back>,
    removed: Vec<u64>,
    lazy: bool,
}

/// Takes everything that is needed from the host's view, then goes inside.
fn enter<'a>(fds: &'a [OwnedFd], request: &Request) -> Result<Work<'a>, SysError> {
    let [user, mount, scaffold] = fds else {
        return Err(SysError::new("recvmsg", "three namespaces", Errno::INVAL));
    };
    let outside =
        Outside::enter(Door { user: user.as_fd(), mount: mount.as_fd(), scaffold: scaffold.as_fd() })?;
    let (mut adds, mut losses) = (VecDeque::new(), VecDeque::new());
    for step in &request.steps {
        match step {
            Step::Add { what, .. } => adds.push_back(hold(&outside, what)?),
            Step::Remove { lost, .. } => {
                let held = lost.iter().map(|(at, what)| Ok((at.clone(), hold(&outside, what)?)));
                losses.push_back(held.collect::<Result<Vec<_>, SysError>>()?);
            }
            Step::Access { .. } | Step::Mask { .. } => {}
        }
    }
    Ok(Work {
        inside: outside.go_inside()?,
        adds,
        losses,
        back: Vec::new(),
        removed: Vec::new(),
        lazy: request.lazy,
    })
}

fn hold(outside: &Outside<'_>, what: &Shown) -> Result<Held, SysError> {
    match what {
        Shown::Read(source) => outside.take(source, Access::Read).map(Held::Parcel),
        Shown::Write(source) => outside.take(source, Access::Write).map(Held::Parcel),
        Shown::Hidden => Ok(Held::Hidden),
        Shown::Scratch => Err(never("an empty directory in a running sandbox")),
        Shown::Review => Err(never("a workspace under review in a running sandbox")),
    }
}

fn never(what: &str) -> SysError {
    SysError::new("mount", what, Errno::OPNOTSUPP)
}

impl Work<'_> {
    fn all(&mut self, steps: &[Step]) -> Reply {
        for step in steps {
            match self.one(step) {
                Ok(()) => {}
                Err(LiveError::Busy { .. }) => return self.busy(step),
                Err(error) => return Reply::Failed(format!("cannot {step}: {error}")),
            }
        }
        Reply::Done { removed: self.removed.clone() }
    }

    fn busy(&self, step: &Step) -> Reply {
        let (Step::Access { at, .. } | Step::Add { at, .. } | Step::Remove { at, .. } | Step::Mask { at }) =
            step;
        match self.inside.mount_id(at) {
            Ok(mount) => Reply::Busy { at: at.clone(), mount },
            Err(error) => Reply::Failed(format!("cannot {step}: {error}")),
        }
    }

    fn one(&mut self, step: &Step) -> Result<(), LiveError> {
        match step {
            Step::Add { at, .. } => {
                if let Some(held) = self.adds.pop_front() {
                    let placed = self.attach(at, held)?;
                    self.back.push(Back::Revoke(placed));
                }
            }
            Step::Remove { at, point, idle, .. } => {
                let lost = self.losses.pop_front().unwrap_or_default();
                let idle = *idle && !self.lazy;
                // Where it had to be idle, that it went is the kernel's word that nobody uses it.
                for (path, _) in lost.iter().filter(|(_, held)| !idle && matches!(held, Held::Parcel(_))) {
                    self.removed.push(self.inside.mount_id(path)?);
                }
                let lost = self.take_away(at, lost, idle)?;
                self.back.push(Back::Restore(lost));
                if *point {
                    // One that is not empty, or on the read-only root, may stay.
                    let _ = std::fs::remove_dir(at);
                }
            }
            Step::Mask { at } => match self.inside.hide(at) {
                Ok(placed) => self.back.push(Back::Revoke(placed)),
                // It went again, or a directory above it became a link: nothing stands there under that name.
                Err(LiveError::NoMountPoint(_)) => {}
                Err(LiveError::Sys(e)) if matches!(e.errno, Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                Err(error) => return Err(error),
            },
            Step::Access { at, write } => {
                let (to, from) =
                    if *write { (Access::Write, Access::Read) } else { (Access::Read, Access::Write) };
                self.inside.set_access(at, to)?;
                self.back.push(Back::Access(at.clone(), from));
            }
        }
        Ok(())
    }

    /// Takes away what stands at `at` and beneath it; gives it back to be restored later. Where it must be idle, the
    /// deepest goes first, and the kernel says whether anything at all still refers to it, also a descriptor in flight
    /// that nobody can see.
    fn take_away(&self, at: &Path, lost: Losses, idle: bool) -> Result<Losses, LiveError> {
        if !idle {
            return self.inside.revoke(at, false).map(|()| lost);
        }
        let (mut left, mut gone) = (lost, Vec::new());
        while let Some((path, held)) = left.pop() {
            if let Err(error) = self.inside.revoke(&path, true) {
                self.restore(gone.into_iter().rev());
                return Err(error);
            }
            gone.push((path, held));
        }
        gone.reverse();
        Ok(gone)
    }

    /// Puts back what was taken away, a parent before its children.
    fn restore(&self, lost: impl Iterator<Item = (PathBuf, Held)>) {
        lost.for_each(|(at, held)| drop(self.attach(&at, held)));
    }

    fn attach(&self, at: &Path, held: Held) -> Result<Placed, LiveError> {
        match held {
            Held::Parcel(parcel) => self.inside.grant(parcel, at),
            Held::Hidden => self.inside.hide(at),
        }
    }

    /// Holds nothing inside any more, so that the next change does not find this process in its way. It comes before
    /// the last word, because nobody waits for the end.
    fn let_go(self) {
        drop(self);
        // The root stays as long as the sandbox.
        let _ = rustix::process::chdir("/");
    }

    /// Takes back what was done, the last step first. What cannot be taken back leaves less than was granted.
    fn undo(&mut self) {
        while let Some(back) = self.back.pop() {
            match back {
                Back::Revoke(placed) => drop(self.inside.take_back(&placed)),
                Back::Access(at, access) => drop(self.inside.set_access(&at, access)),
                Back::Restore(lost) => self.restore(lost.into_iter()),
            }
        }
    }
}

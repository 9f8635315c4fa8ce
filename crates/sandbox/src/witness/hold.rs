//! Holds a program that was judged until it is sure that it is the one that was judged.
//!
//! A caller's memory and the names in the file system may change between the judgement and the kernel's own reading.
//! So the call is let go under trace: the kernel stops the new program before its first instruction, when everything
//! about it is settled and nobody else can reach it, and what stands there is compared with what was judged. What is
//! not the same is killed where it stands (see `docs/decisions/0014-programs-are-held-before-they-run.md`).
//!
//! A thread of its own: tracing belongs to one thread, and a program that is slow to load keeps nobody's connection
//! waiting.

use super::digests::{Digests, State};
use super::ground::Ground;
use super::judgement;
use super::launch::{Launch, Launched};
use crate::journal::Scribe;
use creel_audit::{Argv, Exec};
use creel_kernel::notify::{Answer, Call, Listener};
use creel_kernel::proc::Entry;
use creel_kernel::trace::{self, Stop};
use creel_types::Caller;
use rustix::fs::{OFlags, ResolveFlags, fstat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A call that was judged and not yet answered.
pub struct Judged {
    pub call: Call,
    pub launch: Launch,
    pub parents: Arc<Caller>,
    /// Whether a rule asks for digests.
    pub by_content: bool,
    /// What was written down about it.
    pub written: Exec,
}

/// Lets calls go, one after the other.
pub struct Hold(Sender<Judged>);

impl Hold {
    /// Starts the thread.
    pub fn start(listener: Arc<Listener>, scribe: Arc<Scribe>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let holder = Holder { listener, scribe, digests: Digests::default() };
        thread::Builder::new()
            .name("hold".into())
            .stack_size(256 * 1024)
            .spawn(move || holder.serve(&receiver))?;
        Ok(Self(sender))
    }

    /// Answers the call, and sees to it that nothing else comes of it than what was judged.
    pub fn release(&self, judged: Judged) -> Result<(), Errno> {
        self.0.send(judged).map_err(|_| Errno::IO)
    }
}

struct Holder {
    listener: Arc<Listener>,
    scribe: Arc<Scribe>,
    digests: Digests,
}

impl Holder {
    fn serve(mut self, calls: &Receiver<Judged>) {
        while let Ok(judged) = calls.recv() {
            if !self.listener.still_waits(&judged.call) {
                continue;
            }
            if let Err(error) = trace::seize(judged.call.thread) {
                self.write(&judged, &judged.written, &format!("it cannot be held: {error}"));
                let _ = self.listener.answer(&judged.call, Answer::Refuse(Errno::ACCESS));
                continue;
            }
            // A caller that has gone meanwhile needs no answer; then this is another's number, who is let go again.
            let _ = self.listener.answer(&judged.call, Answer::Continue);
            // It may have become the program already, under its process's number.
            let _ = trace::interrupt(judged.call.thread);
            self.follow(&judged);
        }
    }

    /// Until the thread is let go or has ended.
    fn follow(&mut self, judged: &Judged) {
        loop {
            match trace::wait() {
                Ok(Stop::Executed(process)) => match self.differs(process, judged) {
                    None => {
                        let _ = trace::release(process, 0);
                        return;
                    }
                    Some(why) => {
                        let seen = seen(process, &judged.written);
                        let _ = trace::kill(process);
                        self.write(judged, &seen, why);
                    }
                },
                Ok(Stop::Elsewhere(thread, signal)) => {
                    let _ = trace::release(thread, signal);
                    return;
                }
                Ok(Stop::Ended(_)) | Err(_) => return,
            }
        }
    }

    /// In what the program that stands ready differs from the one that was judged.
    fn differs(&mut self, process: u32, judged: &Judged) -> Option<&'static str> {
        let Ok(entry) = Entry::of(process) else { return Some("it cannot be looked at") };
        let launch = &judged.launch;
        let Some(last) = launch.last() else { return Some("nothing was judged") };
        if !self.is_file(&entry, last, judged.by_content) {
            return Some("another file was put in the place of the one that was judged");
        }
        let expected = last.command_line();
        // One byte more shows that there is nothing more.
        let compared = expected.len() + usize::from(last.whole);
        if entry.arguments(compared).ok() != Some(expected) {
            return Some("its arguments are not those that were judged");
        }
        let ground = Ground::of(process);
        let same = |script: &Launched| {
            // Of one that is named by a descriptor, the descriptor holds.
            !script.named
                || ground.as_ref().is_some_and(|ground| {
                    let found = ground.open(&script.asked, OFlags::empty(), ResolveFlags::empty());
                    found.is_ok_and(|found| {
                        fstat(&found).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == script.state.file())
                    })
                })
        };
        let scripts = &launch.files[..launch.files.len() - 1];
        (!scripts.iter().all(same))
            .then_some("another script was put in the place of the one that was judged")
    }

    /// Whether the process runs this file, with the content that was judged, where content counts. The kernel lets
    /// nobody write what is being executed.
    fn is_file(&mut self, entry: &Entry, judged: &Launched, by_content: bool) -> bool {
        let Ok(stat) = entry.executable() else { return false };
        if State::of(&stat).file() != judged.state.file() {
            return false;
        }
        !by_content || entry.open_executable().ok().and_then(|file| self.digests.of(&file)) == judged.digest
    }

    fn write(&self, judged: &Judged, seen: &Exec, why: &str) {
        let asked = judged.launch.files.first().map(|file| file.asked.display().to_string());
        let refusal = judgement::untold(why, &asked.unwrap_or_default(), &judged.parents);
        let _ = self.scribe.execution_refused(seen.clone(), &refusal, false);
    }
}

/// What is recorded of the program that stands there.
fn seen(process: u32, asked: &Exec) -> Exec {
    let mut exec = asked.clone();
    let Ok(entry) = Entry::of(process) else { return exec };
    if let Ok(path) = entry.executable_path() {
        exec.program.path = creel_audit::text_of_path(&path);
        exec.program.digest = None;
    }
    if let Ok(bytes) = entry.arguments(2048) {
        let words = bytes.split(|&b| b == 0).map(|word| OsString::from_vec(word.to_vec()));
        let mut words: Vec<_> = words.collect();
        words.pop();
        exec.argv = Argv::new(words);
    }
    exec
}

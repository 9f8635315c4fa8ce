//! The control socket: answers the sandbox's owner.

use crate::brake::{Brake, BrakeError};
use crate::change::Change;
use crate::jobs::{Jobs, News};
use crate::journal::Scribe;
use crate::message::{self, Inbox};
use crate::warden::Stop;
use crate::watch::Sighting;
use creel_api::control::{Answer, Request, Status};
use creel_api::enforced::Enforced;
use creel_api::plan::WindowSize;
use creel_audit::{Event, Finding, Severity};
use creel_jail::link::{Job, Order as Say, Spawn, Target};
use rustix::net::sockopt::socket_peercred;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};

/// Conversations at once; one more waits.
const MOST: usize = 64;
/// After a failed accept, before the next.
const BREATH: Duration = Duration::from_millis(10);
/// After so many in a row, who asks is told that there is no room.
const PATIENCE: u32 = 20;
/// How long that may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a further command starts from.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The sandbox's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What never changes of its status.
    pub status: Status,
}

/// Everything that can be asked for.
pub struct Control {
    /// Commands.
    pub jobs: Arc<Jobs>,
    /// Policy changes, one at a time.
    pub change: Change,
    /// Pause and resume.
    pub brake: Arc<Brake>,
    /// What happens is written down here.
    pub scribe: Arc<Scribe>,
    /// The end.
    pub stop: mpsc::Sender<Stop>,
    /// What was enforced at start.
    pub enforced: Enforced,
    /// Process id of init.
    pub init: u32,
    /// For further commands and `status`.
    pub seed: Seed,
}

struct Shared {
    jobs: Arc<Jobs>,
    change: Mutex<Change>,
    brake: Arc<Brake>,
    scribe: Arc<Scribe>,
    stop: mpsc::Sender<Stop>,
    seed: Seed,
}

impl Control {
    /// Answers until the sandbox ends.
    pub async fn serve(self, listener: std::os::unix::net::UnixListener) -> io::Result<()> {
        let Self { jobs, mut change, brake, scribe, stop, enforced, init, mut seed } = self;
        seed.status.enforced = enforced;
        seed.status.init = init;
        let sightings = change.sightings();
        let shared = Arc::new(Shared { jobs, change: Mutex::new(change), brake, scribe, stop, seed });
        if let Some(sightings) = sightings {
            tokio::spawn(Arc::clone(&shared).heed(sightings));
        }
        let places = Arc::new(tokio::sync::Semaphore::new(MOST));
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (mut spare, mut failures) = (keep_one(&listener), 0);
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: some may come back, and else who asks is told so.
                failures += 1;
                if failures >= PATIENCE {
                    spare.take();
                    let _ = tokio::time::timeout(FAREWELL, refuse(&listener)).await;
                    spare = keep_one(&listener);
                }
                tokio::time::sleep(BREATH).await;
                continue;
            };
            failures = 0;
            if !is_owner(&stream) {
                continue;
            }
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let _ = shared.converse(stream).await; // who asked went away
                drop(place);
            });
        }
    }
}

/// A descriptor that is there to be given up when there are no others.
fn keep_one(listener: &UnixListener) -> Option<OwnedFd> {
    listener.as_fd().try_clone_to_owned().ok()
}

/// Hears one who asks, and says that there is no room.
async fn refuse(listener: &UnixListener) -> io::Result<()> {
    let (stream, _) = listener.accept().await?;
    hear(&stream, &mut Inbox::default()).await?;
    say(&stream, &no_room(), None).await
}

fn no_room() -> Answer {
    let why = "the warden has no descriptors left, or no memory";
    Answer::Refused {
        why: why.into(),
        details: vec!["raise the limit on open files (ulimit -n), or try again".into()],
    }
}

/// Only the user who runs the sandbox, and root, are answered.
fn is_owner(stream: &UnixStream) -> bool {
    let own = rustix::process::getuid();
    socket_peercred(stream).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

impl Shared {
    /// Acts on files that appear, in turn with changes of the policy.
    async fn heed(self: Arc<Self>, mut sightings: mpsc::Receiver<Sighting>) {
        while let Some(sighting) = sightings.recv().await {
            let mut change = self.change.lock().await;
            change.heed(sighting).await;
            if change.is_torn() {
                return self.end_torn().await;
            }
        }
    }

    /// Ends a sandbox of whose files nobody can say any more what they are.
    async fn end_torn(&self) {
        let _ = self.stop.send(Stop { grace: Duration::ZERO, why: crate::change::TORN }).await;
    }

    async fn converse(&self, stream: UnixStream) -> io::Result<()> {
        let mut inbox = Inbox::default();
        let Some(request) = hear(&stream, &mut inbox).await? else { return Ok(()) };
        match request {
            Request::Status => say(&stream, &Answer::Status(Box::new(self.status().await)), None).await,
            Request::PolicyGet => say(&stream, &self.change.lock().await.now(), None).await,
            Request::PolicySet { documents, force } => {
                let (answer, torn) = {
                    let mut change = self.change.lock().await;
                    (change.set(documents, force).await, change.is_torn())
                };
                let said = say(&stream, &answer, None).await;
                if torn {
                    self.end_torn().await;
                }
                said
            }
            Request::Exec { command, env, cwd, terminal } => {
                let wanted = Wanted { command, env, cwd, terminal };
                self.exec(&stream, wanted, std::mem::take(&mut inbox.fds)).await
            }
            Request::Pause => say(&stream, &self.pause().await, None).await,
            Request::Resume => say(&stream, &self.resume(), None).await,
            Request::Stop { grace_seconds } => {
                let _ = self
                    .stop
                    .send(Stop {
                        grace: Duration::from_secs(grace_seconds.into()),
                        why: "stopped by its owner",
                    })
                    .await;
                // The end of the warden ends this conversation; that is the answer.
                std::future::pending().await
            }
        }
    }

    async fn status(&self) -> Status {
        let change = self.change.lock().await;
        Status {
            generation: change.generation().0,
            mode: change.mode().to_owned(),
            connections: change.connections(),
            paused: self.brake.holds(),
            ..self.seed.status.clone()
        }
    }

    async fn pause(&self) -> Answer {
        match self.brake.hold().await {
            Ok(means) => self.noted("paused by its owner", means),
            Err(error) => refused(&error),
        }
    }

    fn resume(&self) -> Answer {
        match self.brake.let_go() {
            Ok(()) => self.noted("resumed by its owner", "all processes go on"),
            Err(error) => refused(&error),
        }
    }

    /// Done, and in the record. A record that is full stops the sandbox from admitting by itself, and undoes nothing.
    fn noted(&self, title: &str, means: &str) -> Answer {
        let _ = self.scribe.event(&Event::Finding(Finding {
            title: title.to_owned(),
            detail: means.to_owned(),
            severity: Severity::Informational,
            layer: "process".to_owned(),
            program: None,
        }));
        Answer::Done { means: means.to_owned() }
    }

    async fn exec(&self, stream: &UnixStream, wanted: Wanted, fds: Vec<OwnedFd>) -> io::Result<()> {
        let refuse = |why: String| Answer::Refused { why, details: Vec::new() };
        if self.brake.holds() {
            return say(stream, &refuse("the sandbox is paused: resume it first".into()), None).await;
        }
        if wanted.command.is_empty() || (wanted.terminal.is_none() && fds.len() != 3) {
            return say(
                stream,
                &refuse("a command and three descriptors, or a terminal, are needed".into()),
                None,
            )
            .await;
        }
        let (job, mut news) = match self.jobs.spawn(|job| self.spawn(job, wanted), &fds) {
            Ok(started) => started,
            Err(error) => return say(stream, &refuse(format!("init cannot be told: {error}")), None).await,
        };
        drop(fds);
        let mut master = None;
        loop {
            tokio::select! {
                heard = news.recv() => match heard {
                    Some(News::Terminal(fd)) => master = Some(fd),
                    Some(News::Running(pid)) => say(stream, &Answer::Started { pid }, master.take()).await?,
                    Some(News::NotRun(why)) => {
                        say(stream, &Answer::Started { pid: 0 }, None).await?;
                        return say(stream, &Answer::Ended { code: why.status() }, None).await;
                    }
                    Some(News::Ended(exit)) => return say(stream, &Answer::Ended { code: exit.status() }, None).await,
                    None => return Ok(()),
                },
                _ = gone(stream) => {
                    self.jobs.say(&Say::Signal { to: Target::Job(job), signal: Signal::HUP.as_raw() }, &[]).ok();
                    return Ok(());
                }
            }
        }
    }

    fn spawn(&self, job: Job, wanted: Wanted) -> Spawn {
        let mut env = self.seed.env.clone();
        for (key, value) in wanted.env {
            env.retain(|(k, _)| *k != *key);
            env.push((key.into(), value.into()));
        }
        Spawn {
            job,
            command: wanted.command.into_iter().map(OsString::from).collect(),
            env,
            cwd: wanted.cwd.unwrap_or_else(|| self.seed.cwd.clone()),
            terminal: wanted.terminal.map(|(rows, cols)| WindowSize { rows, cols }),
        }
    }
}

/// Nothing was done, and why, causes included.
fn refused(error: &BrakeError) -> Answer {
    let details =
        std::iter::successors(std::error::Error::source(error), |e| e.source()).map(ToString::to_string);
    Answer::Refused { why: error.to_string(), details: details.collect() }
}

struct Wanted {
    command: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<PathBuf>,
    terminal: Option<(u16, u16)>,
}

/// The next message of the other side.
async fn hear(stream: &UnixStream, inbox: &mut Inbox) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = inbox.next()? {
            return Ok(Some(request));
        }
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || inbox.fill(stream, false).map_err(io::Error::from)) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Answers, with a descriptor beside the first byte where there is one.
async fn say(stream: &UnixStream, answer: &Answer, fd: Option<OwnedFd>) -> io::Result<()> {
    let line = message::encode(answer)?;
    let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
    let (first, mut rest) = line.split_at(1);
    loop {
        stream.writable().await?;
        match stream.try_io(Interest::WRITABLE, || {
            creel_kernel::scm::send(stream, first, &fds).map_err(|e| e.errno.into())
        }) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ready when the other side has hung up.
async fn gone(stream: &UnixStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

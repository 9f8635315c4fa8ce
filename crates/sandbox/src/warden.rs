//! The life of one sandbox, from a plan to the record's last line.
//!
//! One thread with a runtime serves the control socket and init; one more answers seccomp notifications, and two relay
//! the terminal where there is one. Everything that comes from the network is the exit's, a process of its own.

use crate::brake::Brake;
use crate::change::Change;
use crate::control::Control;
use crate::exit::{self, Away};
use crate::jobs::Jobs;
use crate::journal::Scribe;
use crate::limits::{Bounded, SharedGroup};
use crate::mounts::Mounts;
use crate::order::Voice;
use crate::prepare::Prepared;
use crate::reached::{Lookout, Reached};
use crate::relay::Relay;
use crate::survivor::Survivor;
use crate::witness::behalf::Apart;
use crate::{RunError, plan, witness};
use creel_api::plan::{Tier, What};
use creel_audit as audit;
use creel_audit::Event;
use creel_jail::Started;
use creel_jail::link::{MAIN, NotRun, Order as Say, Report, Target};
use creel_kernel::proc;
use creel_net::original::Capture;
use creel_proxy::{Limits, PolicyCell};
use creel_review::Lent;
use creel_types::Generation;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How long init may take to end everybody, where nobody else does.
const LAST: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// When the start is over, and what only it needed can go.
const SETTLED: Duration = Duration::from_secs(1);
/// The exit code when the wall time was used up, as `timeout(1)` has it.
const TIMED_OUT: i32 = 124;

/// Why a sandbox ended, and with what.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code as a shell says it.
    pub code: i32,
    /// In words.
    pub reason: String,
}

/// Asks the warden to end the sandbox.
#[derive(Debug)]
pub struct Stop {
    /// How long the command may take.
    pub grace: Duration,
    /// Why, for the record.
    pub why: &'static str,
}

/// Lives the sandbox's life; gives the command's exit code.
pub fn live(prepared: Prepared, mut started: Started, sweeper: Option<Survivor>) -> Result<i32, RunError> {
    let parted = Parted::from(&prepared, &mut started)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    let code = runtime.block_on(async { Warden::wire(prepared, started, (parted, sweeper))?.serve().await });
    // What still runs on other threads is the terminal's or the witness's, and they are over.
    runtime.shutdown_background();
    code
}

/// What is left here once the exit is a process of its own.
struct Parted {
    cell: Arc<PolicyCell>,
    away: Away,
    descriptors: usize,
    apart: Option<Apart>,
}

fn capture(prepared: &Prepared, started: &Started) -> Capture {
    match (prepared.policy.tier(), started.redirect) {
        (Tier::Confined, _) => Capture::Noted,
        (Tier::Namespaces, true) => Capture::Redirect,
        (Tier::Namespaces, false) => Capture::Transparent,
    }
}

/// What may be done in a caller's place, where the sandbox has no namespaces.
fn apart(prepared: &Prepared, started: &Started) -> Result<Option<Apart>, RunError> {
    if prepared.policy.tier() != Tier::Confined {
        return Ok(None);
    }
    let listeners = started.tcp.iter().map(creel_kernel::socket::address).collect::<Result<_, _>>();
    let (mut writable, mut granted) = (Vec::new(), Vec::new());
    for place in &started.places {
        match &place.what {
            What::Write(source) => writable.push(source.clone()),
            What::Read(source) => granted.push(source.clone()),
            _ => {}
        }
    }
    granted.extend(writable.iter().cloned());
    Ok(Some(Apart { listeners: listeners.map_err(RunError::Exit)?, writable, granted }))
}

impl Parted {
    /// Parts the exit from this process, which has one thread still.
    fn from(prepared: &Prepared, started: &mut Started) -> Result<Self, RunError> {
        let (limits, descriptors) = limits();
        let apart = apart(prepared, started)?;
        let cell = Arc::new(PolicyCell::new(Generation::FIRST, Arc::clone(&prepared.policy)));
        let scribe = Arc::new(Scribe::new(Arc::clone(&prepared.record), Arc::clone(&cell)));
        scribe.event(&Event::Start(start_event(prepared, &started.enforced))).map_err(RunError::Journal)?;
        let doors = exit::Doors {
            tcp: std::mem::take(&mut started.tcp),
            dns: std::mem::take(&mut started.dns),
            capture: capture(prepared, started),
        };
        let away = exit::part(prepared, (&cell, &scribe), doors, (&limits, descriptors))?;
        Ok(Self { cell, away, descriptors, apart })
    }
}

struct Warden {
    prepared: Prepared,
    scribe: Arc<Scribe>,
    jobs: Arc<Jobs>,
    init: AsyncFd<OwnedFd>,
    exit: AsyncFd<exit::Process>,
    relay: Option<Relay>,
    stops: mpsc::Receiver<Stop>,
    group: SharedGroup,
    brake: Arc<Brake>,
    lookout: Arc<Lookout>,
    time: watch::Receiver<Option<Duration>>,
    sweeper: Option<Survivor>,
    /// Processes below this one that are none of the sandbox's.
    own: HashSet<proc::Identity>,
}

impl Warden {
    /// Wires the parts together and starts to serve what the sandbox will ask for.
    fn wire(
        mut prepared: Prepared,
        started: Started,
        (parted, sweeper): (Parted, Option<Survivor>),
    ) -> Result<Self, RunError> {
        let Started { init, pid, enforced, notify, terminal, init_link, inside, group, .. } = started;
        let Parted { cell, away: Away { orders, events, notes, process }, descriptors, apart } = parted;
        let scribe = Arc::new(Scribe::afar(events, Arc::clone(&cell)));
        let ordered = witness::Ordered::default();
        crate::jobs::order(&ordered, &prepared.command);
        witness::start(witness::Setting {
            listener: notify,
            init: pid,
            cell: Arc::clone(&cell),
            scribe: Arc::clone(&scribe),
            notes,
            ordered: Arc::clone(&ordered),
            descriptors,
            apart,
        })
        .map_err(RunError::Runtime)?;
        let relay = terminal.map(Relay::start).transpose().map_err(RunError::Terminal)?;
        let jobs = Arc::new(Jobs::new(init_link, ordered).map_err(RunError::Runtime)?);
        let (stop, stops) = mpsc::channel(1);
        orders.begun().map_err(RunError::ExitSilent)?;
        if prepared.voice == Voice::Json {
            say_json(
                &serde_json::json!({ "started": prepared.name.as_str(), "record": prepared.record.path(), "enforced": enforced }),
            );
        }
        let mounts = Mounts { inside, init: pid, torn: AtomicBool::new(false) };
        let lookout = Lookout::begin(&group, Arc::clone(&scribe));
        let group: SharedGroup = Arc::new(Mutex::new(Some(group)));
        let (set_time, time) = watch::channel(prepared.policy.process().limits().time);
        let bounded = Bounded { init: pid, group: Arc::clone(&group), time: set_time };
        let change = Change::new(&prepared, cell, Arc::new(orders), (Arc::clone(&scribe), mounts, bounded));
        // The secrets are with the exit; what stands for them is all that is needed here.
        prepared.credentials.clear();
        let brake = Arc::new(Brake::new(pid, Arc::clone(&group), Arc::clone(&jobs)));
        let control = Control {
            jobs: Arc::clone(&jobs),
            change,
            brake: Arc::clone(&brake),
            scribe: Arc::clone(&scribe),
            stop,
            enforced,
            init: pid,
            seed: prepared.seed(),
        };
        tokio::spawn(control.serve(prepared.socket.take().ok_or(RunError::NoSocket)?));
        // Nothing of the sandbox's runs yet but init, which ends by itself.
        let own = proc::descendants(std::process::id(), usize::MAX).unwrap_or_default();
        let init = crate::jobs::watch(init).map_err(RunError::Runtime)?;
        let exit = crate::jobs::watch(process).map_err(RunError::Runtime)?;
        Ok(Self {
            prepared,
            scribe,
            jobs,
            init,
            exit,
            relay,
            stops,
            group,
            brake,
            lookout,
            time,
            sweeper,
            own,
        })
    }

    async fn serve(mut self) -> Result<i32, RunError> {
        let resumed = self.prepared.lent.as_ref().map_or(0, |lent| lent.waiting);
        if resumed > 0 && self.prepared.voice == Voice::Plain {
            say(&format!("creel: goes on with {resumed} changes that wait for review"));
        }
        self.jobs.say(&Say::Go, &[]).map_err(RunError::Init)?;
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            // Memory that stays is only wasted.
            let _ = creel_kernel::memory::settle();
        });
        let outcome = self.until_the_end().await;
        self.end();
        let reached = self.reached(&outcome);
        drop(self.relay.take());
        let waiting = self.prepared.lent.take().map(|lent| self.note_changes(lent));
        drop(self.prepared.apart.take());
        let written = self.close(&outcome);
        self.last_words(&outcome, &reached, !written, waiting);
        Ok(outcome.code)
    }

    /// The limits that were reached, all of them in the record.
    fn reached(&self, outcome: &Outcome) -> Vec<Reached> {
        let mut reached = self.lookout.look(true);
        if outcome.code == TIMED_OUT && outcome.reason.starts_with("time limit") {
            let time = Reached::time((*self.time.borrow()).unwrap_or_default());
            let _ = self.scribe.event(&time.finding()); // a broken record cannot be closed either, which is said
            reached.push(time);
        }
        reached
    }

    /// Closes the record and, while the disk works, removes what bounded the sandbox. Whether the record is whole.
    fn close(&mut self, outcome: &Outcome) -> bool {
        let exit = audit::Exit { code: Some(outcome.code), signal: None, reason: outcome.reason.clone() };
        let closing = {
            let (scribe, exit) = (Arc::clone(&self.scribe), exit.clone());
            let write = move || scribe.event(&Event::Exit(exit)).is_ok();
            std::thread::Builder::new().name("record".into()).spawn(write)
        };
        // The groups go before the process that would remove them for us.
        drop(self.group.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.sweeper.take());
        match closing {
            Ok(closing) => closing.join().unwrap_or(false),
            Err(_) => self.scribe.event(&Event::Exit(exit)).is_ok(),
        }
    }

    /// Waits for whatever ends the sandbox first.
    async fn until_the_end(&mut self) -> Outcome {
        let mut signals = Signals::listen();
        let mut time = std::pin::pin!(used_up(self.time.clone(), tokio::time::Instant::now()));
        let mut deadline = std::pin::pin!(tokio::time::sleep(Duration::from_secs(u64::from(u32::MAX))));
        let mut stopping = None;
        loop {
            tokio::select! {
                report = self.jobs.next() => match report {
                    Some(report) => if let Some(outcome) = self.heard(report) { return stopped(outcome, stopping) },
                    None => return without_init(stopping),
                },
                _ = self.init.readable() => return without_init(stopping),
                _ = self.exit.readable() => return stopped(without_exit(), stopping),
                number = signals.next() => {
                    let _ = self.jobs.say(&Say::Signal { to: Target::Job(MAIN), signal: number }, &[]);
                    let _ = self.brake.let_go();
                    if number == Signal::TERM.as_raw() {
                        deadline.as_mut().reset(tokio::time::Instant::now() + GRACE);
                    }
                }
                Some(stop) = self.stops.recv() => {
                    stopping = Some(stop.why);
                    if stop.grace.is_zero() {
                        return Outcome { code: 137, reason: stop.why.into() };
                    }
                    let _ = self.jobs.say(&Say::Signal { to: Target::All, signal: Signal::TERM.as_raw() }, &[]);
                    // Who is held still hears the polite signal, but cannot follow it.
                    let _ = self.brake.let_go();
                    deadline.as_mut().reset(tokio::time::Instant::now() + stop.grace);
                }
                () = &mut deadline => return stopped(Outcome { code: 137, reason: "killed: it did not end when asked".into() }, stopping),
                limit = &mut time => return Outcome { code: TIMED_OUT, reason: format!("time limit of {limit:?} reached") },
            }
        }
    }

    /// What init reports; an outcome when it is about the command itself.
    fn heard(&self, report: Report) -> Option<Outcome> {
        match report {
            Report::Exited { job: MAIN, exit } => {
                Some(Outcome { code: exit.status(), reason: "the command ended".into() })
            }
            Report::NotRun { job: MAIN, why } => {
                let name = self
                    .prepared
                    .command
                    .first()
                    .map(|c| c.to_string_lossy().into_owned())
                    .unwrap_or_default();
                let reason = match &why {
                    NotRun::NotFound => format!("{name}: not found in the sandbox"),
                    NotRun::NotExecutable(error) => format!("{name}: cannot be executed: {error}"),
                    NotRun::Failed(error) => format!("{name}: {error}"),
                };
                say(&format!("creel: {reason}"));
                Some(Outcome { code: why.status(), reason })
            }
            _ => None,
        }
    }

    /// Ends everything inside and waits until it is gone.
    fn end(&self) {
        let init = self.init.get_ref();
        if self.prepared.policy.tier() == Tier::Confined {
            // Without a pid namespace init has to end everybody itself, and ends when it has.
            let _ = self.brake.let_go();
            self.jobs.hang_up();
            let _ = poll(&mut [PollFd::new(init, PollFlags::IN)], Some(&LAST));
        }
        let _ = pidfd_send_signal(init, Signal::KILL);
        // A frozen process of a v1 group dies only when it is let go; with the signal pending it does nothing else.
        let _ = self.brake.let_go();
        let _ = waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED);
        if self.prepared.policy.tier() == Tier::Confined {
            self.end_strays();
        }
    }

    /// Where init itself was ended first, everybody below it has fallen to this process.
    fn end_strays(&self) {
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            let all = proc::descendants(std::process::id(), usize::MAX).unwrap_or_default();
            let living = |one: &&proc::Identity| !self.own.contains(one) && !proc::is_over(one.pid);
            let strays: Vec<_> = all.iter().filter(living).collect();
            if strays.is_empty() {
                return;
            }
            for stray in strays {
                let _ = creel_kernel::signal::kill(stray.pid.cast_signed(), Signal::KILL.as_raw());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes down what waits for review, then lets go of the view.
    fn note_changes(&self, lent: Lent) -> Result<usize, creel_review::ReviewError> {
        let changes = lent.changes()?;
        if !changes.is_empty() {
            for event in crate::acts::listed(lent.review(), "waits for review", &changes) {
                let _ = self.scribe.event(&event); // a broken record says so itself
            }
        }
        lent.end()
    }

    fn last_words(
        &self,
        outcome: &Outcome,
        reached: &[Reached],
        unwritten: bool,
        waiting: Option<Result<usize, creel_review::ReviewError>>,
    ) {
        let refused = self.scribe.refusals();
        if self.prepared.voice == Voice::Json {
            say_json(&serde_json::json!({
                "ended": self.prepared.name.as_str(), "code": outcome.code, "reason": outcome.reason,
                "refused": refused, "limits": reached, "record": self.prepared.record.path(), "record_complete": !unwritten,
                "changes": waiting.as_ref().and_then(|waiting| waiting.as_ref().ok()),
            }));
        }
        if self.prepared.voice != Voice::Json {
            reached.iter().for_each(|reached| say(&format!("creel: {}", reached.line())));
        }
        if unwritten {
            say("creel: the record could not be finished");
        }
        match waiting {
            Some(Err(error)) => say(&format!("creel: the changes cannot be read: {error}")),
            Some(Ok(count @ 1..)) if self.prepared.voice == Voice::Plain => {
                say(&wait_for_review(self.prepared.name.as_str(), count));
            }
            _ => {}
        }
        if refused > 0 && self.prepared.voice == Voice::Plain {
            let path = self.prepared.record.path().display();
            say(&format!("creel: {refused} refused; see: creel audit show {path} --refused"));
        }
    }
}

/// What a person does next.
fn wait_for_review(name: &str, count: usize) -> String {
    let what = if count == 1 { "1 change waits".to_owned() } else { format!("{count} changes wait") };
    format!(
        "creel: {what} for review; see: creel changes {name}; then: creel apply {name}, or creel discard {name}"
    )
}

/// Ends when the wall time since `start` is used up, whatever it is by then; gives the limit.
async fn used_up(mut time: watch::Receiver<Option<Duration>>, start: tokio::time::Instant) -> Duration {
    loop {
        let limit = *time.borrow_and_update();
        let end = async {
            match limit {
                Some(limit) => tokio::time::sleep_until(start + limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = end => return limit.unwrap_or_default(),
            changed = time.changed() => if changed.is_err() {
                // Nobody is left who could change it.
                match limit {
                    Some(limit) => { tokio::time::sleep_until(start + limit).await; return limit }
                    None => return std::future::pending().await,
                }
            },
        }
    }
}

/// The exit's bounds, with no more connections than this process has descriptors for; and how many the witness may
/// hold. Each connection may need its own, its upstream's and the two pipes' that splice between them; the rest is kept
/// for the control socket and the record.
fn limits() -> (Limits, usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const KEPT: u64 = 256;
    const EACH: u64 = 6;
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let witness = (descriptors / 4).min(witness::MOST_DESCRIPTORS as u64);
    let most = usize::try_from(descriptors.saturating_sub(KEPT + witness) / EACH).unwrap_or(usize::MAX);
    let usual = Limits::default();
    let witness = usize::try_from(witness).unwrap_or(witness::MOST_DESCRIPTORS);
    (Limits { connections: usual.connections.min(most.max(16)), ..usual }, witness)
}

/// Nothing is served any more, and nothing recorded.
fn without_exit() -> Outcome {
    let reason = "the sandbox's exit ended before it";
    say(&format!("creel: {reason}"));
    Outcome { code: crate::EXIT_OWN_FAILURE.into(), reason: reason.into() }
}

/// Nothing runs any more.
fn without_init(stopping: Option<&'static str>) -> Outcome {
    let reason = "the sandbox's init was killed, or failed";
    if stopping.is_none() {
        say(&format!("creel: {reason}"));
    }
    stopped(Outcome { code: 137, reason: reason.into() }, stopping)
}

fn stopped(outcome: Outcome, why: Option<&str>) -> Outcome {
    Outcome { reason: why.map_or(outcome.reason, str::to_owned), ..outcome }
}

fn start_event(prepared: &Prepared, enforced: &creel_api::enforced::Enforced) -> audit::Start {
    audit::Start {
        name: prepared.name.to_string(),
        id: prepared.id.to_string(),
        command: audit::Argv::new(&prepared.command),
        policy_digest: crate::change::digest(&prepared.documents),
        mode: crate::change::mode(&prepared.policy).to_owned(),
        plan: plan::summary(prepared.base.summary(), &prepared.places, &prepared.policy),
        layers: enforced.layers.clone(),
        promises: enforced.promises.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The signals that are passed on to the command.
struct Signals(mpsc::Receiver<i32>);

impl Signals {
    fn listen() -> Self {
        let (send, receive) = mpsc::channel(8);
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ] {
            let send = send.clone();
            let Ok(mut stream) = signal(kind) else { continue };
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if send.send(kind.as_raw_value()).await.is_err() {
                        return;
                    }
                }
            });
        }
        Self(receive)
    }

    async fn next(&mut self) -> i32 {
        match self.0.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }
}

/// The one place of this crate that speaks to the person who runs it; standard error may be gone.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn say_json(value: &serde_json::Value) {
    say(&value.to_string());
}

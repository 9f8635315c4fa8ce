//! The exit as a process of its own: everything of a sandbox's that reads what strangers wrote, and nothing else.
//!
//! The warden forks it before there is a runtime or a second thread; it serves the sandbox's connections, name
//! questions and model calls, keeps the record's end, and is confined for good (`creel_jail::exit`) before it reads a
//! byte of theirs. The warden keeps what must look into the sandbox or change it: the witness, mounts, limits, init, the
//! terminal and the control socket; it reads no byte from the network.
//!
//! Four sockets join them, made before the fork. What the witness finds out goes ahead of the connection that it is
//! about ([`notes`]); over one the warden orders changes of policy; over one go the events that it has for the record,
//! each answered when it is written; and over the last the exit asks for the one thing that it cannot do to the record
//! itself ([`mend`]). What comes back is numbers, and words to show to the operator: no decision of the warden's rests
//! on them.

pub mod afar;
pub mod caller;
mod mend;
pub mod notes;
mod serve;
mod words;

use crate::journal::Scribe;
use crate::models::Switch;
use crate::prepare::Prepared;
use crate::{RunError, models};
use afar::Conversation;
use creel_kernel::{Named, process};
use creel_net::original::Capture;
use creel_net::resolve::Resolver;
use creel_net::synthetic::Synthetic;
use creel_policy::{Links, Resolution};
use creel_proxy::{Credentials, Exit, Limits, Outward, PolicyCell};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

/// What the exit serves with, made while it is still part of the warden.
pub struct Parts {
    cell: Arc<PolicyCell>,
    scribe: Arc<Scribe>,
    exit: Arc<Exit>,
    models: Arc<Switch>,
    witness: Arc<notes::Arrivals>,
    record: Arc<creel_audit::Record>,
    ground: Ground,
}

/// What every policy of a sandbox is compiled on.
struct Ground {
    workspace: PathBuf,
    resolve: Vec<Resolution>,
    links: Links,
}

/// The sockets that it serves, and how connections are captured.
pub struct Doors {
    /// Listeners.
    pub tcp: Vec<OwnedFd>,
    /// Name questions.
    pub dns: Vec<OwnedFd>,
    /// How it is told where a connection was going.
    pub capture: Capture,
}

/// The exit's ends of the sockets.
struct Ends {
    orders: UnixStream,
    events: UnixStream,
    mend: UnixStream,
}

/// What the warden keeps of it.
pub struct Away {
    /// Orders and their answers.
    pub orders: Conversation,
    /// Events for the record.
    pub events: Arc<Conversation>,
    /// What the witness finds out.
    pub notes: notes::Sender,
    /// The process, readable when it has ended; ended and reaped when this is dropped.
    pub process: Process,
}

/// The exit's process.
pub struct Process(OwnedFd);

impl Parts {
    /// Everything that serves, but serving nothing yet.
    pub fn make(
        prepared: &Prepared,
        (cell, scribe): (&Arc<PolicyCell>, &Arc<Scribe>),
        limits: &Limits,
        witness: notes::Arrivals,
    ) -> Result<Self, RunError> {
        let (names, resolver) = (Synthetic::default(), Arc::<Resolver>::default());
        let trust = Arc::clone(&prepared.trust);
        let outward =
            Outward::new(Arc::clone(cell), Arc::clone(&trust), Arc::clone(&resolver), limits.clone());
        let models = Arc::new(Switch::new(Arc::new(outward), Arc::clone(scribe)));
        let ready = models.prepare(&prepared.policy, models::find_key(&prepared.policy)?)?;
        models.put(ready, cell.generation());
        let credentials = Arc::new(Credentials::new(prepared.credentials.clone()));
        cell.swap_with(cell.generation(), Arc::clone(&prepared.policy), credentials);
        let witness = Arc::new(witness);
        let setting = creel_proxy::Setting {
            policy: Arc::clone(cell),
            record: Arc::clone(scribe) as _,
            witness: Arc::clone(&witness) as _,
            authority: Arc::clone(&prepared.authority),
            trust,
            models: Arc::clone(&models) as _,
            limits: limits.clone(),
        };
        let ground = Ground {
            workspace: prepared.workspace.clone(),
            resolve: prepared.resolve.clone(),
            links: prepared.base.links(),
        };
        Ok(Self {
            cell: Arc::clone(cell),
            scribe: Arc::clone(scribe),
            exit: Exit::with(setting, names, resolver),
            models,
            witness,
            record: Arc::clone(&prepared.record),
            ground,
        })
    }
}

/// Parts the exit from the warden. No other thread may exist.
pub fn part(
    prepared: &Prepared,
    scribing: (&Arc<PolicyCell>, &Arc<Scribe>),
    doors: Doors,
    (limits, descriptors): (&Limits, usize),
) -> Result<Away, RunError> {
    let (sender, arrivals) = notes::pair(descriptors / 2).map_err(RunError::Exit)?;
    let parts = Parts::make(prepared, scribing, limits, arrivals)?;
    let pair = || UnixStream::pair().named("socketpair", "AF_UNIX").map_err(RunError::Exit);
    let ((orders, their_orders), (events, their_events), (mend, their_mend)) = (pair()?, pair()?, pair()?);
    let warden = std::process::id();
    let Some(pid) = process::fork().map_err(RunError::Exit)? else {
        let ends = Ends { orders: their_orders, events: their_events, mend: their_mend };
        serve::leave_into(parts, doors, ends, warden);
    };
    // The secrets are for the exit alone.
    scribing.0.swap(scribing.0.generation(), Arc::clone(&prepared.policy));
    let pid =
        Pid::from_raw(pid.cast_signed()).ok_or_else(|| RunError::ExitSilent("it has no number".into()))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).named("pidfd_open", pid.as_raw_nonzero());
    let events = Arc::new(Conversation::new(events).map_err(RunError::Runtime)?);
    mend::serve(mend, prepared.record.path().to_owned()).map_err(RunError::Runtime)?;
    Ok(Away {
        orders: Conversation::new(orders).map_err(RunError::Runtime)?,
        notes: sender.nudging(Arc::clone(&events)),
        events,
        process: Process(process.map_err(RunError::Exit)?),
    })
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED);
    }
}

//! Who does what: answers the seccomp notifications of `connect`, `execve` and `execveat`, and of `set_tid_address`,
//! which a new program calls before anything that could hide (see `environment`).
//!
//! A thread of its own, so that a caller never waits for the proxy. At `connect` it learns which program calls, pins
//! the socket's source port, sends a note of both to the exit, and lets the call go on; the proxy asks with the two
//! addresses of the connection that arrives (see `docs/decisions/0003-attribution-binds-before-connect.md`). A connection without
//! such a note has no caller and matches no `from:` rule.

mod becoming;
pub mod behalf;
mod callers;
mod code;
mod digests;
mod environment;
mod execution;
pub mod flows;
mod ground;
mod hold;
mod interpreter;
mod judgement;
mod launch;
mod lineage;
mod memory;
mod wanted;

use crate::exit::caller::About;
use crate::exit::notes::Sender;
use crate::journal::Scribe;
use becoming::Asking;
use behalf::Apart;
use callers::Callers;
use creel_audit::Exec;
use creel_kernel::notify::{self, Answer, Call, Listener};
use creel_kernel::{proc, seccomp};
use creel_net::synthetic;
use creel_policy::{Connect, Mode, Policy};
use creel_proxy::{InForce, Journal, PolicyCell, Refused, Who};
use creel_types::{Caller, Generation, Host};
use ground::Ground;
use hold::{Hold, Judged};
use launch::{Launch, Untold};
use memory::Memory;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::sockopt::socket_domain;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use wanted::{Socket, Wanted};

/// Ports where HTTP is customary: a refusal there is said in HTTP, by the proxy, and not by `connect`.
const CUSTOMARY_HTTP: [u16; 10] = [80, 443, 3000, 5000, 8000, 8008, 8080, 8443, 8888, 9000];

/// How many descriptors the witness holds when it may: half of them sockets that are about to arrive, half threads and
/// processes.
pub const MOST_DESCRIPTORS: usize = 8448;

/// What the witness needs to know.
pub struct Setting {
    /// The seccomp listener.
    pub listener: OwnedFd,
    /// Process id of the sandbox's init.
    pub init: u32,
    /// The policy in force.
    pub cell: Arc<PolicyCell>,
    /// The record.
    pub scribe: Arc<Scribe>,
    /// Where what is found out about connections goes.
    pub notes: Sender,
    /// Commands that init was told to run, in order.
    pub ordered: Ordered,
    /// How many descriptors may be held.
    pub descriptors: usize,
    /// What is done in a caller's place, where the sandbox has no namespaces.
    pub apart: Option<Apart>,
}

/// Commands that init was told to run, in order. A process that init forks has init's memory until it executes, and
/// that cannot be read from outside; so what it executes is known from here.
pub type Ordered = Arc<Mutex<VecDeque<Vec<OsString>>>>;

/// Starts to serve the listener.
pub fn start(setting: Setting) -> io::Result<()> {
    if let Some(apart) = &setting.apart {
        ground::stands_on_the_host(apart.writable.clone());
    }
    let listener = Arc::new(Listener::new(setting.listener));
    let server = Server {
        hold: Hold::start(Arc::clone(&listener), Arc::clone(&setting.scribe))?,
        listener,
        callers: Callers::new(setting.init, setting.descriptors / 4),
        notes: setting.notes,
        cell: setting.cell,
        scribe: setting.scribe,
        ordered: setting.ordered,
        asked: None,
        apart: setting.apart.map(Arc::new),
    };
    let serve = move || server.serve();
    thread::Builder::new().name("witness".into()).stack_size(256 * 1024).spawn(serve).map(drop)
}

struct Server {
    listener: Arc<Listener>,
    hold: Hold,
    callers: Callers,
    notes: Sender,
    cell: Arc<PolicyCell>,
    scribe: Arc<Scribe>,
    ordered: Ordered,
    /// Whether any rule of the policy of this number asks who calls.
    asked: Option<(Generation, bool)>,
    apart: Option<Arc<Apart>>,
}

impl Server {
    /// Until the last process of the sandbox is gone. A listener that fails answers nobody: every call that asks for
    /// it is then refused by the kernel (`ENOSYS`).
    fn serve(mut self) {
        while self.wait() {
            let Ok(next) = self.listener.next() else { return };
            let Some(call) = next else { continue };
            if let Some(answer) = self.in_its_place(&call) {
                let _ = self.listener.answer(&call, answer);
                continue;
            }
            let answer = match self.judge(&call) {
                Ok(None) => Answer::Continue,
                Ok(Some(judged)) => match self.hold.release(*judged) {
                    Ok(()) => continue,
                    Err(errno) => Answer::Refuse(errno),
                },
                Err(errno) => Answer::Refuse(errno),
            };
            match self.listener.answer(&call, answer) {
                Ok(()) => {}
                // A caller that has gone meanwhile needs no answer.
                Err(error) if error.errno == Errno::NOENT => {}
                // It would wait for good.
                Err(_) => return,
            }
        }
    }

    /// Waits for a call; false when nobody is left to call.
    fn wait(&mut self) -> bool {
        loop {
            let called = PollFd::new(&self.listener, PollFlags::IN);
            // Where the mounts cannot be watched, the listener stands there twice.
            let mounts = self.callers.mounts().unwrap_or_else(|| called.clone());
            let mut fds = [called, mounts];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return false,
                Ok(_) => {}
            }
            let [called, mounts] = fds.map(|fd| fd.revents());
            if mounts.contains(PollFlags::PRI) {
                self.callers.mounts_changed();
            }
            if !called.is_empty() {
                return called.contains(PollFlags::IN);
            }
        }
    }

    /// What came of a call that is not to be let go; nothing where the sandbox has namespaces of its own, or the call
    /// is another.
    fn in_its_place(&mut self, call: &Call) -> Option<Answer> {
        let apart = Arc::clone(self.apart.as_ref()?);
        let done = match i64::from(call.number) {
            seccomp::CONNECT => self.connect_in_its_place(&apart, call),
            seccomp::LISTEN => self.own_descriptor(call).and_then(|socket| Apart::listen(call, &socket)),
            seccomp::CHMOD | seccomp::FCHMOD | seccomp::FCHMODAT | seccomp::FCHMODAT2 => {
                apart.set_mode(call, |number| self.held(call, number))
            }
            seccomp::UTIMENSAT => apart.set_times(call, |number| self.held(call, number)),
            seccomp::SET_TID_ADDRESS | seccomp::EXECVE | seccomp::EXECVEAT => return None,
            _ => Err(Errno::NOSYS),
        };
        Some(done.map_or_else(Answer::Refuse, |()| Answer::Done(0)))
    }

    /// The first argument as a descriptor of the caller's, which still waits: else it is another's.
    fn own_descriptor(&self, call: &Call) -> Result<OwnedFd, Errno> {
        self.held(call, i32::try_from(call.args[0].cast_signed()).map_err(|_| Errno::BADF)?)
    }

    fn held(&self, call: &Call, number: i32) -> Result<OwnedFd, Errno> {
        let pidfd = notify::pidfd(call.thread).map_err(|error| error.errno)?;
        let descriptor = notify::descriptor(&pidfd.fd, number).map_err(|error| error.errno)?;
        self.listener.still_waits(call).then_some(descriptor).ok_or(Errno::SRCH)
    }

    /// Connects the caller's socket to the exit's listener, with a note of where it is meant to go.
    fn connect_in_its_place(&mut self, apart: &Apart, call: &Call) -> Result<(), Errno> {
        let address = wanted::bytes(call)?;
        let socket = self.own_descriptor(call)?;
        if socket_domain(&socket)? == AddressFamily::UNIX {
            return apart.connect_unix(call, &socket, &address);
        }
        // The host's own loopback is not the sandbox's, and no server is inside.
        let Wanted::Address(meant) = wanted::parse(&address) else { return Err(Errno::CONNREFUSED) };
        let listener = apart.listener(&socket, meant)?;
        let socket = Socket::of(socket, meant).filter(Socket::is_stream).ok_or(Errno::ACCESS)?;
        let caller = if self.wants_code(meant) {
            self.callers.searched(call.thread)
        } else {
            self.callers.of(call.thread)
        };
        if !self.listener.still_waits(call) {
            return Err(Errno::SRCH);
        }
        self.refuse_hopeless(meant, &caller)?;
        let source = socket.pin(listener)?.ok_or(Errno::ISCONN)?;
        let socket = OwnedFd::from(socket);
        self.notes.send_meant(((source, listener), meant), &caller, &socket);
        behalf::connect(&socket, &listener)
    }

    /// What is to be answered: go on, go on under hold, or an error.
    fn judge(&mut self, call: &Call) -> Result<Option<Box<Judged>>, Errno> {
        match i64::from(call.number) {
            seccomp::CONNECT => self.connect(call).map(|()| None),
            seccomp::SET_TID_ADDRESS => self.begin(call).map(|()| None),
            _ => self.execute(call),
        }
    }

    /// A program begins.
    fn begin(&mut self, call: &Call) -> Result<(), Errno> {
        let found = self.callers.begun(call.thread);
        if !self.listener.still_waits(call) {
            return Err(Errno::SRCH);
        }
        if let Some(found) = found {
            self.callers.found(found);
        }
        Ok(())
    }

    fn connect(&mut self, call: &Call) -> Result<(), Errno> {
        let wanted = wanted::read(call)?;
        let Wanted::Address(destination) = wanted else { return Ok(()) };
        let Some(socket) = self.socket(call, destination) else { return Ok(()) };
        let caller = if self.wants_code(destination) {
            self.callers.searched(call.thread)
        } else {
            self.callers.of(call.thread)
        };
        if !self.listener.still_waits(call) {
            return Err(Errno::SRCH);
        }
        if socket.is_stream() {
            self.refuse_hopeless(destination, &caller)?;
        }
        let Some(source) = socket.pin(destination)? else { return Ok(()) };
        let ends = (source, destination);
        let about = if socket.is_stream() { About::Connection } else { About::Questions };
        self.notes.send(about, ends, &caller, &socket.into());
        Ok(())
    }

    fn socket(&mut self, call: &Call, destination: SocketAddr) -> Option<Socket> {
        let number = i32::try_from(call.args[0].cast_signed()).ok()?;
        Socket::of(self.callers.descriptor(call.thread, number).ok()?, destination)
    }

    /// Whether a rule for this destination asks who calls, so that foreign code must be looked for. Which name an
    /// address stands for only the exit knows; so for a name any rule that asks is enough.
    fn wants_code(&mut self, destination: SocketAddr) -> bool {
        let now = self.cell.load();
        if !synthetic::is_synthetic(destination.ip()) {
            return now.policy.wants_caller(&Host::from_addr(destination.ip()), destination.port());
        }
        match self.asked {
            Some((generation, asked)) if generation == now.generation => asked,
            _ => {
                let asked = now.policy.wants_callers();
                self.asked = Some((now.generation, asked));
                asked
            }
        }
    }

    /// Refuses a destination that the program names by address and that no rule admits, with the errno that programs
    /// understand, unless the refusal can be said better in HTTP.
    fn refuse_hopeless(&self, destination: SocketAddr, caller: &Caller) -> Result<(), Errno> {
        if synthetic::is_synthetic(destination.ip())
            || CUSTOMARY_HTTP.contains(&destination.port())
            || destination.port() == 53
        {
            return Ok(());
        }
        let now = self.cell.load();
        let host = Host::from_addr(destination.ip());
        let ask = Connect { host: &host, port: destination.port(), caller };
        let Err(refusal) = now.policy.connect(&ask) else { return Ok(()) };
        if now.policy.mode() == Mode::Observe {
            return Ok(());
        }
        let port = destination.port();
        let who =
            Who { connection: 0, caller, source: destination, host: &host, port, generation: now.generation };
        let _ = self.scribe.refused(&Refused { who, refusal: &refusal, request: None, overlooked: false });
        Err(Errno::CONNREFUSED)
    }

    fn execute(&mut self, call: &Call) -> Result<Option<Box<Judged>>, Errno> {
        let now = Arc::clone(&self.cell.load());
        // Found out anew while the call waits, and good for as long.
        let process = proc::process_of(call.thread).map_err(|_| Errno::SRCH)?;
        let caller = if now.policy.process().exec_wants_parents() {
            self.callers.searched_process(process)
        } else {
            self.callers.of_process(process)
        };
        let ground = Ground::of(call.thread);
        let mut memory = Memory::of(call.thread);
        let read = (call, &mut memory);
        let mut event =
            execution::read(read, ground.as_ref(), &caller, self.callers.digests(), now.generation);
        let judges = now.policy.judges_exec();
        // What nobody judges is written down while the rest is looked at.
        let scribe = Arc::clone(&self.scribe);
        let waits = self.listener.still_waits(call);
        let writing = event.take_if(|_| waits && !judges).map(|event| scribe.begin_executed(event));
        let announced = self.callers.announced(&Asking { call, process, ground: ground.as_ref() });
        let ordered = event.is_none() && announced.as_ref().is_some_and(|announced| announced.ordered);
        let judges = judges && !ordered;
        let launch = judges.then(|| Launch::of((call, &mut memory), self.callers.digests()));
        let ground = ground.filter(|_| judges);
        self.callers.forget(process);
        // Else the number may be another's by now, and what was read of it that one's.
        if !self.listener.still_waits(call) {
            return Err(Errno::SRCH);
        }
        // What is not remembered would pass for a program that never executed anything.
        self.callers.note(announced.ok_or(Errno::AGAIN)?);
        if let Some(writing) = writing {
            return writing.finish().map(|()| None).map_err(|_| Errno::IO);
        }
        match (event, launch, ground) {
            (Some(event), Some(launch), Some(ground)) => {
                self.allowed(&now.policy, (call, event), (launch, &ground), caller)
            }
            // What cannot be read cannot be judged.
            (_, Some(_), _) => Err(Errno::FAULT),
            (Some(_), None, _) => Err(Errno::SRCH),
            (None, None, _) if ordered => self.carry_out(call, &now).map(|()| None),
            (None, None, _) => self.unread(call, &now).map(|()| None),
        }
    }

    /// Of a program that the user cannot read, as the agent's may be, too, nothing can be said but that it executed
    /// something. It must not pass for what the warden ordered.
    fn unread(&self, call: &Call, now: &InForce) -> Result<(), Errno> {
        let unknown = [OsString::from("(unreadable)")];
        self.scribe.executed(execution::ordered(call, &unknown, now.generation)).map_err(|_| Errno::IO)
    }

    /// What init starts cannot be looked at: it is what the warden itself ordered.
    fn carry_out(&self, call: &Call, now: &InForce) -> Result<(), Errno> {
        match self.ordered.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            Some(command) => self
                .scribe
                .executed(execution::ordered(call, &command, now.generation))
                .map_err(|_| Errno::IO),
            // Nothing was ordered, so it is not what the warden ordered.
            None if now.policy.judges_exec() => Err(Errno::ACCESS),
            None => self.unread(call, now),
        }
    }

    /// Asks the policy about what would be started, and writes down what it says.
    fn allowed(
        &self,
        policy: &Policy,
        (call, mut event): (&Call, Exec),
        (launch, ground): (Result<Launch, Untold>, &Ground),
        parents: Arc<Caller>,
    ) -> Result<Option<Box<Judged>>, Errno> {
        let asked = &event.program.path;
        let verdict = match &launch {
            Ok(launch) => judgement::judge(policy, launch, ground, &parents),
            Err(Untold::Because(why)) => Err(judgement::untold(why, asked, &parents)),
            Err(Untold::Fails(errno)) => {
                let errno = *errno;
                return self.scribe.executed(event).map_err(|_| Errno::IO).and(Err(errno));
            }
        };
        let observed = policy.mode() == Mode::Observe;
        match (verdict, launch) {
            (Ok(rule), launch) => {
                event.rule = rule.map(|rule| rule.to_string());
                self.scribe.executed(event.clone()).map_err(|_| Errno::IO)?;
                let launch = launch.ok().filter(|_| !observed);
                let by_content = policy.process().exec_wants_digests();
                let judged = |launch| Judged { call: *call, launch, parents, by_content, written: event };
                Ok(launch.map(|launch| Box::new(judged(launch))))
            }
            (Err(refusal), _) => {
                self.scribe.execution_refused(event, &refusal, observed).map_err(|_| Errno::IO)?;
                if observed { Ok(None) } else { Err(Errno::ACCESS) }
            }
        }
    }
}

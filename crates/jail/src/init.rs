//! The sandbox's process 1: it starts commands, reaps, and reports; when the warden is gone it ends, and the kernel
//! ends all others with it.
//!
//! It runs behind the same walls as the agent and has the same user id, so nothing it holds is worth taking, and
//! nothing can take it: tracing is refused by the filter, `/proc` is read-only, it is not dumpable, and the kernel
//! keeps signals from inside away from a process 1 without handlers.

use crate::command::{Command, Manner, Start, Stdio};
use crate::link::{self, Exit, Job, MAIN, NotRun, Order, Report, Spawn, Target, decode_not_run};
use crate::wire::Reader;
use creel_kernel::{Named, SysError, process, pty, signal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// After this time without events it is no longer the start.
const SOON: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A living command.
struct Running {
    job: Job,
    pid: i32,
    /// Ends empty when the program runs; carries the reason when it does not.
    pipe: Option<OwnedFd>,
}

struct Init<'a> {
    link: &'a OwnedFd,
    manner: Manner,
    /// The plan's command until the warden says go.
    first: Option<Command>,
    jobs: Vec<Running>,
    /// Whether the memory that only the start needed was given back.
    settled: bool,
}

/// Serves until the link ends.
pub(crate) fn serve(link: &OwnedFd, start: Start) {
    let Ok(children) = signal::block_all_and_watch_children() else { return };
    let (manner, first) = (start.manner, Some(start.command));
    let mut init = Init { link, manner, first, jobs: Vec::new(), settled: false };
    while init.turn(&children).is_ok() {}
    if init.manner.apart {
        end_everybody();
    }
}

/// Without a pid namespace nobody is ended with init. A signal to all reaches everybody whom this process may signal:
/// those in its Landlock domain, and a fork that is under way does not escape it. Orphans are init's to reap.
fn end_everybody() {
    let _ = signal::kill(-1, rustix::process::Signal::KILL.as_raw());
    while rustix::process::wait(WaitOptions::empty()).is_ok() {}
}

impl Init<'_> {
    /// Waits for something to happen and deals with it. An error ends the sandbox.
    fn turn(&mut self, children: &OwnedFd) -> Result<(), SysError> {
        let ready = self.wait(children)?;
        for index in (0..self.jobs.len()).rev() {
            if ready.get(index + 2) == Some(&true) {
                self.hear(index)?;
            }
        }
        if ready[1] {
            drain(children);
            self.reap()?;
        }
        if ready[0] {
            while let Some((bytes, fds)) = link::recv(self.link, false)? {
                let order = Order::decode(&bytes).ok_or_else(|| link::garbled("an order"))?;
                self.obey(order, fds)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, children: &OwnedFd) -> Result<Vec<bool>, SysError> {
        let pipes = self.jobs.iter().map(|job| job.pipe.as_ref());
        let fds: Vec<Option<&OwnedFd>> = [Some(self.link), Some(children)].into_iter().chain(pipes).collect();
        let mut polled: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, (!self.settled).then_some(&SOON)) {
            Ok(0) => {
                self.settled = true;
                // Memory that stays is only wasted.
                let _ = creel_kernel::memory::settle();
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("poll", "init's descriptors", errno)),
        }
        let mut results = polled.iter().map(|fd| !fd.revents().is_empty());
        Ok(fds.iter().map(|fd| fd.is_some() && results.next().unwrap_or(false)).collect())
    }

    fn obey(&mut self, order: Order, fds: Vec<OwnedFd>) -> Result<(), SysError> {
        match order {
            Order::Go => match self.first.take() {
                Some(command) => self.run(command, None),
                None => Ok(()),
            },
            Order::Spawn(spawn) => {
                let job = spawn.job;
                match prepare(spawn, fds) {
                    Ok((command, master)) => self.run(command, master.as_ref()),
                    Err(fault) => self.tell(&Report::NotRun { job, why: NotRun::Failed(fault) }, None),
                }
            }
            Order::Signal { to, signal: number } => {
                let whom = match to {
                    Target::All => Some(-1),
                    Target::Job(job) => self.jobs.iter().find(|j| j.job == job).map(|j| -j.pid),
                };
                // Whoever has ended meanwhile needs no signal.
                let _ = whom.map(|whom| signal::kill(whom, number));
                Ok(())
            }
        }
    }

    fn run(&mut self, command: Command, master: Option<&OwnedFd>) -> Result<(), SysError> {
        let job = command.job;
        match self.fork(command) {
            Ok(running) => {
                self.jobs.push(running);
                // The master leaves now, so that a command which never runs still ends its terminal.
                master.map_or(Ok(()), |master| self.tell(&Report::Terminal { job }, Some(master.as_fd())))
            }
            Err(fault) => self.tell(&Report::NotRun { job, why: NotRun::Failed(fault) }, None),
        }
    }

    /// The command's descriptors close here when it is dropped, so that readers outside see its end.
    fn fork(&self, command: Command) -> Result<Running, SysError> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (read, write) = rustix::pipe::pipe_with(flags).named("pipe2", "")?;
        let job = command.job;
        match process::fork()? {
            None => command.become_it(&self.manner, &write),
            Some(pid) => Ok(Running { job, pid: pid.cast_signed(), pipe: Some(read) }),
        }
    }

    /// What a job's pipe says: it ended, so the program runs; or the reason why not.
    fn hear(&mut self, index: usize) -> Result<(), SysError> {
        let Some(running) = self.jobs.get_mut(index) else { return Ok(()) };
        let Some(pipe) = running.pipe.take() else { return Ok(()) };
        let mut buffer = [0; rustix::pipe::PIPE_BUF];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut buffer)).unwrap_or(0);
        let job = running.job;
        let report = match decode_not_run(&mut Reader(&buffer[..length])) {
            _ if length == 0 => Report::Running { job, pid: running.pid.unsigned_abs() },
            Some(why) => Report::NotRun { job, why },
            None => Report::NotRun { job, why: NotRun::Failed(link::garbled("a reason")) },
        };
        self.tell(&report, None)
    }

    /// Reaps everybody; orphans are nobody's jobs.
    fn reap(&mut self) -> Result<(), SysError> {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            let Some(index) = self.jobs.iter().position(|job| job.pid == pid) else { continue };
            self.hear(index)?;
            let job = self.jobs.swap_remove(index).job;
            self.tell(&Report::Exited { job, exit: exit_of(status) }, None)?;
        }
        Ok(())
    }

    /// Reports wait in the warden's queue; a warden that does not read holds init up, and nothing else.
    fn tell(&self, report: &Report, fd: Option<BorrowedFd<'_>>) -> Result<(), SysError> {
        link::send(self.link, &report.encode(), fd.as_slice())
    }
}

fn prepare(spawn: Spawn, fds: Vec<OwnedFd>) -> Result<(Command, Option<OwnedFd>), SysError> {
    if spawn.job == MAIN {
        return Err(SysError::new("spawn", "job 0 is the plan's command", Errno::INVAL));
    }
    let Some(size) = spawn.terminal else {
        let given = <[OwnedFd; 3]>::try_from(fds)
            .map_err(|_| SysError::new("spawn", "three descriptors are needed", Errno::INVAL))?;
        return Ok((Command::new(spawn, Stdio::Given(given))?, None));
    };
    let (master, slave) = pty::open(size.rows, size.cols)?;
    Ok((Command::new(spawn, Stdio::Terminal(slave))?, Some(master)))
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// Several ends of children may be one signal; all are reaped anyway.
fn drain(children: &OwnedFd) {
    let mut buffer = [0; 1024];
    while rustix::io::read(children, &mut buffer).is_ok_and(|length| length > 0) {}
}

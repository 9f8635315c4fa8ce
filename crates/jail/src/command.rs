//! Running one command inside: what it gets, and what is said when it does not run.

use crate::link::{Job, MAIN, NotRun, Spawn, encode_not_run};
use crate::wire::Writer;
use crate::{JailError, Step};
use creel_api::plan::{Limits, Plan, Tier};
use creel_kernel::{Named, SysError, landlock, process, pty, signal};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The plan's command, ready to run, and the limits of every command.
pub(crate) struct Start {
    pub command: Command,
    pub manner: Manner,
}

/// How every command begins.
pub(crate) struct Manner {
    /// The limits that each process carries.
    pub limits: Limits,
    /// Whether each is kept from init by a Landlock domain of its own: where there is no pid namespace, nothing else
    /// keeps its signals from init.
    pub apart: bool,
}

/// A command with everything it needs.
pub(crate) struct Command {
    pub job: Job,
    argv: Vec<CString>,
    env: Vec<CString>,
    path: OsString,
    cwd: PathBuf,
    stdio: Stdio,
}

/// Where a command reads and writes.
pub(crate) enum Stdio {
    /// These three.
    Given([OwnedFd; 3]),
    /// A terminal, which becomes its controlling one.
    Terminal(OwnedFd),
}

impl Start {
    /// Checks the plan's command; the given descriptors are let go of when there is a terminal.
    pub fn new(plan: &Plan, stdio: [OwnedFd; 3], terminal: Option<OwnedFd>) -> Result<Self, JailError> {
        let stdio = match terminal {
            Some(slave) => Stdio::Terminal(slave),
            None => Stdio::Given(stdio),
        };
        let spawn = Spawn {
            job: MAIN,
            command: plan.command.clone(),
            env: plan.env.clone(),
            cwd: plan.cwd.clone(),
            terminal: plan.terminal,
        };
        let command = Command::new(spawn, stdio).map_err(JailError::step(Step::Confinement))?;
        let apart = plan.tier == Tier::Confined;
        Ok(Self { command, manner: Manner { limits: plan.limits.clone(), apart } })
    }
}

impl Command {
    /// `EINVAL` when a text holds a NUL byte or the command is empty.
    pub fn new(spawn: Spawn, stdio: Stdio) -> Result<Self, SysError> {
        if spawn.command.is_empty() {
            return Err(SysError::new("execve", "an empty command", Errno::INVAL));
        }
        let path = spawn.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let env = spawn.env.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        Ok(Self {
            job: spawn.job,
            argv: spawn.command.into_iter().map(c_string).collect::<Result<_, _>>()?,
            env: env.map(c_string).collect::<Result<_, _>>()?,
            path: path.unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin")),
            cwd: spawn.cwd,
            stdio,
        })
    }

    /// Becomes the command, in a process forked for it; on failure tells why through the pipe and ends the process.
    pub fn become_it(self, manner: &Manner, pipe: &OwnedFd) -> ! {
        let why = self.try_become(manner, pipe);
        let mut w = Writer::default();
        encode_not_run(&mut w, &why);
        // A pipe takes a message of this size whole; if init is gone there is nobody to tell.
        let _ = rustix::io::write(pipe, &w.0);
        process::exit_now(why.status())
    }

    fn try_become(&self, manner: &Manner, pipe: &OwnedFd) -> NotRun {
        if let Err(fault) = self.prepare(manner, pipe) {
            return NotRun::Failed(fault);
        }
        match self.find() {
            Ok(program) => NotRun::NotExecutable(process::exec(&program, &self.argv, &self.env)),
            Err(why) => why,
        }
    }

    fn prepare(&self, manner: &Manner, pipe: &OwnedFd) -> Result<(), SysError> {
        rustix::process::setsid().named("setsid", "")?;
        let fds = match &self.stdio {
            Stdio::Given([input, output, errors]) => [input.as_fd(), output.as_fd(), errors.as_fd()],
            Stdio::Terminal(slave) => {
                pty::control(slave)?;
                [slave.as_fd(); 3]
            }
        };
        for (fd, number) in fds.into_iter().zip(0..) {
            process::dup_to(fd, number)?;
        }
        rustix::process::chdir(&self.cwd).named("chdir", self.cwd.display())?;
        as_every_command(manner, &[pipe.as_raw_fd()])
    }

    /// The program's path. A candidate that is there and may not be executed is remembered, as shells do.
    fn find(&self) -> Result<CString, NotRun> {
        let name = OsStr::from_bytes(self.argv[0].as_bytes());
        if name.as_bytes().contains(&b'/') {
            return executable(Path::new(name));
        }
        let mut nearest = NotRun::NotFound;
        for dir in std::env::split_paths(&self.path) {
            match executable(&dir.join(name)) {
                Ok(path) => return Ok(path),
                Err(NotRun::NotFound) => {}
                Err(why) => nearest = why,
            }
        }
        Err(nearest)
    }
}

/// What a process of init's becomes before it runs a command: without init's descriptors, with the limits, and with
/// the signals of a fresh program. It stays closed to inspection until `execve` has replaced its memory, which is a
/// copy of the warden's.
pub(crate) fn as_every_command(manner: &Manner, keep: &[RawFd]) -> Result<(), SysError> {
    process::close_all_but(keep)?;
    if manner.apart && !landlock::confine_scopes()?.scoped() {
        return Err(SysError::new("landlock", "a domain of its own", Errno::OPNOTSUPP));
    }
    apply(&manner.limits)?;
    signal::reset()
}

fn executable(path: &Path) -> Result<CString, NotRun> {
    let refused = |errno| NotRun::NotExecutable(SysError::new("execve", path.display(), errno));
    match rustix::fs::stat(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(NotRun::NotFound),
        Err(errno) => return Err(refused(errno)),
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory => {
            return Err(refused(Errno::ISDIR));
        }
        Ok(_) => {}
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).map_err(refused)?;
    c_string(path.as_os_str().to_owned()).map_err(NotRun::NotExecutable)
}

fn c_string(text: OsString) -> Result<CString, SysError> {
    CString::new(text.into_vec())
        .map_err(|e| SysError::new("execve", String::from_utf8_lossy(&e.into_vec()), Errno::INVAL))
}

/// Limits that each process carries. Those of the whole sandbox are the group's.
fn apply(limits: &Limits) -> Result<(), SysError> {
    let wishes = [
        (Resource::Core, Some(0), "RLIMIT_CORE"),
        (Resource::Nofile, limits.open_files, "RLIMIT_NOFILE"),
        (Resource::Nproc, limits.processes, "RLIMIT_NPROC"),
        (Resource::Fsize, limits.file_size.map(|size| size.0), "RLIMIT_FSIZE"),
    ];
    for (resource, wish, name) in wishes {
        let Some(wish) = wish else { continue };
        // Never more than the caller itself has.
        let bound = rustix::process::getrlimit(resource).maximum.map_or(wish, |most| most.min(wish));
        let limit = Rlimit { current: Some(bound), maximum: Some(bound) };
        rustix::process::setrlimit(resource, limit).named("setrlimit", format_args!("{name} {bound}"))?;
    }
    Ok(())
}

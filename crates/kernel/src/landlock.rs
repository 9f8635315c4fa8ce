//! Landlock: the second wall behind the mount namespace. The strictest domain that the kernel knows is asked for, and
//! what it granted is told.

use crate::SysError;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The newest ABI that is asked for.
const NEWEST: ABI = ABI::V7;

/// What a rule gives beneath its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Listing directories, nothing else.
    List,
    /// Reading files and listing directories.
    Read,
    /// That, and executing.
    ReadExecute,
    /// Reading one file.
    ReadFile,
    /// Reading and executing one file.
    File,
    /// Reading and writing what exists, and `ioctl` on devices.
    Devices,
    /// Everything.
    All,
}

impl Right {
    /// Of what a directory may be given, as much as the thing at this path can have.
    fn access_to(self, path: &Path) -> BitFlags<AccessFs> {
        let all = self.access();
        if path.is_dir() { all } else { all & AccessFs::from_file(NEWEST) }
    }

    fn access(self) -> BitFlags<AccessFs> {
        use AccessFs as A;
        match self {
            Self::List => A::ReadDir.into(),
            Self::Read => A::ReadDir | A::ReadFile,
            Self::ReadExecute => A::ReadDir | A::ReadFile | A::Execute,
            Self::ReadFile => A::ReadFile.into(),
            Self::File => A::ReadFile | A::Execute,
            Self::Devices => A::ReadDir | A::ReadFile | A::WriteFile | A::Truncate | A::IoctlDev,
            Self::All => A::from_all(NEWEST),
        }
    }
}

/// What the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// The ABI in force; 6 and later also keep abstract Unix sockets and signals inside.
    pub abi: u32,
}

impl Domain {
    /// Whether signals and abstract sockets cannot leave the domain.
    pub fn scoped(self) -> bool {
        self.abi >= 6
    }
}

/// Confines this process, and all that it starts, to the rules. Needs `no_new_privs`. A kernel without Landlock is an
/// error; a rule on a path that is not there is one, too.
pub fn confine(rules: &[(PathBuf, Right)]) -> Result<Domain, SysError> {
    restrict(rules, BitFlags::EMPTY)
}

/// The same, and no TCP port can be bound (ABI 4 and later).
pub fn confine_unbound(rules: &[(PathBuf, Right)]) -> Result<Domain, SysError> {
    restrict(rules, AccessNet::BindTcp.into())
}

/// The first ABI that keeps signals and abstract sockets inside.
const SCOPED: u32 = 6;

/// Confines this process on the host's own file tree and network, where nothing else stands behind it: files by the
/// rules, no TCP port bound or connected, no signal and no abstract Unix socket across. A kernel that cannot do all of
/// it is an error.
pub fn confine_alone(rules: &[(PathBuf, Right)]) -> Result<Domain, SysError> {
    // Asked before, because what was restricted stays so.
    if abi()? < SCOPED {
        return Err(SysError::new("landlock", "ABI 6 (Linux 6.12) is needed", Errno::OPNOTSUPP));
    }
    restrict(rules, AccessNet::BindTcp | AccessNet::ConnectTcp)
}

/// The newest ABI that the running kernel has.
fn abi() -> Result<u32, SysError> {
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag the call takes no structure and answers a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    u32::try_from(answer).map_err(|_| SysError::last("landlock_create_ruleset", "its version"))
}

fn restrict(rules: &[(PathBuf, Right)], net: BitFlags<AccessNet>) -> Result<Domain, SysError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|r| if net.is_empty() { Ok(r) } else { r.handle_access(net) })
        .and_then(|r| r.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(|e| failure("landlock_create_ruleset", "everything", &e))?;
    let mut ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
    for (path, right) in rules {
        ruleset = add(ruleset, path, *right)?;
    }
    let status =
        ruleset.restrict_self().map_err(|e| failure("landlock_restrict_self", "this process", &e))?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi != ABI::Unsupported => {
            Ok(Domain { abi: effective_abi as u32 })
        }
        _ => Err(SysError::new("landlock", "the running kernel", Errno::OPNOTSUPP)),
    }
}

/// Keeps signals and abstract Unix sockets of this process, and all that it starts, inside, and leaves files alone. A
/// kernel that cannot is no error: [`Domain::scoped`] says so.
pub fn confine_scopes() -> Result<Domain, SysError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::AbstractUnixSocket | Scope::Signal)
        .and_then(Ruleset::create)
        .map_err(|e| failure("landlock_create_ruleset", "scopes", &e))?;
    let status =
        ruleset.restrict_self().map_err(|e| failure("landlock_restrict_self", "this process", &e))?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        _ => 0,
    };
    Ok(Domain { abi })
}

fn add(
    ruleset: landlock::RulesetCreated,
    path: &Path,
    right: Right,
) -> Result<landlock::RulesetCreated, SysError> {
    let fd = PathFd::new(path).map_err(|e| failure("open", path.display(), &e))?;
    ruleset
        .add_rule(PathBeneath::new(fd, right.access_to(path)))
        .map_err(|e| failure("landlock_add_rule", path.display(), &e))
}

/// The crate's errors carry the kernel's at their root, if there is one.
fn failure(
    call: &'static str,
    on: impl std::fmt::Display,
    error: &(dyn std::error::Error + 'static),
) -> SysError {
    let mut cause = Some(error);
    let mut errno = None;
    while let Some(e) = cause {
        errno = e.downcast_ref::<std::io::Error>().and_then(Errno::from_io_error).or(errno);
        cause = e.source();
    }
    match errno {
        Some(errno) => SysError::new(call, on, errno),
        None => SysError::new(call, format_args!("{on}: {error}"), Errno::INVAL),
    }
}

//! The confinement of the exit: the one process outside a sandbox that reads what strangers wrote (the agent's
//! connections, upstream servers, name servers).
//!
//! It is not in the sandbox, so nothing of the jail's helps here: it has the operator's network and the operator's user.
//! What somebody who takes its place could do is therefore taken from it once its sockets are there: every capability,
//! every file but those that name and vouch for servers, every other process, and every system call that serving
//! connections does not need. It keeps what it holds: the sandbox's connections, the key of the sandbox's authority, the
//! keys of model backends, and the end of the record. Whether all of this is so is tried once, before it serves
//! ([`broken`]).

mod calls;
mod trial;

pub use trial::{Promise, broken, promises};

use creel_kernel::landlock::{self, Domain, Right};
use creel_kernel::{Named, SysError, process, seccomp};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::{Path, PathBuf};

/// What the exit reads after its confinement: how names are resolved outside.
const NAMES: [&str; 4] =
    ["/etc/resolv.conf", "/etc/hosts", "/run/systemd/resolve", "/run/NetworkManager/resolv.conf"];

/// Where machines keep the authorities that vouch for servers, and where links among them lead.
const AUTHORITIES: [&str; 9] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
];

/// A bundle that may be a link to anywhere.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the operator says that authorities are kept.
const SAID: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Of the operator's environment, what serving needs: what [`SAID`] says, and what `~` in a policy is. Users keep keys in
/// the rest.
const KEPT: [&str; 3] = ["HOME", SAID[0], SAID[1]];

/// The most memory that the exit has. It is in no control group of the sandbox's, and what it holds is what the agent
/// makes it hold: each connection and request is bounded, and their number is, but the product would be the machine's.
/// Where it is all used the exit ends, and the sandbox with it.
const MEMORY: u64 = 2 << 30;

/// Why the exit is not confined, and must not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConfined {
    /// A wall could not be put up.
    #[error(transparent)]
    Call(#[from] SysError),
    /// All walls were put up, and one did not hold.
    #[error("the exit was confined, and one of its promises does not hold: {0}")]
    Broken(Promise),
}

/// Confines the calling process, which must have one thread, for good, and tries that it is. It keeps its descriptors.
pub fn confine() -> Result<Domain, NotConfined> {
    let domain = enclose()?;
    match broken().first() {
        None => Ok(domain),
        Some(promise) => Err(NotConfined::Broken(*promise)),
    }
}

fn enclose() -> Result<Domain, SysError> {
    limit(Resource::Core, 0, "RLIMIT_CORE")?;
    limit(Resource::Data, MEMORY, "RLIMIT_DATA")?;
    process::renounce()?;
    process::forbid_inspection()?;
    let rules = rules();
    process::forget_environment(&KEPT);
    let domain = landlock::confine_unbound(&rules)?;
    let filter = calls::program(std::process::id())
        .map_err(|_| SysError::new("seccomp", "a filter", rustix::io::Errno::INVAL))?;
    seccomp::install_alone(&filter)?;
    Ok(domain)
}

fn limit(of: Resource, to: u64, name: &'static str) -> Result<(), SysError> {
    setrlimit(of, Rlimit { current: Some(to), maximum: Some(to) }).named("setrlimit", name)
}

/// What may be read. What is not there now is not readable later.
fn rules() -> Vec<(PathBuf, Right)> {
    let said = SAID.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let fixed = NAMES.iter().chain(&AUTHORITIES).chain([&BUNDLE]).map(PathBuf::from);
    fixed.chain(said).filter_map(|path| Some((path.canonicalize().ok()?, right(&path)?))).collect()
}

fn right(path: &Path) -> Option<Right> {
    let kind = path.metadata().ok()?;
    Some(if kind.is_dir() { Right::Read } else { Right::ReadFile })
}

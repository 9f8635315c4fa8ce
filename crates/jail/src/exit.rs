//! The confinement of the exit: the one process outside a sandbox that reads what strangers wrote (the agent's
//! connections, upstream servers, name servers).
//!
//! It is not in the sandbox, so nothing of the jail's helps here: it has the operator's network and the operator's user.
//! What somebody who takes its place could do is therefore taken from it once its sockets are there: every capability,
//! every file but those that name and vouch for servers, every other process, and every system call that serving
//! connections does not need. It keeps what it holds: the sandbox's connections, the key of the sandbox's authority, the
//! keys of model backends, and the end of the record.

mod calls;

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

/// Confines the calling process, which must have one thread, for good. It keeps its descriptors.
pub fn confine() -> Result<Domain, SysError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .named("setrlimit", "RLIMIT_CORE")?;
    process::renounce()?;
    process::forbid_inspection()?;
    let domain = landlock::confine_unbound(&rules())?;
    let filter = calls::program(std::process::id())
        .map_err(|_| SysError::new("seccomp", "a filter", rustix::io::Errno::INVAL))?;
    seccomp::install_alone(&filter)?;
    Ok(domain)
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

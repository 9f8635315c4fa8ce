//! The words that every other crate speaks: names, ids, hosts, sizes, limits, digests, secrets.
//!
//! Standard library only. A constructor checks, so a value that exists is well-formed; a secret has no
//! `Display` and no `Serialize`, and one greppable way out.

mod caller;
mod digest;
mod host;
mod limits;
mod name;
mod secret;
mod size;
mod system;
mod tier;

pub use caller::{Caller, Program};
pub use digest::Digest;
pub use host::{Host, HostName, HostNameError};
pub use limits::Limits;
pub use name::{Generation, NameError, RuleId, SandboxId, SandboxName};
pub use secret::{KEY_BEGINNINGS, Secret};
pub use size::{Size, SizeError};
pub use system::SYSTEM_DIRECTORIES;
pub use tier::{Tier, Weakness};

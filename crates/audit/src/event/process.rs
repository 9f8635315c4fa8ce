//! Events about programs, and about the sandbox as a whole.

use super::Disposition;
use crate::redact::Argv;
use crate::text;
use creel_api::enforced::Layer;
use creel_api::posture::Tried;
use creel_types::{Caller, Digest};
use serde::{Deserialize, Serialize};

/// The sandbox started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The sandbox's name.
    pub name: String,
    /// The identity of this run.
    pub id: String,
    /// The command that runs in it.
    pub command: Argv,
    /// SHA-256 of the policy's text, all documents included.
    #[serde(with = "text::digest")]
    pub policy_digest: Digest,
    /// `enforce` or `observe`.
    pub mode: String,
    /// What the policy comes to, a line each: `read /usr`, `write /home/a/site`, `connect api.github.com:443`.
    pub plan: Vec<String>,
    /// What was really enforced.
    pub layers: Vec<Layer>,
    /// What was tried from inside before the command ran, with what keeps it from happening.
    #[serde(default)]
    pub promises: Vec<Tried>,
    /// Creel's version.
    pub version: String,
}

/// The sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The command's exit status, when it exited.
    pub code: Option<i32>,
    /// The signal that ended it, when one did.
    pub signal: Option<i32>,
    /// Why, in words: `command exited`, `time limit of 8h reached`, `stopped by operator`.
    pub reason: String,
}

/// A program was executed, or its execution was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The program that is now executed, with what executed it as its parents.
    pub program: Program,
    /// Its arguments.
    pub argv: Argv,
    /// Working directory, inside.
    pub cwd: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The policy that decided.
    pub generation: u64,
    /// What was decided.
    pub disposition: Disposition,
}

/// A program as the kernel knows it, and those that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Process id in the host's pid namespace.
    pub pid: u32,
    /// Path of the executable, inside. Bytes that are not UTF-8 are written `\xNN`.
    pub path: String,
    /// SHA-256 of the executable, when it was read.
    #[serde(with = "text::digest_option", default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The first executable mapping from a place that the agent can write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_code: Option<String>,
    /// What started it, nearest first, at most [`Program::MAX_PARENTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
}

/// One of the programs that started a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Process id in the host's pid namespace.
    pub pid: u32,
    /// Path of the executable, inside.
    pub path: String,
    /// SHA-256 of the executable, when it was read.
    #[serde(with = "text::digest_option", default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Program {
    /// How many parents are recorded: an agent can make the chain as long as it likes, and the line must stay short.
    pub const MAX_PARENTS: usize = 16;

    /// The program of `caller`, or nothing when the kernel could not say who called.
    pub fn of(caller: &Caller) -> Option<Self> {
        let (program, parents) = caller.chain.split_first()?;
        Some(Self {
            pid: program.pid,
            path: text::of_path(&program.path),
            digest: program.digest,
            foreign_code: program.foreign_code.as_deref().map(text::of_path),
            parents: parents.iter().take(Self::MAX_PARENTS).map(Parent::of).collect(),
        })
    }

    /// The last component of the path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Parent {
    fn of(program: &creel_types::Program) -> Self {
        Self { pid: program.pid, path: text::of_path(&program.path), digest: program.digest }
    }
}

//! What is said through a sandbox's control socket.
//!
//! One request a connection, one answer: a JSON object each, ended by a newline. Descriptors travel beside the
//! request (`SCM_RIGHTS`). The socket is abstract (`unix(7)`): it has no file that could be left behind, and it
//! does not exist in the sandbox's network namespace. Only the sandbox's owner (and root) is answered, by
//! `SO_PEERCRED`.

use crate::enforced::{Applied, Enforced};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The longest request or answer, in bytes. A policy document is at most 1 MiB.
pub const MAX_MESSAGE: usize = 4 << 20;

/// The abstract name (without the leading NUL) on which the sandbox `name` of user `uid` listens.
pub fn socket_name(uid: u32, name: &str) -> String {
    format!("creel/{uid}/{name}")
}

/// What can be asked of a running sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Who are you?
    Status,
    /// The policy in force, as documents.
    PolicyGet,
    /// Puts another policy in force, all or nothing.
    PolicySet {
        /// The documents, in order; includes already carry their text.
        documents: Vec<Document>,
        /// Ends what stands in the way (writers of a path that becomes read-only), and names it.
        force: bool,
    },
    /// Runs one more command inside; three descriptors (or none with `terminal`) come beside it.
    Exec {
        /// The command and its arguments.
        command: Vec<String>,
        /// Added to the sandbox's environment.
        env: Vec<(String, String)>,
        /// Working directory inside; the sandbox's own when absent.
        cwd: Option<PathBuf>,
        /// Ask for a terminal of this size; its master comes back beside the first answer.
        terminal: Option<(u16, u16)>,
    },
    /// Holds every process still.
    Pause,
    /// Lets them go on.
    Resume,
    /// Ends the sandbox.
    Stop {
        /// Seconds between SIGTERM and SIGKILL; 0 kills at once.
        grace_seconds: u32,
    },
}

/// A policy document with its name, as its author knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// File name shown in errors.
    pub name: String,
    /// The YAML text.
    pub text: String,
    /// Directory against which its relative paths are read.
    pub base: PathBuf,
}

/// The answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::PolicyGet`].
    Policy {
        /// Which policy is in force.
        generation: u64,
        /// The documents it was compiled from.
        documents: Vec<Document>,
    },
    /// To [`Request::PolicySet`]: all of it is in force.
    Changed {
        /// The new generation.
        generation: u64,
        /// What was done, layer by layer.
        applied: Vec<Applied>,
    },
    /// To [`Request::Pause`] and [`Request::Resume`]: done.
    Done {
        /// By which means.
        means: String,
    },
    /// The command was started; a second answer, [`Answer::Ended`], follows.
    Started {
        /// Process id in the host's pid namespace.
        pid: u32,
    },
    /// The command, or the sandbox, ended with this exit code (128 + signal when killed).
    Ended {
        /// Exit code as a shell would say it.
        code: i32,
    },
    /// Nothing was changed; why, and what stands in the way.
    Refused {
        /// In one sentence.
        why: String,
        /// Details, a line each: policy errors, holders of a path.
        details: Vec<String>,
    },
}

/// A running sandbox in short.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The warden's process id.
    pub warden: u32,
    /// Process id of the sandbox's init, in the host's pid namespace.
    pub init: u32,
    /// When it started, as RFC 3339.
    pub started: String,
    /// The command.
    pub command: Vec<String>,
    /// The workspace on the host.
    pub workspace: PathBuf,
    /// Generation of the policy in force.
    pub generation: u64,
    /// The policy's mode.
    pub mode: String,
    /// Where the record is.
    pub record: PathBuf,
    /// Open connections.
    pub connections: usize,
    /// Whether every process is held still.
    #[serde(default)]
    pub paused: bool,
    /// What was enforced at start.
    pub enforced: Enforced,
}

//! What an operator asks for: a command, a policy, and the settings of one run.

use creel_api::control::Document;
use creel_policy::Resolution;
use creel_types::SandboxName;
use std::ffi::OsString;
use std::path::PathBuf;

/// One run.
#[derive(Debug)]
pub struct Order {
    /// Policy documents in order; the built-in one when there is none.
    pub documents: Vec<Document>,
    /// The sandbox's name; made from the command's when absent.
    pub name: Option<SandboxName>,
    /// The directory that the command works in, on the host.
    pub workspace: PathBuf,
    /// Where the system directories come from, when not from the host.
    pub root: Option<creel_image::Source>,
    /// Variables for the command, over those that are made.
    pub env: Vec<(OsString, OsString)>,
    /// `--resolve`.
    pub resolve: Vec<Resolution>,
    /// `--trust`: PEM files of further upstream authorities.
    pub trust: Vec<PathBuf>,
    /// Directory for the record; below the state directory when absent.
    pub record: Option<PathBuf>,
    /// Whether the command gets a terminal of its own.
    pub terminal: bool,
    /// How much is said on standard error.
    pub voice: Voice,
    /// The command and its arguments; the root's own when empty.
    pub command: Vec<OsString>,
}

/// How much a run says on standard error beside what the command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Errors only.
    Quiet,
    /// One line at the end when something was refused.
    Plain,
    /// What was enforced and how it ended, as JSON lines.
    Json,
}

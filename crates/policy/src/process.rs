//! What processes of a sandbox may use and execute.

mod exec;

pub use exec::Execute;
pub(crate) use exec::{Entry, ExecRules};

use creel_types::Size;
use std::time::Duration;

/// The process layer.
#[derive(Debug, Default)]
pub struct Process {
    pub(crate) limits: Limits,
    pub(crate) exec: ExecRules,
}

impl Process {
    /// Resource limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The single files that rules name: what else leads to one of them is that program, too.
    pub fn exec_files(&self) -> &[String] {
        &self.exec.files
    }
}

/// Resource limits; `None` means that the policy sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads in the sandbox.
    pub processes: Option<u64>,
    /// Memory of the whole sandbox.
    pub memory: Option<Size>,
    /// CPU time per wall time, in thousandths of one CPU.
    pub millicpus: Option<u64>,
    /// Open descriptors per process.
    pub open_files: Option<u64>,
    /// Largest file.
    pub file_size: Option<Size>,
    /// What the sandbox may write to its private directories, in all.
    pub disk: Option<Size>,
    /// Wall time, after which the sandbox is ended.
    pub time: Option<Duration>,
}

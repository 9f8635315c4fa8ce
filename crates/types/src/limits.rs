//! What the processes of a sandbox may use, in the words of policies and of plans alike.

use crate::Size;
use std::time::Duration;

/// Resource limits; `None` means that the policy sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads in the sandbox.
    pub processes: Option<u64>,
    /// Memory of the whole sandbox.
    pub memory: Option<Size>,
    /// Swap of the whole sandbox, beside its memory.
    pub swap: Option<Size>,
    /// CPU time per wall time, in thousandths of one CPU.
    pub millicpus: Option<u64>,
    /// Open descriptors per process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Largest file (`RLIMIT_FSIZE`).
    pub file_size: Option<Size>,
    /// What each private directory of the sandbox may hold.
    pub disk: Option<Size>,
    /// Wall time, after which the sandbox is ended.
    pub time: Option<Duration>,
}

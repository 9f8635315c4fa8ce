//! What processes of a sandbox may use and execute.

mod exec;
mod near;

pub use exec::Execute;
pub(crate) use exec::{Entry, ExecRules};

use crate::network::Program;
pub use creel_types::Limits;

/// The process layer.
#[derive(Debug, Default)]
pub struct Process {
    pub(crate) limits: Limits,
    pub(crate) exec: ExecRules,
    pub(crate) nested: bool,
}

impl Process {
    /// Resource limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether sandboxes may be made inside: namespaces, and mounts in them.
    pub fn nested(&self) -> bool {
        self.nested
    }

    /// Whether any rule names a program by digest, so that its content counts.
    pub fn exec_wants_digests(&self) -> bool {
        let mut entries = self.exec.allow.iter().flatten().chain(&self.exec.deny);
        entries.any(|entry| matches!(entry.program, Program::Digest(_)))
    }

    /// Whether any rule asks who executes, so that foreign code must be looked for in those.
    pub fn exec_wants_parents(&self) -> bool {
        self.exec.allow.iter().flatten().chain(&self.exec.deny).any(|entry| entry.from.is_said())
    }

    /// The single files that rules name: what else leads to one of them is that program, too.
    pub fn exec_files(&self) -> &[String] {
        &self.exec.files
    }
}

//! Who acts: a program and the programs that started it.

use crate::Digest;
use std::path::PathBuf;

/// One program, as the kernel knows it (never as it calls itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Process id in the host's pid namespace at the time.
    pub pid: u32,
    /// The executable's path as seen inside the sandbox.
    pub path: PathBuf,
    /// SHA-256 of the executable, when it was (or could be) read.
    pub digest: Option<Digest>,
    /// Executable code that was mapped from a place the agent can write: the path of the first such mapping. A
    /// program with foreign code in it is not the program that a `from:` rule names.
    pub foreign_code: Option<PathBuf>,
}

/// The program that acted, then its parents, nearest first, ending at the sandbox's own init.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// Index 0 is the program itself. Empty when the kernel could not say: then no `from:` rule matches.
    pub chain: Vec<Program>,
}

impl Caller {
    /// Nobody in particular: matches no `from:` rule.
    pub const UNKNOWN: Self = Self { chain: Vec::new() };

    /// The program itself.
    pub fn program(&self) -> Option<&Program> {
        self.chain.first()
    }
}

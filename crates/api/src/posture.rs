//! What was tried from inside a sandbox before its command ran, and what the kernel answered.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One promise, after everything that would break it was tried for real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The layer that makes the promise: `filesystem`, `process`, `network`, `limits`.
    pub layer: String,
    /// What is promised: `what is hidden cannot be read`.
    pub promise: String,
    /// What keeps it: `mount namespace`, `seccomp`.
    pub mechanism: String,
    /// How many ways to break it were tried.
    pub tried: usize,
    /// How many the plan has; more than were tried where there is a bound.
    pub of: usize,
    /// What did not fail as it must. Empty when the promise holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<Breach>,
}

/// An attempt that did not fail as it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// What was attempted: `read /home/ada/.ssh`.
    pub attempt: String,
    /// What came of it: `it happened`, or the kernel's error where another one was promised.
    pub answer: String,
}

impl Tried {
    /// Whether nothing broke it.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attempt, self.answer)
    }
}

//! Names and ids that people and records use.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a sandbox: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit.
///
/// It becomes a host name, a socket name and a directory name, so it takes what all three take.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SandboxName(String);

/// Why a text is not a sandbox name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// The text that was refused.
    pub text: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a sandbox name: use 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit",
            self.text.escape_debug()
        )
    }
}

impl std::error::Error for NameError {}

impl SandboxName {
    /// The longest name, in bytes (a DNS label, RFC 1035 §2.3.4).
    pub const MAX: usize = 63;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SandboxName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let rest = |c: u8| first(c) || matches!(c, b'-' | b'_' | b'.');
        let bytes = text.as_bytes();
        match bytes {
            [head, tail @ ..]
                if bytes.len() <= Self::MAX && first(*head) && tail.iter().all(|&c| rest(c)) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NameError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of one run of one sandbox: 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SandboxId(u128);

impl SandboxId {
    /// The id made of these random bits; the caller takes them from the kernel.
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bits))
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Which policy is in force: 1 at start, one more with every change that was enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation that a sandbox starts with.
    pub const FIRST: Self = Self(1);

    /// The generation after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of the rule that decided, as the policy's author wrote it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// The id for a rule of this name.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_what_a_host_name_and_a_directory_take() {
        for good in ["a", "0", "claude", "my-agent_2.x", &"a".repeat(63)] {
            assert!(good.parse::<SandboxName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "..", "A", "a/b", "a b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<SandboxName>().is_err(), "{bad}");
        }
    }
}

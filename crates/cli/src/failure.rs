//! How the command fails: one message, what to try, and an exit code.

use std::error::Error;
use std::fmt;

/// Creel's own failure.
pub const OWN: u8 = 125;

/// A failure as the person at the terminal sees it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, with its causes.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// Exit code.
    pub code: u8,
}

impl Failure {
    /// Creel's own failure with a message that is complete in itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: OWN }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A run that did not come about, with what to try.
    pub fn of_run(error: creel_sandbox::RunError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { hint, ..Self::from(error) }
    }

    /// The same with another exit code.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            message += &format!(": {source}");
            cause = source.source();
        }
        Self::new(message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "creel: {}", self.message.trim_end())?;
        match &self.hint {
            Some(hint) => writeln!(f, "  hint: {hint}"),
            None => Ok(()),
        }
    }
}

//! The one pattern dialect and the only matchers of hosts, paths and names (law 3).
//!
//! * hosts: `*` is one label, `**` one or more labels;
//! * paths: `*` is one segment, or any run of characters within a segment; `**` is any number of segments, so
//!   `/x/**` also covers `/x`;
//! * arguments of programs: `*` is any run of characters within one, `**` any number of them;
//! * names and values: `*` is any run of characters.
//!
//! No regular expressions, no brackets, no escapes: a character is itself. Patterns are compiled once; a match
//! allocates nothing, and its time is bounded by the length of the text times the length of the pattern.

mod arguments;
mod call;
mod glob;
mod host;
mod http;
mod path;
mod repository;

pub use arguments::ArgumentPattern;
pub(crate) use call::CallPattern;
pub use glob::NamePattern;
pub(crate) use glob::Token;
pub use host::{HostPattern, WildHost};
pub(crate) use http::HttpPattern;
pub use path::PathPattern;
pub(crate) use path::SegmentShape;
pub(crate) use repository::{GitAsk, RepositoryPattern};

/// Why a text is not a pattern, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl PatternError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

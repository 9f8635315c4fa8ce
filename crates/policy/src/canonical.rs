//! The one form in which hosts, paths, methods and JSON texts are compared *and* sent (law 4).
//!
//! Whatever has two readings is refused instead of being given one: two programs that read a spelling
//! differently are how a check is passed by one thing and acted on by another. Each function is idempotent.

mod host;
mod ipv4;
mod json;
mod method;
mod path;

pub use host::host;
pub use json::{fold_case, json};
pub use method::method;
pub use path::{CanonicalPath, path};
pub(crate) use path::{encode_segment, fold_segment};

use creel_types::HostNameError;

/// Why a text has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// Nothing was given.
    #[error("empty {0}")]
    Empty(&'static str),
    /// More bytes than the limit.
    #[error("{what} of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// A character that cannot stand there.
    #[error("character {found:?} cannot be in a {what}")]
    BadChar {
        /// What was read.
        what: &'static str,
        /// The character.
        found: char,
    },
    /// Not a name of the DNS.
    #[error("not a host name: {0}")]
    Name(HostNameError),
    /// Unicode that IDNA (UTS 46) does not take, or a label that is not what its Punycode says.
    #[error("not a valid internationalised host name")]
    Idna,
    /// Numbers that no IPv4 address is written with.
    #[error("not an IPv4 address in any spelling")]
    BadIpv4,
    /// Not an IPv6 address, or one with a zone id.
    #[error("not an IPv6 address (zone ids are refused)")]
    BadIpv6,
    /// `%` without two hexadecimal digits.
    #[error("`%` without two hexadecimal digits")]
    BadPercent,
    /// An encoded byte that servers disagree about: a slash, a backslash, a control byte, an encoded `%`.
    #[error("percent-encoded {0} can be read in two ways")]
    Ambiguous(&'static str),
    /// Bytes that are not UTF-8 once decoded, overlong forms included.
    #[error("percent-encoded bytes are not valid UTF-8")]
    NotUtf8,
    /// A path that does not begin with a slash.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// `..` above the root.
    #[error("`..` leads above the root")]
    AboveRoot,
    /// A standard method in other than upper case.
    #[error("method `{0}` is written in upper case")]
    MethodCase(String),
    /// Not JSON, or JSON with more than one reading; what is wrong.
    #[error("not JSON with one reading: {0}")]
    Json(String),
}

//! Hosts, in the one form in which they are compared and sent.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A DNS name in canonical form: lower-case ASCII labels (IDNA A-labels), no trailing dot.
///
/// Converting from what people and programs write (case, Unicode, trailing dots, addresses in odd
/// spellings) is `creel_policy::canonical`'s work; this constructor accepts only the result. A clone allocates
/// nothing, so that a decision can keep the name it decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

/// Why a text is not a canonical host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNameError {
    /// Nothing, or nothing between two dots.
    EmptyLabel,
    /// A label over 63 bytes, or a name over 253 (RFC 1035 §2.3.4).
    TooLong,
    /// A byte other than `a-z 0-9 - _`.
    BadByte(u8),
    /// A label that begins or ends with a hyphen.
    EdgeHyphen,
    /// Its last label is a number, so resolvers would read it as an address (WHATWG URL, "ends in a number").
    LooksLikeAddress,
}

impl fmt::Display for HostNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyLabel => f.write_str("empty label in host name"),
            Self::TooLong => f.write_str("host name or label too long (63 bytes a label, 253 in all)"),
            Self::BadByte(b) => write!(f, "byte {:?} cannot be in a host name", char::from(*b)),
            Self::EdgeHyphen => f.write_str("a label begins or ends with a hyphen"),
            Self::LooksLikeAddress => f.write_str("the last label is a number: an address, not a name"),
        }
    }
}

impl std::error::Error for HostNameError {}

impl HostName {
    /// Checks that `text` is canonical already.
    pub fn new(text: &str) -> Result<Self, HostNameError> {
        if text.len() > 253 {
            return Err(HostNameError::TooLong);
        }
        text.split('.').try_for_each(check_label)?;
        let last = text.rsplit('.').next().unwrap_or(text);
        if last.bytes().all(|b| b.is_ascii_digit()) || is_hex_number(last) {
            return Err(HostNameError::LooksLikeAddress);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hex_number(label: &str) -> bool {
    label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn check_label(label: &str) -> Result<(), HostNameError> {
    if label.is_empty() {
        return Err(HostNameError::EmptyLabel);
    }
    if label.len() > 63 {
        return Err(HostNameError::TooLong);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostNameError::EdgeHyphen);
    }
    match label.bytes().find(|b| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
        Some(bad) => Err(HostNameError::BadByte(bad)),
        None => Ok(()),
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a program wants to go: a name, or an address that it gave itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A canonical DNS name.
    Name(HostName),
    /// An address; an IPv4-mapped IPv6 address is held as the IPv4 address it means.
    Addr(IpAddr),
}

impl Host {
    /// The address, with an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) unwrapped.
    pub fn from_addr(addr: IpAddr) -> Self {
        Self::Addr(addr.to_canonical())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Addr(IpAddr::V6(a)) => write!(f, "[{a}]"),
            Self::Addr(a) => a.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_name() {
        for good in ["example.com", "localhost", "xn--bcher-kva.example", "_dmarc.a.b", "a1"] {
            assert!(HostName::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", HostNameError::EmptyLabel),
            ("a..b", HostNameError::EmptyLabel),
            ("a.", HostNameError::EmptyLabel),
            ("A.com", HostNameError::BadByte(b'A')),
            ("a\0b", HostNameError::BadByte(0)),
            ("user@host", HostNameError::BadByte(b'@')),
            ("-a.com", HostNameError::EdgeHyphen),
            ("1.2.3.4", HostNameError::LooksLikeAddress),
            ("a.0x7f", HostNameError::LooksLikeAddress),
            ("2130706433", HostNameError::LooksLikeAddress),
        ] {
            assert_eq!(HostName::new(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_address_it_means() {
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(Host::from_addr(mapped), Host::Addr("10.0.0.1".parse().unwrap()));
    }
}

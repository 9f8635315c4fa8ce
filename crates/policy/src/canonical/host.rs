//! Hosts: case, trailing dot, IDNA, and every spelling of an address.

use super::{CanonicalError, ipv4};
use creel_types::{Host, HostName};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

const LIMIT: usize = 1024;

/// The canonical form of a host as a program wrote it: a name, an IPv4 address in any spelling that the WHATWG
/// URL standard knows (`0x7f.1`, `017700000001`, `2130706433`), or an IPv6 address with or without brackets.
///
/// # Errors
/// What carries more than a host (`user@host`, a port, a percent, a zone id), or has no single form.
pub fn host(text: &str) -> Result<Host, CanonicalError> {
    if text.is_empty() {
        return Err(CanonicalError::Empty("host"));
    }
    if text.len() > LIMIT {
        return Err(CanonicalError::TooLong { what: "host", len: text.len(), limit: LIMIT });
    }
    if !text.contains("xn--")
        && let Ok(name) = HostName::new(text)
    {
        return Ok(Host::Name(name));
    }
    if let Some(inner) = text.strip_prefix('[') {
        return ipv6(inner.strip_suffix(']').ok_or(CanonicalError::BadIpv6)?);
    }
    if text.bytes().filter(|b| *b == b':').count() > 1 {
        return ipv6(text);
    }
    name_or_ipv4(text)
}

fn ipv6(text: &str) -> Result<Host, CanonicalError> {
    text.parse::<Ipv6Addr>()
        .map(|addr| Host::from_addr(IpAddr::V6(addr)))
        .map_err(|_| CanonicalError::BadIpv6)
}

fn name_or_ipv4(text: &str) -> Result<Host, CanonicalError> {
    if let Some(found) = text.chars().find(|c| forbidden(*c)) {
        return Err(CanonicalError::BadChar { what: "host", found });
    }
    let ascii = to_ascii(text)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.contains("xn--")
        && Uts46::new()
            .to_unicode(name.as_bytes(), AsciiDenyList::URL, Hyphens::Allow)
            .0
            .chars()
            .any(unassigned)
    {
        return Err(CanonicalError::Idna);
    }
    if ipv4::ends_in_number(name) {
        let addr = ipv4::parse(name).ok_or(CanonicalError::BadIpv4)?;
        return Ok(Host::Addr(IpAddr::V4(addr)));
    }
    HostName::new(name).map(Host::Name).map_err(CanonicalError::Name)
}

/// The forbidden domain code points of the WHATWG URL standard, which end or split a host in somebody's parser.
fn forbidden(c: char) -> bool {
    c.is_ascii_control() || " #%/:<>?@[\\]^|`{}\"'*".contains(c)
}

/// Planes of Unicode without characters, or for private use. The tables behind `idna` let some of them through.
fn unassigned(c: char) -> bool {
    matches!(c, '\u{34000}'..='\u{dffff}' | '\u{f0000}'..)
}

fn to_ascii(text: &str) -> Result<Cow<'_, str>, CanonicalError> {
    Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map_err(|_| CanonicalError::Idna)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(host(text).unwrap().to_string(), canonical, "{text}");
    }

    #[test]
    fn every_spelling_of_a_host_becomes_one() {
        for (text, canonical) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("example。com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("1.2.3.4.", "1.2.3.4"),
            ("１２７.0.0.1", "127.0.0.1"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("[FE80::1]", "[fe80::1]"),
            ("::1", "[::1]"),
            ("r3---sn-x.googlevideo.com", "r3---sn-x.googlevideo.com"),
            ("_dmarc.a.b", "_dmarc.a.b"),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a.com..",
            "user@host",
            "host:80",
            "a b",
            "a\0b",
            "a%2eb",
            "[fe80::1%eth0]",
            "fe80::1%1",
            "[::1",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.08",
            "09.1.1.1",
            "xn--a",
            "xn--",
            "-a.com",
            "a-.com",
            "a/b",
            "*.a",
            "４０９６０００００００",
        ] {
            assert!(host(text).is_err(), "{text}: {:?}", host(text));
        }
    }
}

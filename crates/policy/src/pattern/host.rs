//! Hosts: names with wildcards, addresses, blocks of addresses.

use super::PatternError;
use crate::canonical;
use creel_types::{Host, HostName};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A compiled host pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name and no other.
    Name(HostName),
    /// Names by their labels.
    Wild(WildHost),
    /// This address.
    Addr(IpAddr),
    /// The addresses of this block (CIDR).
    Net(IpNet),
}

/// Labels with `*` (one label) anywhere but last, and `**` (one or more) at the front.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WildHost {
    text: Box<str>,
    /// After the last wildcard label; what the index looks up.
    suffix_at: usize,
}

impl HostPattern {
    /// Reads a host, a host with wildcards, an address or a CIDR block.
    ///
    /// # Errors
    /// What no canonical host could match, and addresses in any but their usual spelling.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.contains("://") {
            let host = text.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default();
            return Err(
                PatternError::new(format!("`{text}` is a URL, not a host")).hint(format!("write `{host}`"))
            );
        }
        if text.contains('*') {
            return WildHost::new(text).map(Self::Wild);
        }
        if text.contains('/') {
            return net(text);
        }
        match canonical::host(text) {
            Ok(Host::Name(name)) => Ok(Self::Name(name)),
            Ok(Host::Addr(addr)) => spelled(text, addr),
            Err(e) => Err(PatternError::new(format!("`{text}` is not a host: {e}"))),
        }
    }

    /// Whether `host` is what the pattern says. A name pattern never matches an address, nor the other way round.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(a), Host::Name(b)) => a == b,
            (Self::Wild(wild), Host::Name(name)) => wild.matches(name.as_str()),
            (Self::Addr(a), Host::Addr(b)) => a == b,
            (Self::Net(net), Host::Addr(addr)) => net.contains(addr),
            _ => false,
        }
    }

    /// Whether every host that `other` matches is matched by this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wild(a), Self::Wild(b)) => a.covers(b),
            (Self::Wild(a), Self::Name(b)) => a.matches(b.as_str()),
            (Self::Net(a), Self::Net(b)) => a.contains(b),
            (Self::Net(a), Self::Addr(b)) => a.contains(b),
            _ => self == other,
        }
    }

    /// Whether some host could match both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wild(a), Self::Wild(b)) => a.overlaps(b),
            _ => self.covers(other) || other.covers(self),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Wild(wild) => f.write_str(&wild.text),
            Self::Addr(addr) => Host::Addr(*addr).fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

fn spelled(text: &str, addr: IpAddr) -> Result<HostPattern, PatternError> {
    let usual = unbracketed(text).parse::<IpAddr>();
    if usual.is_ok_and(|usual| usual == addr) {
        return Ok(HostPattern::Addr(addr));
    }
    Err(PatternError::new(format!("`{text}` is an unusual spelling of the address {addr}"))
        .hint(format!("write `{addr}`")))
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

fn net(text: &str) -> Result<HostPattern, PatternError> {
    let Ok(net) = unbracketed(text).parse::<IpNet>() else {
        return Err(PatternError::new(format!("`{text}` is neither a host nor a block of addresses"))
            .hint("write a host without a path, or a block as in `10.1.0.0/16`"));
    };
    if net.trunc() != net {
        return Err(PatternError::new(format!("`{text}` has bits set outside its prefix"))
            .hint(format!("write `{}`, or the address alone", net.trunc())));
    }
    if let IpNet::V6(v6) = net
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(PatternError::new(format!(
            "`{text}` is never compared: an IPv4-mapped address is compared as IPv4"
        )));
    }
    Ok(HostPattern::Net(net))
}

impl WildHost {
    fn new(text: &str) -> Result<Self, PatternError> {
        let labels: Vec<&str> = text.split('.').collect();
        for (i, label) in labels.iter().enumerate() {
            check_label(text, label, i, labels.len())?;
        }
        let stars = labels.iter().rposition(|l| l.contains('*')).map_or(0, |i| i + 1);
        let text = canonical_labels(text, &labels)?;
        let suffix_at = text.split('.').take(stars).map(|l| l.len() + 1).sum::<usize>().min(text.len());
        Ok(Self { text: text.into(), suffix_at })
    }

    /// The literal labels at the end; empty for `*` and `**`.
    pub(crate) fn suffix(&self) -> &str {
        &self.text[self.suffix_at..]
    }

    /// Its labels from the right.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.text.rsplit('.')
    }

    /// Whether the name's labels are what the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut labels) = (self.text.rsplit('.'), name.rsplit('.'));
        loop {
            match (pattern.next(), labels.next()) {
                (Some("**"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(want), Some(label)) if want == label => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.text.rsplit('.'), other.text.rsplit('.'));
        loop {
            match (mine.next(), theirs.next()) {
                (Some("**"), Some(_)) => return true,
                (Some("*"), Some(label)) if label != "**" => {}
                (Some(a), Some(b)) if a == b => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.text.rsplit('.'), other.text.rsplit('.'));
        loop {
            match (mine.next(), theirs.next()) {
                (Some("**"), Some(_)) | (Some(_), Some("**")) | (None, None) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }
}

fn check_label(text: &str, label: &str, at: usize, count: usize) -> Result<(), PatternError> {
    match label {
        "**" if at > 0 => {
            Err(PatternError::new(format!("`**` can only be the first label, not as in `{text}`")))
        }
        "*" if at + 1 == count && count > 1 => {
            Err(PatternError::new(format!("`*` cannot be the last label, as in `{text}`")))
        }
        "*" | "**" => Ok(()),
        joined if joined.contains('*') => {
            Err(PatternError::new(format!("`*` stands for a whole label, not for part of one: `{joined}`"))
                .hint("write `*.` before the name, or list the names"))
        }
        _ => Ok(()),
    }
}

/// The literal labels in canonical form, with the wildcards where they were.
fn canonical_labels(text: &str, labels: &[&str]) -> Result<String, PatternError> {
    let stand_in = labels.iter().map(|l| if l.contains('*') { "x" } else { l }).collect::<Vec<_>>().join(".");
    let name = match canonical::host(&stand_in) {
        Ok(Host::Name(name)) => name,
        Ok(Host::Addr(_)) => {
            return Err(PatternError::new(format!(
                "`{text}` looks like an address; `*` matches labels of names"
            ))
            .hint("write a block as in `10.1.0.0/16`"));
        }
        Err(e) => return Err(PatternError::new(format!("no host can match `{text}`: {e}"))),
    };
    if name.as_str().split('.').count() != labels.len() {
        return Err(PatternError::new(format!("`{text}` has dots that are not `.`")));
    }
    let canonical = name.as_str().split('.').zip(labels);
    Ok(canonical.map(|(c, l)| if l.contains('*') { l } else { c }).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, host: &str, want: bool) {
        let host = canonical::host(host).unwrap();
        assert_eq!(HostPattern::new(pattern).unwrap().matches(&host), want, "{pattern} against {host}");
    }

    #[test]
    fn a_star_is_one_label_and_two_are_one_or_more() {
        for (pattern, yes, no) in [
            ("*.a.com", "x.a.com", "x.y.a.com"),
            ("**.a.com", "x.y.a.com", "a.com"),
            ("s3.*.a.com", "s3.eu.a.com", "s3.a.com"),
            ("**", "a.b", "1.2.3.4"),
            ("*", "localhost", "a.b"),
            ("A.com", "a.com", "b.com"),
            ("10.0.0.0/8", "10.1.2.3", "11.0.0.1"),
            ("**.bücher.de", "a.xn--bcher-kva.de", "bücher.de"),
            ("::1", "[::1]", "::2"),
        ] {
            check(pattern, yes, true);
            check(pattern, no, false);
        }
    }

    #[test]
    fn a_pattern_that_no_host_can_match_is_refused() {
        for text in [
            "",
            "https://a.com/x",
            "a.com/x",
            "a*.com",
            "a.**.com",
            "a.*",
            "*.1.2.3",
            "0x7f.1",
            "10.0.0.1/8",
            "a b",
            "*..a",
            "::ffff:10.0.0.0/104",
            "user@a.com",
            "*.a。com",
            "[10.0.0.0/8",
        ] {
            assert!(HostPattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn covering_and_overlapping_follow_from_matching() {
        for (a, b, covers, overlaps) in [
            ("**.com", "*.a.com", true, true),
            ("*.com", "**.com", false, true),
            ("*.a.com", "b.*.com", false, true),
            ("*.a.com", "*.b.com", false, false),
            ("10.0.0.0/8", "10.0.0.1", true, true),
            ("**", "10.0.0.1", false, false),
            ("**", "*", true, true),
        ] {
            let (a, b) = (HostPattern::new(a).unwrap(), HostPattern::new(b).unwrap());
            assert_eq!((a.covers(&b), a.overlaps(&b)), (covers, overlaps), "{a} and {b}");
        }
    }
}

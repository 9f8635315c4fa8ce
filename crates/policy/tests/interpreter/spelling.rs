//! Canonical forms, as "Hosts, paths and methods are put in one canonical form" says. `None` is what has no single form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spelt {
    Name(Vec<String>),
    Addr(IpAddr),
}

impl Spelt {
    pub fn text(&self) -> String {
        match self {
            Self::Name(labels) => labels.join("."),
            Self::Addr(IpAddr::V6(addr)) => format!("[{addr}]"),
            Self::Addr(addr) => addr.to_string(),
        }
    }
}

/// Only ASCII hosts: what IDNA makes of others is tested on its own.
pub fn host(text: &str) -> Option<Spelt> {
    let inner = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'))?;
    if text.starts_with('[') || inner.matches(':').count() > 1 {
        let addr: Ipv6Addr = inner.parse().ok()?;
        return Some(Spelt::Addr(addr.to_ipv4_mapped().map_or(IpAddr::V6(addr), IpAddr::V4)));
    }
    let lower = text.to_ascii_lowercase();
    let labels: Vec<&str> = lower.strip_suffix('.').unwrap_or(&lower).split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return None;
    }
    let last = labels.last()?;
    if last.bytes().all(|b| b.is_ascii_digit()) || (last.starts_with("0x") && number(last).is_some()) {
        return ipv4(&labels).map(|addr| Spelt::Addr(addr.into()));
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let good = |l: &str| l.len() <= 63 && l.bytes().all(plain) && !l.starts_with('-') && !l.ends_with('-');
    if !labels.iter().all(|l| good(l)) || labels.join(".").len() > 253 {
        return None;
    }
    // Punycode is IDNA's, and a label `0x` with digits that are none ends no name either.
    let odd = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if odd || labels.iter().any(|l| l.starts_with("xn--")) {
        return None;
    }
    Some(Spelt::Name(labels.into_iter().map(str::to_owned).collect()))
}

/// One to four numbers, each decimal, octal or hexadecimal; the last fills what is left of the address.
fn ipv4(parts: &[&str]) -> Option<Ipv4Addr> {
    if parts.len() > 4 {
        return None;
    }
    let numbers: Vec<u64> = parts.iter().map(|part| number(part)).collect::<Option<_>>()?;
    let (last, front) = numbers.split_last()?;
    let mut value: u64 = 0;
    for part in front {
        if *part > 255 {
            return None;
        }
        value = value * 256 + part;
    }
    let room = 256_u64.pow(u32::try_from(4 - front.len()).ok()?);
    if *last >= room {
        return None;
    }
    u32::try_from(value * room + last).ok().map(Ipv4Addr::from)
}

fn number(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return if hex.is_empty() { Some(0) } else { digits(hex, 16) };
    }
    if text.len() > 1 && text.starts_with('0') { digits(text, 8) } else { digits(text, 10) }
}

fn digits(text: &str, radix: u32) -> Option<u64> {
    let mut value: u64 = 0;
    for c in text.chars() {
        value = value.checked_mul(radix.into())?.checked_add(c.to_digit(radix)?.into())?;
    }
    (!text.is_empty()).then_some(value)
}

/// The path and the query of a request target. Segments of the path, without the slash before each.
pub fn path(target: &str) -> Option<(Vec<String>, Option<String>)> {
    let (raw, query) = match target.split_once('?') {
        Some((raw, query)) => (raw, Some(query.to_owned())),
        None => (target, None),
    };
    if !query.as_deref().is_none_or(query_is_good) {
        return None;
    }
    let mut kept: Vec<String> = Vec::new();
    let mut open = false;
    for segment in raw.strip_prefix('/')?.split('/') {
        let segment = encoded(&decoded(segment)?)?;
        open = ["", ".", ".."].contains(&segment.as_str());
        match segment.as_str() {
            "" | "." => {}
            ".." => drop(kept.pop()?),
            other => {
                // `..;x` is `..` to who takes parameters off first.
                let plain = lenient(other);
                if ["", ".", ".."].contains(&plain.split(';').next().unwrap_or_default()) {
                    return None;
                }
                kept.push(segment);
            }
        }
    }
    if open {
        kept.push(String::new());
    }
    Some((kept, query))
}

/// One character of a segment: its byte, and whether it came as an escape.
type Unit = (u8, bool);

fn decoded(segment: &str) -> Option<Vec<Unit>> {
    let bytes = segment.as_bytes();
    let mut units = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = segment.get(at + 1..at + 3).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            let byte = u8::from_str_radix(hex, 16).ok()?;
            if byte == b'/' || byte == b'\\' || byte < 0x20 || byte == 0x7f {
                return None;
            }
            units.push((byte, true));
            at += 3;
        } else {
            if bytes[at] <= 0x20 || bytes[at] >= 0x7f || b"\\#".contains(&bytes[at]) {
                return None;
            }
            units.push((bytes[at], false));
            at += 1;
        }
    }
    let plain: Vec<u8> = units.iter().map(|(byte, _)| *byte).collect();
    let text = String::from_utf8(plain).ok()?;
    // What is still an escape once decoded would be decoded a second time by somebody.
    let again =
        |at: usize| text.get(at + 1..at + 3).is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    let twice = text.match_indices('%').any(|(at, _)| again(at));
    (!twice).then_some(units)
}

fn encoded(units: &[Unit]) -> Option<String> {
    let mut text = String::new();
    for (byte, escaped) in units {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let delimiter = b"!$&'()*+,;=:@".contains(byte);
        if unreserved || (delimiter && !escaped) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(text)
}

/// A piece of a request pattern in the form of request paths; its `*` stand where they stood.
pub fn pattern_segment(segment: &str) -> String {
    let escaped: String = segment
        .chars()
        .map(|c| {
            let mut bytes = [0; 4];
            let utf8 = c.encode_utf8(&mut bytes).bytes();
            if c.is_ascii() { c.to_string() } else { utf8.map(|b| format!("%{b:02X}")).collect() }
        })
        .collect();
    let piece = |piece: &str| decoded(piece).and_then(|units| encoded(&units));
    let pieces: Option<Vec<String>> = escaped.split('*').map(piece).collect();
    pieces.map(|pieces| pieces.join("*")).unwrap_or(escaped)
}

/// A segment without escapes and in lower case.
pub fn lenient(segment: &str) -> String {
    let plain: Vec<u8> = decoded_again(segment);
    String::from_utf8_lossy(&plain).to_ascii_lowercase()
}

fn decoded_again(segment: &str) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' && after.len() >= 2 {
            let hex = String::from_utf8_lossy(&after[..2]).into_owned();
            plain.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            rest = &after[2..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

fn query_is_good(query: &str) -> bool {
    let bytes = query.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => query.get(at + 1..at + 3).is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit())),
        b' ' | b'#' => false,
        other => (0x21..0x7f).contains(other),
    })
}

/// What a deny compares: no case, no escapes, no `;params`, no trailing slash.
pub fn folded(segments: &[String]) -> Vec<String> {
    let mut folded: Vec<String> =
        segments.iter().map(|s| lenient(s.split(';').next().unwrap_or_default())).collect();
    if folded.len() > 1 && folded.last().is_some_and(String::is_empty) {
        folded.pop();
    }
    folded
}

//! Every spelling of an IPv4 address, as the WHATWG URL standard reads it (§3.5, "IPv4 parser").
//!
//! C libraries, browsers and proxies take octal, hexadecimal, short and integer forms; a check that does not
//! know them compares a name where the dial uses an address.

use std::net::Ipv4Addr;

/// Whether resolvers would read `name` as an address: its last label is a number.
pub(super) fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.is_empty() {
        return false;
    }
    last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") && number(last).is_some()
}

/// The address; `None` when a part is not a number or too large for its place.
pub(super) fn parse(text: &str) -> Option<Ipv4Addr> {
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        *parts.get_mut(count)? = number(part)?;
        count += 1;
    }
    let (last, front) = parts.get(..count)?.split_last()?;
    if front.iter().any(|part| *part > 255) || *last >= 1 << (8 * (5 - count)) {
        return None;
    }
    let high = front.iter().enumerate().map(|(i, part)| part << (8 * (3 - i))).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

fn number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    // A number of more digits than 64 bits hold is too large for any place.
    u64::from_str_radix(digits, radix).ok()
}

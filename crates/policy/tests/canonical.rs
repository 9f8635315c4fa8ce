//! Canonical forms against the web platform's own vectors, and as properties.
//!
//! Creel may refuse what a browser takes (it wants one reading); what it takes, it reads as a browser does, and what
//! a browser refuses it refuses.
#![allow(missing_docs, clippy::unwrap_used)]

use creel_policy::canonical::{self, CanonicalError};
use creel_types::Host;
use proptest::prelude::*;
use serde_json::Value;

fn vectors(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(&without_lone_surrogates(text)).unwrap();
    all.into_iter().filter(Value::is_object).collect()
}

/// Half a UTF-16 pair is not text in Rust; the vectors that try it become vectors of U+FFFD.
fn without_lone_surrogates(text: &str) -> String {
    let mut out = String::new();
    let mut pieces = text.split("\\u").peekable();
    out.push_str(pieces.next().unwrap_or_default());
    let mut after_high = false;
    while let Some(piece) = pieces.next() {
        let unit = piece.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok()).unwrap_or_default();
        let next = pieces.peek().and_then(|p| p.get(..4)).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        let low_follows = piece.len() == 4 && next.is_some_and(|n| (0xdc00..0xe000).contains(&n));
        let lone = match unit {
            0xd800..0xdc00 => !low_follows,
            0xdc00..0xe000 => !after_high,
            _ => false,
        };
        after_high = (0xd800..0xdc00).contains(&unit) && low_follows;
        out.push_str("\\u");
        out.push_str(if lone { "fffd" } else { &piece[..4] });
        out.push_str(&piece[4..]);
    }
    out
}

fn field<'a>(vector: &'a Value, name: &str) -> Option<&'a str> {
    vector.get(name).and_then(Value::as_str)
}

/// How many of the vectors were taken.
fn check_hosts(vectors: &[Value]) -> usize {
    let mut taken = 0;
    for vector in vectors {
        let Some(input) = field(vector, "input") else { continue };
        let Ok(host) = canonical::host(input) else { continue };
        taken += 1;
        let want = field(vector, "output").unwrap_or_else(|| panic!("{input:?} must be refused, is {host}"));
        assert_eq!(host.to_string(), want.trim_end_matches('.'), "{input:?}");
    }
    taken
}

#[test]
fn hosts_are_read_as_uts_46_reads_them() {
    let idna = vectors(include_str!("data/IdnaTestV2.json"));
    // The URL standard lets ASCII labels with broken Punycode, empty labels and long names pass; Creel does not.
    assert!(check_hosts(&idna) > 500);
    assert!(check_hosts(&vectors(include_str!("data/toascii.json"))) > 20);
}

/// The host of a URL that has nothing else to be parsed.
fn plain_host(input: &str) -> Option<&str> {
    let rest = input.strip_prefix("http://").or_else(|| input.strip_prefix("https://"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let ipv6 = host.starts_with('[') && host.ends_with(']');
    let plain = !host.contains(['/', '?', '#', '@', '\\', '\t', '\n', '\r', '%']);
    (plain && (ipv6 || !host.contains(':')) && !input.ends_with(' ')).then_some(host)
}

#[test]
fn hosts_of_urls_are_read_as_browsers_read_them() {
    let mut checked = 0;
    for vector in vectors(include_str!("data/urltestdata.json")) {
        let Some(host) = field(&vector, "input").and_then(plain_host) else { continue };
        let Ok(read) = canonical::host(host) else { continue };
        checked += 1;
        let want =
            field(&vector, "hostname").unwrap_or_else(|| panic!("{host:?} must be refused, is {read}"));
        let want = canonical::host(want).unwrap();
        assert_eq!(read, want, "{host:?}");
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn paths_of_urls_are_fixed_points_or_refused() {
    let mut checked = 0;
    for vector in vectors(include_str!("data/urltestdata.json")) {
        let Some(path) = field(&vector, "pathname").filter(|p| p.starts_with('/')) else { continue };
        let Ok(once) = canonical::path(path) else { continue };
        checked += 1;
        assert_eq!(canonical::path(once.as_str()).as_ref(), Ok(&once), "{path}");
        assert!(!once.path().contains("//") && !once.path().contains("/../"), "{path}");
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn encoded_text_is_sent_as_it_is_encoded() {
    for vector in vectors(include_str!("data/percent-encoding.json")) {
        let Some(encoded) = vector["output"].get("utf-8").and_then(Value::as_str) else { continue };
        match canonical::path(&format!("/{encoded}")) {
            // A browser leaves `|` as it is; the URI grammar wants it escaped, and so does Creel.
            Ok(path) => assert_eq!(path.as_str()[1..], encoded.replace('|', "%7C")),
            Err(CanonicalError::Ambiguous(_) | CanonicalError::BadChar { .. }) => {}
            Err(other) => panic!("{encoded}: {other}"),
        }
    }
}

proptest! {
    #[test]
    fn a_canonical_host_is_a_fixed_point(text in "[a-zA-Z0-9.\\-_:\\[\\]xX%@éßК。]{0,40}|\\PC{0,20}") {
        if let Ok(host) = canonical::host(&text) {
            prop_assert_eq!(canonical::host(&host.to_string()), Ok(host.clone()));
            if let Host::Name(name) = &host {
                prop_assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
            }
        }
    }

    #[test]
    fn a_canonical_path_is_a_fixed_point(text in "/[a-zA-Z0-9./%;?=&@!*~{}|\\[\\]25eEfFcC]{0,40}|/\\PC{0,20}") {
        if let Ok(path) = canonical::path(&text) {
            prop_assert_eq!(canonical::path(path.as_str()), Ok(path.clone()));
            let plain = path.path();
            prop_assert!(plain.starts_with('/') && !plain.contains("//"));
            prop_assert!(plain.split('/').all(|s| s != "." && s != ".."));
        }
    }

    #[test]
    fn an_ipv4_address_is_itself_in_every_spelling(bits in any::<u32>()) {
        let addr = std::net::Ipv4Addr::from(bits);
        let [a, b, c, d] = addr.octets();
        let want = canonical::host(&addr.to_string()).unwrap();
        for spelling in [
            format!("{bits}"), format!("0x{bits:x}"), format!("0X{bits:X}"), format!("0{bits:o}"),
            format!("{a}.{}", bits & 0xff_ffff), format!("{a}.{b}.{}", bits & 0xffff),
            format!("0x{a:x}.0{b:o}.{c}.{d}"), format!("{addr}."), format!("::ffff:{addr}"), format!("[::ffff:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        ] {
            prop_assert_eq!(canonical::host(&spelling), Ok(want.clone()), "{}", spelling);
        }
    }
}

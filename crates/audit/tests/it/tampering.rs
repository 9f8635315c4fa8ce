//! Attacks on a record: whatever is changed before its last line is found, and what is cut off its end is not taken
//! for complete.

use crate::{about, closed, connection};
use creel_audit::{Broken, Record, Verified, Why, verify, verify_reader};
use proptest::prelude::*;
use std::sync::LazyLock;

/// A closed record of three dozen lines.
static CLOSED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(closed(dir.path(), 36).path()).unwrap()
});

fn lines() -> Vec<Vec<u8>> {
    CLOSED.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
}

fn verified(lines: &[Vec<u8>]) -> Result<Verified, Broken> {
    verify_reader(lines.concat().as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn one_changed_byte_is_found(at in 0..CLOSED.len(), change in 1..=255_u8) {
        let mut bytes = CLOSED.clone();
        bytes[at] ^= change;
        let found = verify_reader(bytes.as_slice());
        // The very last byte is the end of the closing line; without it the record is not closed.
        let last = at == bytes.len() - 1;
        prop_assert!(found.is_err() || (last && !found.as_ref().unwrap().is_closed()), "{at} {change} {found:?}");
    }

    #[test]
    fn a_dropped_line_is_found(at in 0..lines().len() - 1) {
        let mut lines = lines();
        lines.remove(at);
        prop_assert!(verified(&lines).is_err());
    }

    #[test]
    fn two_swapped_lines_are_found(a in 0..lines().len(), b in 0..lines().len()) {
        prop_assume!(a != b);
        let mut lines = lines();
        lines.swap(a, b);
        prop_assert!(verified(&lines).is_err());
    }

    #[test]
    fn a_repeated_line_is_found(from in 0..lines().len(), to in 0..=lines().len()) {
        let mut lines = lines();
        lines.insert(to, lines[from].clone());
        prop_assert!(verified(&lines).is_err());
    }

    #[test]
    fn a_cut_record_is_never_taken_for_complete(length in 0..CLOSED.len()) {
        let found = verify_reader(&CLOSED[..length]);
        prop_assert!(found.is_err() || !found.unwrap().is_closed());
    }
}

#[test]
fn the_untouched_record_verifies() {
    assert!(verify_reader(CLOSED.as_slice()).unwrap().is_closed());
}

#[test]
fn a_line_of_another_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let other = std::fs::read(closed(dir.path(), 36).path()).unwrap();
    let mut lines = lines();
    lines[10] = other.split_inclusive(|&b| b == b'\n').nth(10).unwrap().to_vec();
    assert!(verified(&lines).is_err());
}

/// An attacker who has the file, and not the key, rewrites an event and everything after it so that the chain holds.
#[test]
fn a_rewritten_history_fails_at_the_first_checkpoint() {
    let mut lines = lines();
    let edited = String::from_utf8(lines[5].clone()).unwrap().replace("api.github.com", "api.gitlab.com");
    assert_ne!(edited.as_bytes(), lines[5]);
    lines[5] = edited.into_bytes();
    for at in 6..lines.len() {
        let before = lines[at - 1].clone();
        let prev = sha256_hex(before.trim_ascii_end());
        let line = String::from_utf8(lines[at].clone()).unwrap();
        let start = line.find(r#""prev":""#).unwrap() + 8;
        lines[at] = format!("{}{prev}{}", &line[..start], &line[start + 64..]).into_bytes();
    }
    let broken = verified(&lines).unwrap_err();
    assert!(matches!(broken.why, Why::Signature), "{broken}");
    assert_eq!(broken.line, lines.len() as u64);
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    creel_types::Digest(sha2::Sha256::digest(bytes).into()).to_string()
}

#[test]
fn an_interrupted_record_is_open_and_not_edited() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::create(dir.path(), about()).unwrap();
    record.append(&connection(0)).unwrap();
    let mut bytes = std::fs::read(record.path()).unwrap();
    bytes.extend_from_slice(br#"{"seq":2,"prev":"#);
    let seen = verify_reader(bytes.as_slice()).unwrap();
    assert_eq!(seen.closing, creel_audit::Closing::OpenOrTruncated { unfinished: 16 });
    assert_eq!(seen.lines, 2);
}

#[test]
fn what_follows_the_end_is_found() {
    let mut bytes = CLOSED.clone();
    bytes.extend_from_slice(b"{");
    assert!(matches!(verify_reader(bytes.as_slice()).unwrap_err().why, Why::AfterClose));
}

#[test]
fn what_is_no_record_is_said_to_be_none() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = verify_reader(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    check("", "line 1: is missing");
    check("hello\n", "line 1: is not a line of a record");
    check("{\"seq\":0,\"prev\":\"\"}\n", "does not hold exactly one");
    check(&format!("{}\n", "x".repeat(creel_audit::MAX_LINE + 1)), "is longer than");
    let missing = verify(std::path::Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(missing.contains("cannot be read"), "{missing}");
}

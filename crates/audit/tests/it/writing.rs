//! What the writer promises.

use crate::{about, closed, connection, exit};
use creel_audit::{CHECKPOINT_EVERY, Closing, FILE_NAME, Record, RecordError, verify};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

#[test]
fn a_record_verifies_while_it_is_written_and_is_closed_by_the_exit() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::create(dir.path(), about()).unwrap();
    for id in 0..5 {
        assert_eq!(record.append(&connection(id)).unwrap(), id + 1);
    }
    let seen = verify(record.path()).unwrap();
    assert_eq!(seen.closing, Closing::OpenOrTruncated { unfinished: 0 });
    assert_eq!((seen.lines, seen.events, seen.signed_through), (6, 5, None));
    record.append(&exit()).unwrap();
    let seen = verify(record.path()).unwrap();
    assert!(seen.is_closed());
    assert_eq!((seen.lines, seen.events, seen.signed_through), (8, 6, Some(7)));
    assert_eq!(seen.header.public_key, record.public_key());
    assert!(matches!(record.append(&connection(9)), Err(RecordError::Closed { .. })));
}

#[test]
fn a_record_is_never_overwritten_and_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let record = closed(dir.path(), 1);
    let mode = std::fs::metadata(record.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(Record::create(dir.path(), about()), Err(RecordError::Create { .. })));
    verify(&dir.path().join(FILE_NAME)).unwrap();
}

#[test]
fn a_checkpoint_stands_after_every_thousand_lines() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::create(dir.path(), about()).unwrap();
    for id in 0..2 * CHECKPOINT_EVERY + 10 {
        record.append(&connection(id)).unwrap();
    }
    let seen = verify(record.path()).unwrap();
    assert_eq!(seen.signed_through, Some(2 * CHECKPOINT_EVERY));
    assert_eq!(seen.lines, 1 + 2 * CHECKPOINT_EVERY + 10 + 2);
}

#[test]
fn threads_append_whole_lines_and_each_gets_its_own_number() {
    let dir = tempfile::tempdir().unwrap();
    let record = Arc::new(Record::create(dir.path(), about()).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let record = Arc::clone(&record);
            std::thread::spawn(move || {
                (0..200).map(|id| record.append(&connection(id)).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut numbers: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 800);
    assert_eq!(verify(record.path()).unwrap().events, 800);
}

#[test]
fn an_event_that_is_too_long_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::create(dir.path(), about()).unwrap();
    let mut long = connection(0);
    if let creel_audit::Event::Connection(e) = &mut long {
        e.host = "x".repeat(creel_audit::MAX_LINE);
    }
    assert!(matches!(record.append(&long), Err(RecordError::TooLong { .. })));
    assert!(!record.is_broken());
    assert_eq!(record.append(&connection(1)).unwrap(), 1);
    assert_eq!(verify(record.path()).unwrap().lines, 2);
}

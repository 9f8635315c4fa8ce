//! Reading back, and what filters give.

use crate::{about, closed, connection};
use creel_audit::{Event, Filter, Kind, Reader, Record, read};
use std::io::{BufReader, Write};

#[track_caller]
fn check(filter: Filter, expected: impl Fn(u64) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let record = closed(dir.path(), 30);
    let ids: Vec<u64> = read(record.path(), filter)
        .unwrap()
        .filter_map(|entry| match entry.unwrap().event {
            Event::Connection(e) => Some(e.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, (0..30).filter(|&id| expected(id)).collect::<Vec<_>>());
}

#[test]
fn a_filter_gives_what_all_its_parts_take() {
    check(Filter::default(), |_| true);
    check(Filter { kinds: vec![Kind::Exec], ..Filter::default() }, |_| false);
    check(Filter { kinds: vec![Kind::Exec, Kind::Connection], ..Filter::default() }, |_| true);
    check(Filter { program: Some("curl".to_owned()), ..Filter::default() }, |id| id % 2 == 0);
    check(Filter { program: Some("/usr/bin/git".to_owned()), ..Filter::default() }, |id| id % 2 == 1);
    check(Filter { program: Some("bin/git".to_owned()), ..Filter::default() }, |_| false);
    check(Filter { host: Some("evil.example".to_owned()), ..Filter::default() }, |id| id % 3 == 2);
    check(Filter { rule: Some("github-read".to_owned()), ..Filter::default() }, |id| id % 3 != 2);
    check(Filter { refused_only: true, ..Filter::default() }, |id| id % 3 == 2);
    check(Filter { from_seq: Some(11), to_seq: Some(20), ..Filter::default() }, |id| (10..20).contains(&id));
    check(Filter { since: Some(i64::MAX), ..Filter::default() }, |_| false);
    check(Filter { until: Some(1), ..Filter::default() }, |_| false);
    check(Filter { refused_only: true, program: Some("curl".to_owned()), ..Filter::default() }, |id| {
        id % 3 == 2 && id % 2 == 0
    });
}

#[test]
fn what_was_appended_is_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let record = closed(dir.path(), 5);
    let entries: Vec<_> = read(record.path(), Filter::default()).unwrap().map(Result::unwrap).collect();
    for (id, entry) in (0..5).zip(&entries) {
        assert_eq!((entry.seq, &entry.event), (id + 1, &connection(id)));
    }
    assert_eq!(entries.len(), 6);
}

#[test]
fn a_reader_at_the_end_goes_on_when_more_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::create(dir.path(), about()).unwrap();
    record.append(&connection(0)).unwrap();
    let mut reader = read(record.path(), Filter::default()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().seq, 1);
    assert!(reader.next().is_none());
    record.append(&connection(1)).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().seq, 2);
    assert!(reader.next().is_none());
}

#[test]
fn half_a_line_is_kept_until_its_end_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(closed(dir.path(), 2).path()).unwrap();
    let copy = dir.path().join("copy");
    let mut to = std::fs::File::create(&copy).unwrap();
    let cut = bytes.len() / 2;
    to.write_all(&bytes[..cut]).unwrap();
    let input = BufReader::new(std::fs::File::open(&copy).unwrap());
    let mut reader = Reader::new(input, Filter::default()).unwrap();
    let before = reader.by_ref().map(Result::unwrap).count();
    to.write_all(&bytes[cut..]).unwrap();
    let after = reader.map(Result::unwrap).count();
    assert_eq!(before + after, 3);
}

#[test]
fn a_kind_is_named_in_either_spelling() {
    assert_eq!("model-call".parse(), Ok(Kind::ModelCall));
    assert_eq!("model_call".parse(), Ok(Kind::ModelCall));
    let error = "models".parse::<Kind>().unwrap_err();
    assert!(error.to_string().contains("model_call"), "{error}");
}

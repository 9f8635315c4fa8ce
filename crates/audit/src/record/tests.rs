//! Failures of the sink, at every place and of every kind.

use super::*;
use crate::event::Exit;
use crate::verify::verify_reader;
use std::sync::Arc;

/// A disk in memory that fails when it is told to.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    /// How many more bytes fit.
    room: Option<usize>,
    cannot_truncate: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Disk) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

impl Sink for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|disk| {
            let fits = disk.room.unwrap_or(usize::MAX).min(bytes.len());
            if fits == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            disk.bytes.extend_from_slice(&bytes[..fits]);
            disk.room = disk.room.map(|room| room - fits);
            Ok(fits)
        })
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.with(|disk| {
            if disk.cannot_truncate {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            disk.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|disk| Ok(disk.bytes.len() as u64))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(disk: &Shared) -> Record {
    let about = About {
        name: "claude".parse().unwrap(),
        id: SandboxId::from_random([1; 16]),
        version: "0.1.0".to_owned(),
    };
    Record::on(Box::new(disk.clone()), PathBuf::from("memory"), about).unwrap()
}

fn finding() -> Event {
    Event::Finding(Finding {
        title: "x".to_owned(),
        detail: "y".to_owned(),
        severity: Severity::Low,
        layer: "record".to_owned(),
        program: None,
    })
}

/// Fails the second event with `room` bytes left, and expects the record to stop, to recover and to close.
fn check(room: usize, cannot_truncate: bool) {
    let disk = Shared::default();
    let record = record(&disk);
    record.append(&finding()).unwrap();
    disk.with(|disk| (disk.room, disk.cannot_truncate) = (Some(room), cannot_truncate));
    assert!(matches!(record.append(&finding()), Err(RecordError::Write { seq: 2, .. })), "{room}");
    disk.with(|disk| disk.room = None);
    for _ in 0..3 {
        assert!(matches!(record.append(&finding()), Err(RecordError::Broken { .. })), "{room}");
    }
    let seen = disk.with(|disk| verify_reader(disk.bytes.as_slice())).unwrap();
    assert_eq!(seen.lines, 2, "{room}");
    disk.with(|disk| disk.cannot_truncate = false);
    record.recover().unwrap();
    assert!(disk.with(|disk| String::from_utf8_lossy(&disk.bytes).contains("3 events after it were not recorded")));
    assert_eq!(record.append(&finding()).unwrap(), 3);
    let exit = Exit { code: Some(0), signal: None, reason: String::new() };
    record.append(&Event::Exit(exit)).unwrap();
    let seen = disk.with(|disk| verify_reader(disk.bytes.as_slice())).unwrap();
    assert!(seen.is_closed(), "{room}");
}

#[test]
fn after_a_failed_write_nothing_is_recorded_until_it_recovers() {
    for room in [0, 1, 50, 300] {
        check(room, false);
        check(room, true);
    }
}

#[test]
fn a_record_that_somebody_cut_meanwhile_is_not_continued() {
    let disk = Shared::default();
    let record = record(&disk);
    record.append(&finding()).unwrap();
    disk.with(|disk| disk.room = Some(0));
    assert!(record.append(&finding()).is_err());
    disk.with(|disk| {
        disk.room = None;
        disk.bytes.truncate(100);
    });
    assert!(matches!(record.recover(), Err(RecordError::Tampered { found: 100, .. })));
    assert!(record.is_broken());
}

/// A record whose next event is the last before a checkpoint, and the length of such an event's line.
fn before_a_checkpoint(disk: &Shared) -> (Record, usize) {
    let record = record(disk);
    let length = |disk: &Shared| disk.with(|disk| disk.bytes.len());
    let mut before = 0;
    for _ in 1..CHECKPOINT_EVERY - 1 {
        before = length(disk);
        record.append(&finding()).unwrap();
    }
    (record, length(disk) - before)
}

#[test]
fn a_failed_checkpoint_breaks_the_record_and_is_made_up_for() {
    let disk = Shared::default();
    let (record, event) = before_a_checkpoint(&disk);
    disk.with(|disk| disk.room = Some(event + 10));
    assert_eq!(record.append(&finding()).unwrap(), CHECKPOINT_EVERY - 1);
    assert!(record.is_broken());
    disk.with(|disk| disk.room = None);
    record.recover().unwrap();
    let seen = disk.with(|disk| verify_reader(disk.bytes.as_slice())).unwrap();
    assert_eq!(seen.signed_through, Some(CHECKPOINT_EVERY));
    assert_eq!(record.append(&finding()).unwrap(), CHECKPOINT_EVERY + 2);
}

/// The lines on the disk, and whether what is there verifies.
fn lines(disk: &Shared) -> u64 {
    let seen = disk.with(|disk| verify_reader(disk.bytes.as_slice())).unwrap();
    assert_eq!(seen.closing, crate::verify::Closing::OpenOrTruncated { unfinished: 0 });
    seen.lines
}

#[test]
fn an_event_that_waits_is_written_in_its_place_by_whatever_comes_first() {
    type Write = fn(&Record);
    let by: [(&str, Write); 3] = [
        ("an append", |record| assert!(record.append(&finding()).is_ok())),
        ("the writer of what waits", |record| assert!(record.write_waiting().unwrap())),
        ("a sync", |record| record.sync().unwrap()),
    ];
    for (who, write) in by {
        let disk = Shared::default();
        let record = record(&disk);
        assert!(record.append_soon(&finding()).unwrap() && record.append_soon(&finding()).unwrap());
        assert_eq!(lines(&disk), 1, "{who}");
        write(&record);
        assert_eq!(lines(&disk), 3 + u64::from(who == "an append"), "{who}");
        assert!(!record.write_waiting().unwrap());
        record.append_soon(&finding()).unwrap();
        let before = lines(&disk);
        drop(record);
        assert_eq!(lines(&disk), before + 1, "{who}");
    }
}

#[test]
fn many_events_that_wait_are_written_without_being_asked() {
    let disk = Shared::default();
    let record = record(&disk);
    let mut most = 0;
    for _ in 0..3 * CHECKPOINT_EVERY {
        record.append_soon(&finding()).unwrap();
        most = most.max(record.lock().waiting.len());
    }
    assert!(most < MOST_WAITING, "{most}");
    assert!(lines(&disk) > 2 * CHECKPOINT_EVERY);
    let seen = disk.with(|disk| verify_reader(disk.bytes.as_slice())).unwrap();
    assert!(seen.signed_through >= Some(2 * CHECKPOINT_EVERY), "{:?}", seen.signed_through);
}

#[test]
fn events_that_wait_fall_with_the_write_that_fails_but_for_whole_lines_and_the_record_says_so() {
    for (room, kept) in [(0, 0), (1, 0), (300, 0), (1000, 1), (1500, 2)] {
        let disk = Shared::default();
        let record = record(&disk);
        record.append_soon(&finding()).unwrap();
        record.append_soon(&finding()).unwrap();
        disk.with(|disk| disk.room = Some(room));
        let failed = record.append(&finding());
        assert!(
            matches!(failed, Err(RecordError::Write { seq, .. }) if seq == 1 + kept),
            "{room}: {failed:?}"
        );
        disk.with(|disk| disk.room = None);
        assert!(matches!(record.append_soon(&finding()), Err(RecordError::Broken { .. })), "{room}");
        record.recover().unwrap();
        assert_eq!(lines(&disk), 2 + kept, "{room}");
        let said = disk.with(|disk| String::from_utf8_lossy(&disk.bytes).into_owned());
        let want = format!("a write of {} lines failed; 1 events after it", 3 - kept);
        assert!(said.contains(&want), "{said}");
        assert_eq!(record.append(&finding()).unwrap(), 2 + kept);
    }
}

#[test]
fn of_a_record_only_what_follows_the_last_whole_line_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    for (before, after) in [("a\nb\nhalf", "a\nb\n"), ("a\nb\n", "a\nb\n"), ("a\n", "a\n")] {
        std::fs::write(&path, before).unwrap();
        cut_unfinished_line(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }
    std::fs::write(&path, "no line").unwrap();
    cut_unfinished_line(&path).unwrap_err();
}

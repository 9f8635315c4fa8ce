//! A disk that fills up, for real: this test program runs itself again under a limit on the size of files.
//!
//! `ulimit -f` makes a write that would pass the limit short, and the next one fail with `EFBIG`; `SIGXFSZ` is ignored by
//! the shell, and that is inherited.

use crate::{about, connection, exit};
use creel_audit::{Closing, Filter, Record, RecordError, read, verify};
use std::path::Path;
use std::process::Command;

const DIR: &str = "CREEL_TEST_RECORD_DIR";

#[test]
fn a_full_disk_stops_the_record_at_a_whole_line() {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact disk_full::under_a_limit --ignored"])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        // Where our own output is a file, the limit would hold for that, too.
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the part under the limit failed");
    let seen = verify(&dir.path().join(creel_audit::FILE_NAME)).unwrap();
    assert_eq!(seen.closing, Closing::OpenOrTruncated { unfinished: 0 });
    assert!(seen.events > 3, "{seen:?}");
}

#[test]
#[ignore = "runs only inside the test above, under its limit"]
fn under_a_limit() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let record = Record::create(Path::new(&dir), about()).unwrap();
    let mut recorded = 0;
    let error = loop {
        match record.append(&connection(recorded)) {
            Ok(_) => recorded += 1,
            Err(error) => break error,
        }
        assert!(recorded < 1000, "the limit was not felt");
    };
    assert!(matches!(error, RecordError::Write { .. }), "{error}");
    assert!(record.is_broken());
    // Small events would fit now; they are turned away all the same, until the record is recovered.
    assert!(matches!(record.append(&exit()), Err(RecordError::Broken { .. })));
    // The disk is still full, or nearly: if recovery succeeds, then only with its finding in the record.
    match record.recover() {
        Ok(()) => {
            let last = read(record.path(), Filter::default()).unwrap().last().unwrap().unwrap();
            assert_eq!(last.event.kind(), creel_audit::Kind::Finding);
        }
        Err(_) => assert!(record.is_broken()),
    }
}

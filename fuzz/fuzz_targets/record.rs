//! The verifier and the reader of records, on any bytes: no panic, and what verifies can be read.

#![no_main]

use creel_audit::{Colour, Filter, Reader, render, verify_reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let verified = verify_reader(bytes);
    let Ok(reader) = Reader::new(bytes, Filter::default()) else {
        assert!(verified.is_err(), "a record verifies, and its header cannot be read");
        return;
    };
    for entry in reader.flatten() {
        let line = render(&entry, Colour::None);
        assert!(!line.contains(['\n', '\x1b']), "a rendered line drives the terminal");
    }
});

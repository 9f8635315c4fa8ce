//! A layer of an image: whatever its names, links and sizes say, nothing appears beside its directory.
#![no_main]

use creel_image::{Limits, unpack};
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("layer")).unwrap();
    fs::write(place.path().join("beside"), "as it was").unwrap();
    let into = fs::File::open(place.path().join("layer")).unwrap();
    let _ = unpack(bytes, into.into(), Limits { bytes: 1 << 20, entries: 256 });
    assert_eq!(fs::read(place.path().join("beside")).unwrap(), b"as it was");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
});

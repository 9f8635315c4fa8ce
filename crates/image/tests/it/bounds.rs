//! Layers that want more than there is.

use crate::make::{dir, file, open, tar};
use creel_image::{LayerError, Limits, unpack};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

fn gzip(stream: impl Read) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::BufReader::new(stream), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn check(stream: &[u8], limits: Limits, what: &str) {
    let layer = tempfile::tempdir().unwrap();
    let result = unpack(stream, open(layer.path()), limits);
    match &result {
        Err(LayerError::TooMuch { what: found, .. }) => assert_eq!(*found, what),
        other => panic!("{what}: {other:?}"),
    }
}

/// A header that says what follows is so long, without what follows.
fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("x").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_bomb_of_bytes_stops_at_the_bound() {
    let limits = Limits { bytes: 1 << 20, entries: 100 };
    let big = header(tar::EntryType::Regular, 1 << 40);
    // It is refused before any of it is written.
    check(&big, limits, "bytes");
    let bomb = gzip(std::io::Cursor::new(tar(&[file("a", "")])).chain(std::io::repeat(0).take(64 << 20)));
    assert!(bomb.len() < 100_000);
    check(&bomb, limits, "bytes");
    let many: Vec<_> = (0..3).map(|n| file(&format!("f{n}"), &"x".repeat(400_000))).collect();
    check(&tar(&many), limits, "bytes");
}

#[test]
fn a_bomb_of_entries_stops_at_the_bound() {
    let many: Vec<_> = (0..101).map(|n| dir(&format!("d{n}"))).collect();
    check(&tar(&many), Limits { bytes: 1 << 20, entries: 100 }, "entries");
}

#[test]
fn directories_that_only_a_name_tells_of_count_as_entries() {
    let deep = |first: &str| file(&format!("{first}/{}f", "d/".repeat(60)), "");
    let few = tar(&[deep("a")]);
    assert!(unpack(&*few, open(tempfile::tempdir().unwrap().path()), limits(100)).is_ok());
    check(&tar(&[deep("a"), deep("b")]), limits(100), "entries");
}

fn limits(entries: u64) -> Limits {
    Limits { bytes: 1 << 20, entries }
}

#[test]
fn what_is_deeper_than_a_process_has_descriptors_is_replaced_and_removed() {
    let layer = tempfile::tempdir().unwrap();
    let deep = file(&format!("{}f", "d/".repeat(2000)), "");
    unpack(&*tar(&[deep, file("d", "new")]), open(layer.path()), limits(10_000)).unwrap();
    assert_eq!(std::fs::read_to_string(layer.path().join("d")).unwrap(), "new");
}

#[test]
fn long_names_do_not_fill_the_memory() {
    let limits = Limits { bytes: 64 << 30, entries: 100 };
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        let stream = std::io::Cursor::new(header(kind, 1 << 30)).chain(std::io::repeat(b'a').take(8 << 20));
        check(&gzip(stream), limits, "bytes in the headers of one entry");
    }
}

#[test]
fn a_sparse_file_counts_with_its_holes() {
    let mut sparse = tar::Header::new_gnu();
    sparse.set_path("hole").unwrap();
    sparse.set_entry_type(tar::EntryType::GNUSparse);
    sparse.set_size(0);
    sparse.set_mode(0o644);
    // The size with holes, in octal: 1 TiB.
    sparse.as_gnu_mut().unwrap().realsize[..11].copy_from_slice(b"77777777777");
    sparse.as_gnu_mut().unwrap().sparse[0].offset[..11].copy_from_slice(b"77777777777");
    sparse.as_gnu_mut().unwrap().sparse[0].numbytes[..11].copy_from_slice(b"00000000000");
    sparse.set_cksum();
    let stream = [sparse.as_bytes().to_vec(), vec![0; 1024]].concat();
    check(&stream, Limits { bytes: 1 << 20, entries: 10 }, "bytes");
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let whole = gzip(&tar(&[file("a", &"x".repeat(5000)), file("b", "y")])[..]);
    for cut in (1..whole.len() - 9).step_by(3) {
        let layer = tempfile::tempdir().unwrap();
        let result = unpack(&whole[..cut], open(layer.path()), Limits::default());
        assert!(matches!(result, Err(LayerError::Read(_))), "{cut}: {result:?}");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"no tar at all, but long enough to be a header").unwrap();
    let layer = tempfile::tempdir().unwrap();
    let result = unpack(&encoder.finish().unwrap()[..], open(layer.path()), Limits::default());
    assert!(matches!(result, Err(LayerError::Read(_))), "{result:?}");
}

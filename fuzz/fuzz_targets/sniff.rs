//! First bytes of a connection: what was told from fewer bytes is not told otherwise from more.
#![no_main]

use creel_net::sniff::{Spoken, look};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = look(bytes);
    for cut in 0..bytes.len().min(64) {
        if let Some(early @ (Spoken::Http1 | Spoken::Http2 | Spoken::Other)) = look(&bytes[..cut]) {
            assert_eq!(whole, Some(early));
        }
    }
});

//! A TLS client's first message: any bytes, whole and in pieces, give the same answer and no panic.
#![no_main]

use creel_net::clienthello::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    // What was understood early stays understood: bytes that follow do not change a hello.
    if let Some(cut) = bytes.len().checked_sub(1)
        && let Ok(Some(early)) = parse(&bytes[..cut])
        && bytes.len() <= creel_net::clienthello::MAX
    {
        assert_eq!(whole, Ok(Some(early)));
    }
});

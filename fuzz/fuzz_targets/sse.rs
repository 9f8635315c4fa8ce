//! The meter of streams, on any bytes: no panic, and the pieces that bytes come in make no difference.

#![no_main]

use creel_inference::Meter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    for make in [Meter::events, Meter::json] {
        let (mut whole, mut pieces) = (make(), make());
        whole.feed(bytes);
        bytes.chunks(usize::from(cut % 16) + 1).for_each(|piece| pieces.feed(piece));
        assert_eq!(whole.finish(), pieces.finish());
    }
});

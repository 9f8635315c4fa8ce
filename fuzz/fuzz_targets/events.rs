//! Streams of events, on any bytes: no panic, the pieces they come in make no difference, and what is withheld is gone.
#![no_main]

use creel_proxy::inspect::events::{Events, Verdict};
use libfuzzer_sys::fuzz_target;

fn run(bytes: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut judge = |data: &str| match data.len() % 3 {
        0 => Verdict::Pass,
        1 => Verdict::Instead("other".to_owned()),
        _ => Verdict::Withhold,
    };
    let mut events = Events::default();
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        out.extend(events.feed(piece, &mut judge).ok()?);
    }
    out.extend(events.finish(&mut judge).ok()?);
    Some(out)
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let whole = run(bytes, bytes.len().max(1));
    assert_eq!(whole, run(bytes, usize::from(cut % 16) + 1));
});

//! WebSocket frames, on any bytes: no panic, the pieces they come in make no difference, and what is handed on is what came.
#![no_main]

use creel_proxy::inspect::frames::{Borders, Frames, Piece};
use libfuzzer_sys::fuzz_target;

fn run(bytes: &[u8], piece: usize) -> (Vec<Piece>, bool) {
    let mut frames = Frames::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(piece) {
        match frames.feed(piece) {
            Ok(pieces) => all.extend(pieces),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let (whole, fine) = run(bytes, bytes.len().max(1));
    let (parts, as_fine) = run(bytes, usize::from(cut % 16) + 1);
    assert_eq!(fine, as_fine);
    if fine {
        assert_eq!(whole, parts);
        let sent: usize = whole.iter().map(|piece| match piece {
            Piece::Control(frame) => frame.len(),
            Piece::Message(_, frames) => frames.len(),
        }).sum();
        assert!(sent <= bytes.len());
    }
    let _ = Borders::default().pass(bytes);
});

//! Three-way merge of texts.

use crate::base::TEXT;

/// The most lines of a text that is merged: the time that it takes grows with the square of what differs.
const LINES: usize = 20_000;

/// What both sides made of `base`, when they did not touch the same lines; nothing when they did, or one of the three
/// is no text.
pub(crate) fn three_way(base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    for text in [base, ours, theirs] {
        let small = text.len() as u64 <= TEXT && text.iter().filter(|byte| **byte == b'\n').count() <= LINES;
        if !small || text.contains(&0) {
            return None;
        }
    }
    diffy::merge_bytes(base, ours, theirs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_different_lines_are_both_kept_and_of_the_same_line_neither() {
        let base = b"a\nb\nc\nd\ne\nf\ng\n";
        let ours = b"A\nb\nc\nd\ne\nf\ng\n";
        let theirs = b"a\nb\nc\nd\ne\nf\nG\n";
        assert_eq!(three_way(base, ours, theirs).unwrap(), b"A\nb\nc\nd\ne\nf\nG\n");
        assert_eq!(three_way(base, ours, b"x\nb\nc\nd\ne\nf\ng\n"), None);
        assert_eq!(three_way(base, b"\0", theirs), None);
    }
}

//! Finding, in a stream, the events that may say something to the meter.
//!
//! Nearly all events of a stream are a few words of an answer. An event can only matter when it holds one of a few
//! short texts, and searching for texts is many times faster than reading JSON. So whole events without any of them
//! are passed over; an event that has one, or that is not here whole, is read as if there were no such search. What is
//! found is therefore the same, in whatever pieces the stream comes.

use memchr::memmem::Finder;
use memchr::memrchr_iter;
use std::sync::LazyLock;

/// Texts of which one must stand in an event that matters, each with what may follow it.
static SIGNS: LazyLock<[(Finder<'static>, Follows); 5]> = LazyLock::new(|| {
    let sign = |text: &'static str, follows: Follows| (Finder::new(text), follows);
    [
        // Usage that is stated. Several backends state `null` in every event but the last.
        sign("\"usage\"", |after| !is_null(after)),
        // The same name with a letter of it as an escape.
        sign("\\u00", |after| begins(after, &[b"75", b"73", b"61", b"67", b"65"])),
        // A stream's last event.
        sign("[DONE]", |_| true),
        sign("\"message_stop\"", |_| true),
        sign("\"response.", |after| begins(after, &[b"completed\"", b"failed\"", b"incomplete\""])),
    ]
});

/// Whether a text matters with these bytes after it. Bytes that are not here yet may be any.
type Follows = fn(&[u8]) -> bool;

/// The signs in one piece of a stream.
pub(crate) struct Signs<'a> {
    bytes: &'a [u8],
    /// Where the next of each stands.
    next: [usize; 5],
    /// Up to here there is no end of an event that can be searched for.
    barren: usize,
}

impl<'a> Signs<'a> {
    /// Those in `bytes`.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let mut signs = Self { bytes, next: [0; 5], barren: 0 };
        (0..signs.next.len()).for_each(|sign| signs.find(sign, 0));
        signs
    }

    /// Where the events end that begin at `at`, where an event begins, and have no sign. `at` itself when none does.
    pub(crate) fn pass(&mut self, at: usize) -> usize {
        for sign in 0..self.next.len() {
            if self.next[sign] < at {
                self.find(sign, at);
            }
        }
        let sign = self.next.into_iter().min().unwrap_or(at);
        if sign <= self.barren {
            return at;
        }
        match last_end(&self.bytes[at..sign]) {
            Some(end) => at + end,
            None => {
                self.barren = sign;
                at
            }
        }
    }

    fn find(&mut self, sign: usize, from: usize) {
        let (finder, follows) = &SIGNS[sign];
        let mut at = from;
        self.next[sign] = loop {
            let Some(found) = finder.find(&self.bytes[at..]) else { break self.bytes.len() };
            let after = at + found + finder.needle().len();
            if follows(&self.bytes[after..]) {
                break at + found;
            }
            at = after;
        };
    }
}

/// Behind the last empty line. Lines may also end in CR alone; such a stream is read event by event.
fn last_end(bytes: &[u8]) -> Option<usize> {
    let ends = |&at: &usize| bytes[..at].ends_with(b"\n") || bytes[..at].ends_with(b"\n\r");
    memrchr_iter(b'\n', bytes).find(ends).map(|at| at + 1)
}

/// Whether the value after a name is `null`.
fn is_null(after: &[u8]) -> bool {
    after.starts_with(b":null") || after.starts_with(b": null")
}

fn begins(after: &[u8], any: &[&[u8]]) -> bool {
    any.iter().any(|text| after.starts_with(&text[..text.len().min(after.len())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left to read of `stream`, an event's beginning.
    #[track_caller]
    fn check(stream: &str, left: &str) {
        let at = Signs::of(stream.as_bytes()).pass(0);
        assert_eq!(&stream[at..], left, "{stream:?}");
    }

    #[test]
    fn events_without_a_sign_are_passed_over_up_to_one_that_has_one() {
        check("data: a\n\ndata: b\r\n\r\n", "");
        check("data: a\n\ndata: b\n", "data: b\n");
        check("data: a\n\ndata: {\"usage\":{}}\n\ndata: b\n\n", "data: {\"usage\":{}}\n\ndata: b\n\n");
        check("data: a\n\ndata: {\"us\\u0061ge\":{}}\n\n", "data: {\"us\\u0061ge\":{}}\n\n");
        check("data: a\n\ndata: [DONE]\n\n", "data: [DONE]\n\n");
        check("data: \"response.created\"\n\ndata: \"response.failed\"\n\n", "data: \"response.failed\"\n\n");
        check("data: \"message_stop\"\n\n", "data: \"message_stop\"\n\n");
    }

    #[test]
    fn what_only_looks_like_a_sign_is_passed_over() {
        for event in
            [r#"{"usage":null}"#, r#"{"usage": null}"#, r#"\u00e9"#, r#""response.completed_part""#, "DONE"]
        {
            check(&format!("data: {event}\n\n"), "");
        }
    }

    #[test]
    fn a_stream_whose_lines_end_in_cr_alone_is_not_searched_again_for_each_event() {
        let stream = "data: a\r\rdata: b\r\r";
        let mut signs = Signs::of(stream.as_bytes());
        assert_eq!((signs.pass(0), signs.barren, signs.pass(9)), (0, stream.len(), 9));
    }
}

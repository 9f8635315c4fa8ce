//! Splitting a stream of server-sent events (WHATWG HTML §9.2), in whatever pieces it arrives.
//!
//! Only what metering needs: the data of each event and where it ends. Nothing is held: data is handed on as it comes,
//! so an event of any length costs no memory here.

use memchr::memchr2;

/// What is done with what a [`Splitter`] finds.
pub(crate) trait Events {
    /// More of the current event's data. Lines of it are joined by `\n`.
    fn data(&mut self, bytes: &[u8]);

    /// The event is over.
    fn end(&mut self);
}

/// The splitter of one stream.
#[derive(Debug)]
pub(crate) struct Splitter {
    line: Line,
    /// The last byte was a CR, so that an LF right after it belongs to it.
    after_cr: bool,
    /// How many bytes of a byte order mark were seen; past its length when none can follow.
    mark: usize,
    /// The current event has data.
    has_data: bool,
}

/// Where in a line the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// In a name that has begun with this many bytes of `data`.
    Name(usize),
    /// Right behind the colon, where one space does not count.
    Space,
    /// In data.
    Data,
    /// In a comment, or in a field other than data.
    Other,
}

const NAME: &[u8] = b"data";
const MARK: &[u8] = b"\xef\xbb\xbf";

impl Splitter {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { line: Line::Name(0), after_cr: false, mark: 0, has_data: false }
    }

    /// Reads on to the end of an event, or of `bytes`, and says how far that is. Of an empty line it is past its first
    /// byte: what is left of its end belongs to no event.
    pub(crate) fn feed_event(&mut self, bytes: &[u8], to: &mut impl Events) -> usize {
        let mut rest = self.without_mark(bytes);
        while let Some((&first, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = after;
                continue;
            }
            let end = memchr2(b'\r', b'\n', rest);
            self.part(&rest[..end.unwrap_or(rest.len())], to);
            let Some(end) = end else { break };
            self.after_cr = rest[end] == b'\r';
            let empty = self.line == Line::Name(0);
            self.line_end(to);
            rest = &rest[end + 1..];
            if empty {
                return bytes.len() - rest.len();
            }
        }
        bytes.len()
    }

    /// Whether the next byte may be passed over with the whole event that it begins.
    pub(crate) fn is_between(&self) -> bool {
        self.line == Line::Name(0) && !self.has_data && self.mark == MARK.len()
    }

    /// Whole events were passed over; the last of them ended in LF.
    pub(crate) fn passed(&mut self) {
        self.after_cr = false;
    }

    /// The stream is over: an event without its blank line ends here.
    pub(crate) fn end(&mut self, to: &mut impl Events) {
        if std::mem::take(&mut self.has_data) {
            to.end();
        }
    }

    /// Skips a byte order mark at the very beginning.
    fn without_mark<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while let (Some(&wanted), Some((&first, after))) = (MARK.get(self.mark), rest.split_first()) {
            if first != wanted {
                // Part of a mark is part of a name that nobody knows.
                if self.mark > 0 {
                    self.line = Line::Other;
                }
                self.mark = MARK.len();
                break;
            }
            self.mark += 1;
            rest = after;
        }
        rest
    }

    /// Bytes of a line, none of them its end.
    fn part(&mut self, bytes: &[u8], to: &mut impl Events) {
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            match self.line {
                Line::Other => return,
                Line::Data => return to.data(rest),
                Line::Space => {
                    self.line = Line::Data;
                    rest = if first == b' ' { after } else { rest };
                }
                Line::Name(seen) => {
                    self.line = match NAME.get(seen) {
                        Some(&wanted) if first == wanted => Line::Name(seen + 1),
                        None if first == b':' => self.begin_data(to),
                        _ => Line::Other,
                    };
                    rest = after;
                }
            }
        }
    }

    fn begin_data(&mut self, to: &mut impl Events) -> Line {
        if std::mem::replace(&mut self.has_data, true) {
            to.data(b"\n");
        }
        Line::Space
    }

    fn line_end(&mut self, to: &mut impl Events) {
        match std::mem::replace(&mut self.line, Line::Name(0)) {
            // An empty line ends the event; one without data never began.
            Line::Name(0) => self.end(to),
            // `data` alone is an empty line of data.
            Line::Name(seen) if seen == NAME.len() => {
                self.begin_data(to);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Collected {
        current: Vec<u8>,
        events: Vec<String>,
    }

    impl Events for Collected {
        fn data(&mut self, bytes: &[u8]) {
            self.current.extend_from_slice(bytes);
        }

        fn end(&mut self) {
            self.events.push(String::from_utf8(std::mem::take(&mut self.current)).unwrap());
        }
    }

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let (mut splitter, mut to) = (Splitter::new(), Collected::default());
        for mut rest in pieces {
            while !rest.is_empty() {
                rest = &rest[splitter.feed_event(rest, &mut to)..];
            }
        }
        splitter.end(&mut to);
        to.events
    }

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        assert_eq!(split([stream.as_bytes()]), expected, "{stream:?}");
        assert_eq!(split(stream.as_bytes().chunks(1)), expected, "{stream:?}, a byte at a time");
    }

    #[test]
    fn events_are_split_as_the_standard_says() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
        check("data: a\r\ndata: b\n\r\n", &["a\nb"]);
        check("event: x\ndata:a\nid: 7\n\n", &["a"]);
        check("data:  two spaces\n\n", &[" two spaces"]);
        check(": comment\n\ndata: a\n\n", &["a"]);
        check("data\n\n", &[""]);
        check("data\ndata\n\n", &["\n"]);
        check("data: a\ndata\ndata:\n\n", &["a\n\n"]);
        check("datax: a\ndat: b\n data: c\n\n", &[]);
        check("event: ping\n\n\n\n", &[]);
        check("\u{feff}data: a\n\n", &["a"]);
        check("data: \u{feff}a\n\n", &["\u{feff}a"]);
        check("data: no blank line", &["no blank line"]);
        check("", &[]);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            text in "((data|event|dat|:|)(: ?|)[ab:]{0,3}(\r\n|\n|\r)(\r\n|\n|\r)?){0,12}",
            cuts in prop::collection::vec(1..5_usize, 1..40),
        ) {
            let whole = split([text.as_bytes()]);
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(split(pieces), whole);
        }
    }
}

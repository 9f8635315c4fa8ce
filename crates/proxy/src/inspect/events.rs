//! Server-sent events (WHATWG HTML §9.2), one by one: each is judged whole before any of it is handed on.

use std::borrow::Cow;

/// The most that one event may have.
pub const MOST: usize = 4 << 20;

/// What becomes of an event's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is handed on as it came.
    Pass,
    /// It is handed on with this data instead.
    Instead(String),
    /// Its other fields are handed on without data: no client sees an event.
    Withhold,
}

/// An event is longer than [`MOST`], or not UTF-8: the stream ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MOST} bytes, or not in UTF-8")]
pub struct Unreadable;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub struct Events {
    held: Vec<u8>,
    /// How much of `held` was searched for the end of an event.
    searched: usize,
    begun: bool,
}

impl Events {
    /// Takes more of the stream and hands on each event that is whole, as `judge` says of its data.
    ///
    /// # Errors
    /// An event that cannot be read; nothing more may be taken from the stream.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        judge: &mut dyn FnMut(&str) -> Verdict,
    ) -> Result<Vec<u8>, Unreadable> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::new();
        let mut from = 0;
        while let Some(end) = end_of_event(&self.held[from..], self.searched.saturating_sub(from)) {
            self.event(from, from + end, judge, &mut out)?;
            from += end;
            self.searched = from;
        }
        self.held.drain(..from);
        // The last bytes may be the first half of an end.
        self.searched = self.held.len().saturating_sub(4);
        if self.held.len() > MOST { Err(Unreadable) } else { Ok(out) }
    }

    /// What is left when the stream is over: an event without its end, which no client dispatches.
    ///
    /// # Errors
    /// As for [`Events::feed`].
    pub fn finish(&mut self, judge: &mut dyn FnMut(&str) -> Verdict) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        let end = self.held.len();
        if end > 0 {
            self.event(0, end, judge, &mut out)?;
        }
        self.held.clear();
        Ok(out)
    }

    fn event(
        &mut self,
        from: usize,
        to: usize,
        judge: &mut dyn FnMut(&str) -> Verdict,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let raw = &self.held[from..to];
        if raw.len() > MOST {
            return Err(Unreadable);
        }
        let text = std::str::from_utf8(raw).map_err(|_| Unreadable)?;
        let marked = !std::mem::replace(&mut self.begun, true);
        let text = if marked { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let Some(data) = data(text) else {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        };
        match judge(&data) {
            Verdict::Pass => out.extend_from_slice(text.as_bytes()),
            Verdict::Instead(new) => write(text, Some(&new), out),
            Verdict::Withhold => write(text, None, out),
        }
        Ok(())
    }
}

/// Past the empty line that ends the first event, searched from `from`.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(4);
    // Where a line begins: at the start, or right behind the end of another.
    let mut begins = at == 0;
    while at < bytes.len() {
        let length = match (bytes[at], bytes.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            // Whether a line feed follows is not known yet.
            (b'\r', None) => return None,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        at += length.max(1);
        if length > 0 && begins {
            return Some(at);
        }
        begins = length > 0;
    }
    None
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix("\r\n").or_else(|| after.get(1..)).unwrap_or_default();
        Some(line)
    })
}

fn data_of(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("data")?;
    match rest.strip_prefix(':') {
        Some(value) => Some(value.strip_prefix(' ').unwrap_or(value)),
        None => rest.is_empty().then_some(""),
    }
}

/// The data of an event, its lines joined; `None` when it has none.
fn data(event: &str) -> Option<Cow<'_, str>> {
    let mut found = lines(event).filter_map(data_of);
    let first = found.next()?;
    Some(match found.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut all = format!("{first}\n{second}");
            for line in found {
                all.push('\n');
                all.push_str(line);
            }
            Cow::Owned(all)
        }
    })
}

/// The event with other data, or with none.
fn write(event: &str, data: Option<&str>, out: &mut Vec<u8>) {
    for line in lines(event).filter(|line| !line.is_empty() && data_of(line).is_none()) {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    for line in data.into_iter().flat_map(|data| data.split('\n')) {
        out.extend_from_slice(format!("data: {line}\n").as_bytes());
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(data: &str) -> Verdict {
        match data {
            "no" => Verdict::Withhold,
            "other" => Verdict::Instead("1\n2".to_owned()),
            _ => Verdict::Pass,
        }
    }

    fn run(stream: &[u8], piece: usize) -> Vec<u8> {
        let mut events = Events::default();
        let mut out = Vec::new();
        for bytes in stream.chunks(piece) {
            out.extend(events.feed(bytes, &mut judge).unwrap());
        }
        out.extend(events.finish(&mut judge).unwrap());
        out
    }

    fn check(stream: &str, want: &str) {
        for piece in [1, 2, 3, 7, 1024] {
            let got = run(stream.as_bytes(), piece);
            assert_eq!(String::from_utf8_lossy(&got), want, "{stream:?} by {piece}");
        }
    }

    #[test]
    fn events_pass_as_they_came_and_are_withheld_whole() {
        check("data: a\n\n: c\n\nid: 1\r\ndata:b\r\n\r\n", "data: a\n\n: c\n\nid: 1\r\ndata:b\r\n\r\n");
        check("id: 7\ndata: no\n\ndata: a\n\n", "id: 7\n\ndata: a\n\n");
        check("data:no\r\rdata: a\r\r", "\ndata: a\r\r");
        check("event: m\ndata: other\n\n", "event: m\ndata: 1\ndata: 2\n\n");
        check("data: n\ndata: o\n\n", "data: n\ndata: o\n\n");
        check("\u{feff}data: no\n\n", "\n");
        check("data\n\ndata: no", "data\n\n\n");
    }

    #[test]
    fn an_event_without_end_ends_the_stream() {
        let mut events = Events::default();
        let more = vec![b'x'; MOST / 2];
        assert!(events.feed(&more, &mut judge).is_ok());
        assert!(events.feed(&more, &mut judge).is_ok());
        assert_eq!(events.feed(&more, &mut judge), Err(Unreadable));
        assert_eq!(Events::default().feed(b"data: \xff\n\n", &mut judge), Err(Unreadable));
    }
}

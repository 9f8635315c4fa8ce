//! Reading usage from a response while it passes.
//!
//! The meter looks at bytes and keeps none of them beyond a few short values, so it delays and changes nothing, and its
//! memory does not grow with the response. It reads what the backend states. A chat stream without
//! `stream_options.include_usage` states nothing, and then nothing is known: an estimate would look like a fact.

use crate::pick::{Paths, Picker};
use crate::signs::Signs;
use crate::sse::{Events, Splitter};
use crate::usage::Stated;
use creel_audit::Tokens;

/// Where usage stands: at the top, in the response of a Responses event, in the message of an Anthropic one. And the
/// type of an event.
const PATHS: Paths = &[&["usage"], &["response", "usage"], &["message", "usage"], &["type"]];
const USAGES: std::ops::Range<usize> = 0..3;
const TYPE: usize = 3;

/// Events after which a stream has nothing more to say.
const LAST: &[&[u8]] =
    &[b"\"response.completed\"", b"\"response.failed\"", b"\"response.incomplete\"", b"\"message_stop\""];

/// What ends a chat stream.
const DONE: &[u8] = b"[DONE]";

/// What a meter has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Tokens, as far as they were stated.
    pub tokens: Tokens,
    /// Whether the stream's last event was seen.
    pub last_event: bool,
}

/// A reader of the usage in one response.
#[derive(Debug)]
pub struct Meter(Kind);

#[derive(Debug)]
enum Kind {
    Events(Splitter, Box<Event>),
    Json(Box<Picker>),
    Blind,
}

/// What is known of the current event, and of all before it.
#[derive(Debug)]
struct Event {
    picker: Picker,
    /// The first bytes of the data.
    head: Vec<u8>,
    stated: Stated,
    last: bool,
}

impl Meter {
    /// For `text/event-stream`.
    pub fn events() -> Self {
        let event =
            Event { picker: Picker::new(PATHS), head: Vec::new(), stated: Stated::default(), last: false };
        Self(Kind::Events(Splitter::new(), Box::new(event)))
    }

    /// For `application/json`.
    pub fn json() -> Self {
        Self(Kind::Json(Box::new(Picker::new(PATHS))))
    }

    /// For what cannot be read: compressed, or of another type.
    pub fn blind() -> Self {
        Self(Kind::Blind)
    }

    /// The meter for a response with this content type and encoding.
    pub(crate) fn of(content_type: &str, encoding: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            _ if !matches!(encoding.trim(), "" | "identity") => Self::blind(),
            "text/event-stream" => Self::events(),
            "application/json" => Self::json(),
            _ => Self::blind(),
        }
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Events(splitter, event) => read(splitter, event, bytes),
            Kind::Json(picker) => picker.feed(bytes),
            Kind::Blind => {}
        }
    }

    /// What has been read so far. The response is over: what begins after this is not read.
    pub fn finish(&mut self) -> Reading {
        match &mut self.0 {
            Kind::Events(splitter, event) => {
                splitter.end(&mut **event);
                Reading { tokens: event.stated.tokens(), last_event: event.last }
            }
            Kind::Json(picker) => {
                let mut stated = Stated::default();
                take_usage(picker, &mut stated);
                Reading { tokens: stated.tokens(), last_event: false }
            }
            Kind::Blind => Reading { tokens: Tokens::default(), last_event: false },
        }
    }

    /// Whether the stream's last event has gone by.
    pub(crate) fn saw_last_event(&self) -> bool {
        matches!(&self.0, Kind::Events(_, event) if event.last)
    }
}

/// Reads the events in `bytes` that may say something.
fn read(splitter: &mut Splitter, event: &mut Event, bytes: &[u8]) {
    let (mut signs, mut at) = (Signs::of(bytes), 0);
    while at < bytes.len() {
        if splitter.is_between() {
            let passed = signs.pass(at);
            if passed > at {
                splitter.passed();
                at = passed;
            }
        }
        at += splitter.feed_event(&bytes[at..], event);
    }
}

impl Events for Event {
    fn data(&mut self, bytes: &[u8]) {
        let room = (DONE.len() + 1).saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.picker.feed(bytes);
    }

    fn end(&mut self) {
        take_usage(&self.picker, &mut self.stated);
        let last_type = self.picker.value(TYPE).is_some_and(|name| LAST.contains(&name));
        self.last |= last_type || self.head == DONE;
        self.picker.reset();
        self.head.clear();
    }
}

fn take_usage(picker: &Picker, stated: &mut Stated) {
    USAGES.filter_map(|path| picker.value(path)).for_each(|json| stated.take(json));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAT: &[u8] = include_bytes!("../tests/streams/chat.sse");
    const CHAT_NO_USAGE: &[u8] = include_bytes!("../tests/streams/chat_without_usage.sse");
    const RESPONSES: &[u8] = include_bytes!("../tests/streams/responses.sse");
    const MESSAGES: &[u8] = include_bytes!("../tests/streams/messages.sse");

    const KNOWN: Tokens = Tokens { input: Some(100), output: Some(20), cached: None };
    const KNOWN_CACHE: Tokens = Tokens { input: Some(100), output: Some(20), cached: Some(0) };

    /// Lines that mean something to the meter, nearly do, or are in the way of it.
    const LINES: &[&str] = &[
        "data: {\"choices\":[]}",
        "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
        "data: {\"usage\":null,\"usage\":{\"prompt_tokens\":3}}",
        "data: {\"usage\":{\"prompt_tokens\":4},\"usage\":null}",
        "data: {\"us\\u0061ge\":{\"prompt_tokens\":5}}",
        "data: {\"response\":{\"usage\":{\"output_tokens\":6}},\"type\":\"response.completed\"}",
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\u00e9\"}",
        "data: {\"type\":\"message_stop\"}",
        "data: {\"usage\":",
        "data: {\"prompt_tokens\":7}}",
        "data: [DONE]",
        "data: [DONE] ",
        "data",
        "event: \"usage\"",
        ": \"usage\"",
        "",
    ];

    /// What is read when every event is.
    fn unpassed(bytes: &[u8]) -> Reading {
        let mut meter = Meter::events();
        let Kind::Events(splitter, event) = &mut meter.0 else { unreachable!() };
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[splitter.feed_event(rest, &mut **event)..];
        }
        meter.finish()
    }

    fn reading<'a>(mut meter: Meter, pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
        pieces.into_iter().for_each(|piece| meter.feed(piece));
        meter.finish()
    }

    #[test]
    fn each_stream_gives_its_usage_and_its_end() {
        for (stream, tokens) in [
            (CHAT, KNOWN),
            (CHAT_NO_USAGE, Tokens::default()),
            (RESPONSES, KNOWN_CACHE),
            (MESSAGES, KNOWN_CACHE),
        ] {
            assert_eq!(reading(Meter::events(), [stream]), Reading { tokens, last_event: true });
        }
    }

    #[test]
    fn a_cut_stream_gives_what_was_stated_before_the_cut() {
        let cut = MESSAGES.len() / 2;
        let reading = reading(Meter::events(), [&MESSAGES[..cut]]);
        assert_eq!(reading.tokens.input, Some(100));
        assert!(!reading.last_event);
    }

    #[test]
    fn a_type_and_an_encoding_choose_the_meter() {
        let json = br#"{"usage":{"prompt_tokens":100,"completion_tokens":20}}"#;
        for (content_type, encoding, tokens) in [
            ("application/json", "", KNOWN),
            ("Application/JSON; charset=utf-8", "identity", KNOWN),
            ("application/json", "gzip", Tokens::default()),
            ("text/event-stream", "", Tokens::default()),
            ("text/plain", "", Tokens::default()),
        ] {
            assert_eq!(
                reading(Meter::of(content_type, encoding), [&json[..]]).tokens,
                tokens,
                "{content_type} {encoding}"
            );
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            cuts in prop::collection::vec(1..200_usize, 1..50),
            stream in prop::sample::select(vec![CHAT, CHAT_NO_USAGE, RESPONSES, MESSAGES]),
        ) {
            let mut rest = stream;
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(reading(Meter::events(), pieces), reading(Meter::events(), [stream]));
        }

        #[test]
        fn passing_over_events_makes_no_difference(
            lines in prop::collection::vec(prop::sample::select(LINES.to_vec()), 0..24),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"]), 1..5),
            cut in 1..60_usize,
        ) {
            let text: String = lines.iter().zip(ends.iter().cycle()).flat_map(|(line, end)| [*line, *end]).collect();
            let expected = unpassed(text.as_bytes());
            prop_assert_eq!(reading(Meter::events(), [text.as_bytes()]), expected);
            prop_assert_eq!(reading(Meter::events(), text.as_bytes().chunks(cut)), expected);
        }
    }
}

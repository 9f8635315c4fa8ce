//! Reading a few members out of a JSON object that goes by, without holding the object.
//!
//! A request may be megabytes of conversation and a response as long; three short values of them are wanted. So the
//! text is not parsed: it is scanned for where strings, objects and arrays begin and end, and what stands at a wanted
//! path is kept, up to a bound. What is not JSON gives no values, and never an error: the bytes are the backend's to
//! judge. Of a member that is there twice the last counts, as in the parsers that backends are written with.

use memchr::memchr2;
use std::borrow::Cow;

/// The longest value that is kept, in bytes.
const MAX_VALUE: usize = 16 * 1024;

/// The longest key that is compared, in bytes.
const MAX_KEY: usize = 256;

/// The deepest path that can be wanted.
const MAX_DEPTH: usize = 4;

/// Paths of member names, from the outermost object inwards. At most 32.
pub(crate) type Paths = &'static [&'static [&'static str]];

/// The scanner of one object.
#[derive(Debug)]
pub(crate) struct Picker {
    wanted: Paths,
    found: Vec<Option<Vec<u8>>>,
    /// For each open object on the way to something wanted: the paths that it is on, a bit each.
    open: Vec<u32>,
    state: State,
    /// The key or value that is being read.
    buffer: Vec<u8>,
    /// Whether the value that is being read did not fit.
    overflowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outermost object.
    Outside,
    /// Where a key, or the object's end, stands.
    BeforeKey,
    /// In a key; whether the last byte was a backslash.
    Key { escaped: bool },
    /// Between a key and its colon.
    Colon,
    /// Between a colon and the value; the paths that the key is on.
    BeforeValue { on: u32 },
    /// In a value; its slot when it is wanted.
    Value { slot: Option<u8>, shape: Shape },
    /// After a value.
    AfterValue,
    /// After the outermost object, or after something that is not JSON.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A number or a word: it ends where something else begins.
    Scalar,
    /// A string.
    Text { escaped: bool },
    /// An object or array, `depth` deep; whether within a string in it.
    Nested { depth: u32, text: bool, escaped: bool },
}

impl Picker {
    /// A scanner for the values at these paths.
    pub(crate) fn new(wanted: Paths) -> Self {
        debug_assert!(wanted.len() <= 32 && wanted.iter().all(|path| path.len() <= MAX_DEPTH));
        Self {
            wanted,
            found: vec![None; wanted.len()],
            open: Vec::with_capacity(MAX_DEPTH),
            state: State::Outside,
            buffer: Vec::new(),
            overflowed: false,
        }
    }

    /// Makes ready for another object.
    pub(crate) fn reset(&mut self) {
        self.found.iter_mut().for_each(|value| *value = None);
        self.open.clear();
        self.state = State::Outside;
        self.buffer.clear();
        self.overflowed = false;
    }

    /// The text of the value at the path of this number, once it was read whole.
    pub(crate) fn value(&self, path: usize) -> Option<&[u8]> {
        self.found.get(path)?.as_deref()
    }

    /// Reads on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::Over {
                return;
            }
            let plain = self.plain(rest);
            if plain > 0 {
                self.keep(&rest[..plain]);
                rest = &rest[plain..];
                continue;
            }
            // A scalar ends at a byte that is not its own, which is looked at again.
            if self.step(byte) {
                rest = after;
            }
        }
    }

    /// How many of the next bytes are ordinary text of a string, of which nothing but the end matters.
    fn plain(&self, bytes: &[u8]) -> usize {
        let in_text = matches!(
            self.state,
            State::Value {
                shape: Shape::Text { escaped: false } | Shape::Nested { text: true, escaped: false, .. },
                ..
            }
        );
        if !in_text {
            return 0;
        }
        memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())
    }

    /// Takes one byte, or leaves it to the next state and says so.
    fn step(&mut self, byte: u8) -> bool {
        match self.state {
            State::Outside => self.outside(byte),
            State::BeforeKey => self.before_key(byte),
            State::Key { escaped } => self.key(byte, escaped),
            State::Colon => {
                self.expect(byte, b':', |picker| State::BeforeValue { on: picker.paths_of_key() })
            }
            State::BeforeValue { on } => self.before_value(byte, on),
            State::Value { slot, shape } => return self.value_byte(byte, slot, shape),
            State::AfterValue => self.after_value(byte),
            State::Over => {}
        }
        true
    }

    fn outside(&mut self, byte: u8) {
        let all = u32::MAX.checked_shr(32 - u32::try_from(self.wanted.len()).unwrap_or(32)).unwrap_or(0);
        self.expect(byte, b'{', |picker| {
            picker.open.push(all);
            State::BeforeKey
        });
    }

    fn before_key(&mut self, byte: u8) {
        match byte {
            b'}' => self.close(),
            b'"' => {
                self.begin();
                self.state = State::Key { escaped: false };
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => self.state = State::Over,
        }
    }

    fn key(&mut self, byte: u8, escaped: bool) {
        if byte == b'"' && !escaped {
            self.state = State::Colon;
            return;
        }
        self.overflowed |= self.buffer.len() == MAX_KEY;
        if !self.overflowed {
            self.buffer.push(byte);
        }
        self.state = State::Key { escaped: byte == b'\\' && !escaped };
    }

    fn before_value(&mut self, byte: u8, on: u32) {
        if byte.is_ascii_whitespace() {
            return;
        }
        let depth = self.open.len();
        let slot = (0..self.wanted.len()).find(|&i| on & 1 << i != 0 && self.wanted[i].len() == depth);
        if byte == b'{' && slot.is_none() && on != 0 && depth < MAX_DEPTH {
            self.open.push(on);
            self.state = State::BeforeKey;
            return;
        }
        let shape = match byte {
            b'"' => Shape::Text { escaped: false },
            b'{' | b'[' => Shape::Nested { depth: 1, text: false, escaped: false },
            _ => Shape::Scalar,
        };
        self.begin();
        let slot = slot.and_then(|slot| u8::try_from(slot).ok());
        self.state = State::Value { slot, shape };
        self.keep(&[byte]);
    }

    fn value_byte(&mut self, byte: u8, slot: Option<u8>, shape: Shape) -> bool {
        if shape == Shape::Scalar && (matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()) {
            self.finish(slot);
            return false;
        }
        self.keep(&[byte]);
        match shape.after(byte) {
            Some(shape) => self.state = State::Value { slot, shape },
            None => self.finish(slot),
        }
        true
    }

    fn after_value(&mut self, byte: u8) {
        match byte {
            b',' => self.state = State::BeforeKey,
            b'}' => self.close(),
            _ if byte.is_ascii_whitespace() => {}
            _ => self.state = State::Over,
        }
    }

    fn close(&mut self) {
        self.open.pop();
        self.state = if self.open.is_empty() { State::Over } else { State::AfterValue };
    }

    fn expect(&mut self, byte: u8, wanted: u8, next: impl FnOnce(&mut Self) -> State) {
        if byte == wanted {
            self.state = next(self);
        } else if !byte.is_ascii_whitespace() {
            self.state = State::Over;
        }
    }

    fn begin(&mut self) {
        self.buffer.clear();
        self.overflowed = false;
    }

    /// Keeps bytes of a wanted value.
    fn keep(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Value { slot: Some(_), .. }) || self.overflowed {
            return;
        }
        self.overflowed = self.buffer.len() + bytes.len() > MAX_VALUE;
        if !self.overflowed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self, slot: Option<u8>) {
        self.state = State::AfterValue;
        if let Some(found) = slot.and_then(|slot| self.found.get_mut(usize::from(slot))) {
            *found = (!self.overflowed).then(|| std::mem::take(&mut self.buffer));
        }
    }

    /// The wanted paths that the key just read is on.
    fn paths_of_key(&self) -> u32 {
        let (Some(&on), depth) = (self.open.last(), self.open.len()) else { return 0 };
        if self.overflowed || on == 0 {
            return 0;
        }
        let Some(key) = decoded(&self.buffer) else { return 0 };
        (0..self.wanted.len())
            .filter(|&i| on & 1 << i != 0 && self.wanted[i].get(depth - 1).is_some_and(|name| *name == key))
            .fold(0, |paths, i| paths | 1 << i)
    }
}

impl Shape {
    /// The shape after a byte of it, or nothing when that was its last.
    fn after(self, byte: u8) -> Option<Self> {
        match self {
            Self::Scalar => Some(self),
            Self::Text { escaped: false } if byte == b'"' => None,
            Self::Text { escaped } => Some(Self::Text { escaped: byte == b'\\' && !escaped }),
            Self::Nested { depth, text: true, escaped } => {
                let ends = byte == b'"' && !escaped;
                Some(Self::Nested { depth, text: !ends, escaped: byte == b'\\' && !escaped })
            }
            Self::Nested { depth, text: false, .. } => match byte {
                b'"' => Some(Self::Nested { depth, text: true, escaped: false }),
                b'{' | b'[' => {
                    Some(Self::Nested { depth: depth.saturating_add(1), text: false, escaped: false })
                }
                b'}' | b']' if depth == 1 => None,
                b'}' | b']' => Some(Self::Nested { depth: depth - 1, text: false, escaped: false }),
                _ => Some(self),
            },
        }
    }
}

/// A key as it is meant: escapes are another spelling of the same name.
fn decoded(raw: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if text.contains('\\') {
        serde_json::from_str(&format!("\"{text}\"")).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATHS: Paths = &[&["model"], &["stream"], &["options", "usage"], &["options", "deep", "x"]];

    fn picked(chunks: &[&str]) -> [Option<String>; 4] {
        let mut picker = Picker::new(PATHS);
        chunks.iter().for_each(|chunk| picker.feed(chunk.as_bytes()));
        std::array::from_fn(|i| picker.value(i).map(|value| String::from_utf8_lossy(value).into_owned()))
    }

    #[track_caller]
    fn check(json: &str, expected: [Option<&str>; 4]) {
        let expected = expected.map(|value| value.map(str::to_owned));
        assert_eq!(picked(&[json]), expected, "{json}");
        let bytes: Vec<String> = json.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(picked(&bytes), expected, "{json}, a character at a time");
    }

    #[test]
    fn values_are_found_where_they_are_and_nowhere_else() {
        check(r#"{"model":"m","stream":true}"#, [Some("\"m\""), Some("true"), None, None]);
        check(r#" { "a" : [ {"model":"no"} , "}" ], "model" : "m" } "#, [Some("\"m\""), None, None, None]);
        check(
            r#"{"messages":[{"content":"\"model\":\"no\" \\"}],"stream":false}"#,
            [None, Some("false"), None, None],
        );
        check(
            r#"{"options":{"usage":{"a":[1,2]},"deep":{"x":-1.5e3},"model":"no"}}"#,
            [None, None, Some(r#"{"a":[1,2]}"#), Some("-1.5e3")],
        );
        check(r#"{"options":[{"usage":1}],"usage":2}"#, [None; 4]);
        check(r#"{"options":null,"stream":null}"#, [None, Some("null"), None, None]);
    }

    #[test]
    fn a_name_in_another_spelling_is_the_same_name_and_the_last_counts() {
        check(r#"{"mod\u0065l":"m"}"#, [Some("\"m\""), None, None, None]);
        check(r#"{"model":"a","model":"b"}"#, [Some("\"b\""), None, None, None]);
        check(r#"{"mode":"a","models":"b"}"#, [None; 4]);
    }

    #[test]
    fn what_is_not_an_object_gives_nothing() {
        for text in [
            "",
            "[]",
            "\"model\"",
            "{",
            "{\"model\"",
            "{\"model\":",
            "{\"model\":\"m",
            "}{",
            "{]\"model\":1}",
        ] {
            check(text, [None; 4]);
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_not_kept_and_those_after_it_are() {
        let long = "x".repeat(MAX_VALUE);
        check(&format!(r#"{{"model":"{long}","stream":true}}"#), [None, Some("true"), None, None]);
        let key = "k".repeat(10 * MAX_KEY);
        check(&format!(r#"{{"{key}":"model","stream":true}}"#), [None, Some("true"), None, None]);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let name = prop::sample::select(vec!["model", "stream", "options", "usage", "deep", "x", "q\"\\}"]);
        let leaf = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            "[\"\\\\{}\\[\\]:, a\u{e9}\n]{0,8}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::hash_map(name.clone(), inner, 0..5).prop_map(|map| {
                    map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>().into()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_gives_what_a_parser_gives(value in json(), pretty: bool, cut in 1..9_usize) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut picker = Picker::new(PATHS);
            text.as_bytes().chunks(cut).for_each(|chunk| picker.feed(chunk));
            for (i, path) in PATHS.iter().enumerate() {
                let expected = path.iter().try_fold(&value, |at, name| at.as_object()?.get(*name));
                let found = picker.value(i).map(|v| serde_json::from_slice::<serde_json::Value>(v).unwrap());
                prop_assert_eq!(found.as_ref(), expected);
            }
        }

        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            let mut picker = Picker::new(PATHS);
            picker.feed(&bytes);
        }
    }
}

//! Walking through a JSON object as it comes, to the one value at its top that says which model is asked for.
//!
//! Where the policy names the model, what this walk sees must be what any backend's parser sees. So it is strict where
//! [`Picker`](crate::pick::Picker) is lenient: the structure must be JSON in UTF-8 from the first byte to the last, and
//! a name that some parsers would take for `model` (in another spelling, in other letters' case, a second time) is not
//! let by. What a value means is the backend's to judge: numbers and words are only told apart from structure.

use crate::refuse::Refused;
use std::ops::Range;

/// How deep objects and arrays may be in each other. Parsers have such bounds, and not the same ones.
const MAX_DEPTH: usize = 512;

/// The longest name that can be `model`: each letter as an escape.
const MAX_KEY: usize = 6 * "model".len();

/// The walk through one object.
#[derive(Debug)]
pub(crate) struct Walk {
    state: State,
    /// For each open container whether it is an object.
    open: Vec<bool>,
    /// The name that is being read at the top.
    key: Vec<u8>,
    /// How many bytes were walked.
    at: usize,
    /// Whether the value that comes or is being read is the model.
    naming: bool,
    /// Where the model's name begins.
    begin: Option<usize>,
    /// Where it stands, quotes included.
    model: Option<Range<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outermost object.
    Start,
    /// Where a value must stand.
    Value,
    /// After `[`.
    First,
    /// After `{`.
    Member,
    /// After the comma of an object.
    Name,
    /// Between a name and its colon.
    Colon,
    /// In a string, which is a name or a value.
    Text { name: bool, within: Within },
    /// In a number or a word.
    Scalar,
    /// After a value; and after all when nothing is open.
    After,
}

/// What stands next in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// A character.
    Plain,
    /// What a backslash escapes.
    Escape,
    /// So many digits of an escape.
    Digits(u8),
    /// So many more bytes of a character.
    Bytes(u8),
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            open: Vec::new(),
            key: Vec::new(),
            at: 0,
            naming: false,
            begin: None,
            model: None,
        }
    }

    /// Where the model's name stands in what was walked, quotes included.
    pub(crate) fn model(&self) -> Option<Range<usize>> {
        self.model.clone()
    }

    /// Whether the object has been walked to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.state == State::After && self.open.is_empty()
    }

    /// Walks on, unless what comes must not be passed on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let plain = self.plain(rest);
            if plain == 0 {
                self.step(byte)?;
            }
            self.at += plain.max(1);
            rest = &rest[plain.max(1)..];
        }
        Ok(())
    }

    /// How many of the next bytes are ordinary text of a value.
    fn plain(&self, bytes: &[u8]) -> usize {
        if self.state != (State::Text { name: false, within: Within::Plain }) {
            return 0;
        }
        let odd = |&b: &u8| b == b'"' || b == b'\\' || !b.is_ascii();
        bytes.iter().position(odd).unwrap_or(bytes.len())
    }

    fn step(&mut self, byte: u8) -> Result<(), Refused> {
        match (self.state, byte) {
            (State::Text { name, within }, _) => self.text(byte, name, within),
            (State::Scalar, _) if is_scalar(byte) => Ok(()),
            (_, b' ' | b'\t' | b'\n' | b'\r') => {
                if self.state == State::Scalar {
                    self.state = State::After;
                }
                Ok(())
            }
            (State::Start, b'{') | (State::Value | State::First, b'{' | b'[') => self.enter(byte),
            (State::First, b']') | (State::Member, b'}') => self.leave(byte),
            (State::Value | State::First, _) => self.value(byte),
            (State::Member | State::Name, b'"') => {
                self.key.clear();
                self.state = State::Text { name: true, within: Within::Plain };
                Ok(())
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(())
            }
            (State::After | State::Scalar, _) => self.after(byte),
            _ => Err(Refused::NotAnObject),
        }
    }

    fn enter(&mut self, byte: u8) -> Result<(), Refused> {
        if self.naming {
            return Err(Refused::NoModel);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Refused::NotAnObject);
        }
        let object = byte == b'{';
        self.open.push(object);
        self.state = if object { State::Member } else { State::First };
        Ok(())
    }

    fn leave(&mut self, byte: u8) -> Result<(), Refused> {
        if self.open.pop() != Some(byte == b'}') {
            return Err(Refused::NotAnObject);
        }
        if self.open.is_empty() && self.model.is_none() {
            return Err(Refused::NoModel);
        }
        self.state = State::After;
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<(), Refused> {
        self.state = match byte {
            b'"' => State::Text { name: false, within: Within::Plain },
            _ if self.naming => return Err(Refused::NoModel),
            _ if is_scalar(byte) => State::Scalar,
            _ => return Err(Refused::NotAnObject),
        };
        if self.naming {
            self.begin = Some(self.at);
        }
        Ok(())
    }

    fn after(&mut self, byte: u8) -> Result<(), Refused> {
        match (byte, self.open.last()) {
            (b',', Some(&object)) => {
                self.state = if object { State::Name } else { State::Value };
                Ok(())
            }
            (b'}' | b']', Some(_)) => self.leave(byte),
            _ => Err(Refused::NotAnObject),
        }
    }

    fn text(&mut self, byte: u8, name: bool, within: Within) -> Result<(), Refused> {
        let next = match (within, byte) {
            (Within::Plain, b'"') => return self.end_text(name),
            (Within::Plain, b'\\') => Within::Escape,
            (Within::Plain, 0xC2..=0xDF) => Within::Bytes(1),
            (Within::Plain, 0xE0..=0xEF) => Within::Bytes(2),
            (Within::Plain, 0xF0..=0xF4) => Within::Bytes(3),
            (Within::Plain, ..=0x7F) => Within::Plain,
            (Within::Escape, b'u') => Within::Digits(4),
            (Within::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Within::Plain,
            (Within::Digits(more), _) if byte.is_ascii_hexdigit() => fewer(more, Within::Digits),
            (Within::Bytes(more), 0x80..=0xBF) => fewer(more, Within::Bytes),
            _ => return Err(Refused::NotAnObject),
        };
        if name && self.key.len() <= MAX_KEY {
            self.key.push(byte);
        }
        self.state = State::Text { name, within: next };
        Ok(())
    }

    fn end_text(&mut self, name: bool) -> Result<(), Refused> {
        self.state = if name { State::Colon } else { State::After };
        if name && self.open.len() == 1 {
            return self.end_name();
        }
        if self.naming {
            self.naming = false;
            self.model = self.begin.map(|begin| begin..self.at + 1);
        }
        Ok(())
    }

    /// Sees whether a name at the top is that of the model. There are parsers that take `Model` for `model`, or read no
    /// further than a NUL.
    fn end_name(&mut self) -> Result<(), Refused> {
        if self.key.len() > MAX_KEY {
            return Ok(());
        }
        let quoted = [b"\"", &self.key[..], b"\""].concat();
        let name: String = serde_json::from_slice(&quoted).map_err(|_| Refused::NotAnObject)?;
        if !name.split('\0').next().is_some_and(|name| name.eq_ignore_ascii_case("model")) {
            return Ok(());
        }
        if name != "model" || self.model.is_some() {
            return Err(Refused::SecondModel);
        }
        self.naming = true;
        Ok(())
    }
}

fn fewer(more: u8, within: fn(u8) -> Within) -> Within {
    if more > 1 { within(more - 1) } else { Within::Plain }
}

/// Whether a number or a word has this byte.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a walk through `text` finds, in pieces of `cut` bytes.
    fn walked(text: &[u8], cut: usize) -> Result<&[u8], Refused> {
        let mut walk = Walk::new();
        text.chunks(cut).try_for_each(|chunk| walk.feed(chunk))?;
        if !walk.is_whole() {
            return Err(Refused::NotAnObject);
        }
        walk.model().map(|model| &text[model]).ok_or(Refused::NoModel)
    }

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: Result<&str, Refused>) {
        let text = text.as_ref();
        for cut in [1, 2, 3, 7, text.len().max(1)] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(walked(text, cut), expected.clone().map(str::as_bytes), "{shown} by {cut}");
        }
    }

    #[test]
    fn the_model_is_found_at_the_top_and_nowhere_else() {
        for text in [
            r#"{"model":"m"}"#,
            " {\r\n\t\"model\" : \"m\" , \"x\" : [ ] , \"y\" : { } } \n",
            r#"{"messages":[{"model":"no","content":"\"model\":\"no\" \\"}],"metadata":{"model":1},"model":"m"}"#,
            r#"{"tools":[[["model"]],{"a":{"model":{}}}],"model":"m","x":[1e400,-1.5,null,true,NaN]}"#,
            r#"{"\u006d\u006f\u0064\u0065\u006C":"m"}"#,
            r#"{"models":"no","mode":"no","":"no","model":"m","model_":"no","é😀":"é😀"}"#,
        ] {
            check(text, Ok("\"m\""));
        }
        check(r#"{"model":"\u006d\"\\"}"#, Ok(r#""\u006d\"\\""#));
        let key = "m".repeat(10 * MAX_KEY);
        check(format!(r#"{{"{key}":"no","model":"m"}}"#), Ok("\"m\""));
    }

    #[test]
    fn a_name_that_some_parser_takes_for_the_model_is_refused() {
        for text in [
            r#"{"model":"m","model":"m"}"#,
            r#"{"model":"m","x":{},"mod\u0065l":"n"}"#,
            r#"{"model":"m","Model":"n"}"#,
            r#"{"MODEL":"n"}"#,
            r#"{"model":"m","model\u0000":"n"}"#,
        ] {
            check(text, Err(Refused::SecondModel));
        }
    }

    #[test]
    fn an_object_without_a_model_is_refused() {
        for text in [
            "{}",
            r#"{"x":{"model":"m"}}"#,
            r#"{"model":null}"#,
            r#"{"model":["m"]}"#,
            r#"{"model":{"model":"m"}}"#,
            r#"{"model":1}"#,
        ] {
            check(text, Err(Refused::NoModel));
        }
    }

    #[test]
    fn what_a_lenient_parser_would_read_otherwise_is_refused() {
        for text in [
            "",
            " ",
            "[]",
            "\"model\"",
            "null",
            "{",
            r#"{"model":"m""#,
            r#"{"model":"m"}}"#,
            r#"{"model":"m"}{"model":"n"}"#,
            r#"{"model":"m",}"#,
            r#"{"model":"m" "x":1}"#,
            r#"{"model":"m","x":}"#,
            r#"{"model":"m","x":[1}"#,
            r#"{"model":"m",/*"*/"model":"n"}"#,
            r#"{"x":'"',"model":"m"}"#,
            r#"{"x":[1,]'"],"model":"m"}"#,
            r#"{model:"m"}"#,
            r#"{"x":"\x22","model":"m"}"#,
            r#"{"x":"\u22"","model":"m"}"#,
            r#"{"mod\ud800el":"n","model":"m"}"#,
            "\u{feff}{\"model\":\"m\"}",
        ] {
            check(text, Err(Refused::NotAnObject));
        }
        check(b"{\"x\":\"\xC3\",\"model\":\"m\"}", Err(Refused::NotAnObject));
        check(b"{\"x\":\"\xC0\xA2,\"model\":\"m\"}", Err(Refused::NotAnObject));
        check(b"{\0\"\0m\0", Err(Refused::NotAnObject));
        let deep = "[".repeat(MAX_DEPTH);
        check(format!(r#"{{"x":{deep}"#), Err(Refused::NotAnObject));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            let _ = walked(&bytes, 1);
        }
    }
}

//! YAML with the place of every node, so that each problem can be shown where it stands.
//!
//! Only the part of YAML that says one thing is taken: one document; mappings with plain keys, sequences, scalars.
//! Anchors, aliases, tags and further documents are refused, which also leaves nothing to expand without bound.

use crate::problems::{Problems, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as EventSpan, StrInput};

/// One node of the tree.
#[derive(Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// Text, and whether it was written without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    /// Keys with their values, in order. A key that comes twice is kept twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(crate) struct Key {
    pub text: String,
    pub span: Span,
}

/// The largest document, in bytes.
pub(crate) const MAX_BYTES: usize = 2 << 20;
const MAX_DEPTH: usize = 16;

/// Reads one document; what is wrong goes to `problems`.
pub(crate) fn parse(file: u32, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = Span { file, line: 1, column: 0, length: 1 };
    if text.len() > MAX_BYTES {
        problems.add(start, format!("the document has {} bytes; the limit is {MAX_BYTES}", text.len()));
        return None;
    }
    let mut reader = Reader { file, parser: Parser::new_from_str(text) };
    match reader.document() {
        Ok(Some(node)) => Some(node),
        Ok(None) => {
            problems.add(start, "the document is empty").hint("a policy begins with `version: 1`");
            None
        }
        Err(wrong) => {
            let problem = problems.add(wrong.span, wrong.message);
            if let Some(hint) = wrong.hint {
                problem.hint(hint);
            }
            None
        }
    }
}

struct Reader<'a> {
    file: u32,
    parser: Parser<'a, StrInput<'a>>,
}

struct Wrong {
    span: Span,
    message: String,
    hint: Option<&'static str>,
}

const STAR: &str = "in YAML a `*` at the beginning needs quotes, as in \"*.example.com\"";

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Wrong> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.wrong(
                        span,
                        "a second document in one file",
                        Some("keep one policy to a file"),
                    ));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, EventSpan), Wrong> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, EventSpan::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: EventSpan, depth: usize) -> Result<Node, Wrong> {
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if anchor > 0 {
            return Err(self.wrong(span, "anchors (`&name`) are not part of the policy language", None));
        }
        if tagged {
            return Err(self.wrong(span, "tags (`!name`) are not part of the policy language", None));
        }
        if depth > MAX_DEPTH {
            return Err(self.wrong(span, format!("nested more than {MAX_DEPTH} deep"), None));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar(text.into_owned(), style == ScalarStyle::Plain),
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(_) => {
                return Err(self.wrong(
                    span,
                    "aliases (`*name`) are not part of the policy language",
                    Some(STAR),
                ));
            }
            _ => return Err(self.wrong(span, "not a value", None)),
        };
        Ok(Node { span: self.span(span), value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar(text, _) = key.value else {
                return Err(self.wrong(span, "a key is one word, not a list or a mapping", None));
            };
            let (event, span) = self.next()?;
            entries.push((Key { text, span: key.span }, self.node(event, span, depth + 1)?));
        }
    }

    fn syntax(&self, error: &ScanError) -> Wrong {
        let at = EventSpan::empty(*error.marker());
        let hint = if error.info().contains("anchor") { Some(STAR) } else { None };
        self.wrong(at, format!("not valid YAML: {}", error.info()), hint)
    }

    fn wrong(&self, span: EventSpan, message: impl Into<String>, hint: Option<&'static str>) -> Wrong {
        Wrong { span: self.span(span), message: message.into(), hint }
    }

    fn span(&self, span: EventSpan) -> Span {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            // To the end of its first line, which the excerpt cuts.
            usize::MAX
        };
        Span {
            file: self.file,
            line: small(span.start.line()),
            column: small(span.start.col()),
            length: small(length).max(1),
        }
    }
}

impl Node {
    /// The value of this key, when the node is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// The entries, when the node is a mapping.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, when the node is a list.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list under this key.
    pub(crate) fn list(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }

    /// The text, when the node is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// What YAML 1.2 (core schema) makes of the node.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(_, false) => "text",
            Value::Scalar(text, true) => match text.as_str() {
                "" | "~" | "null" | "Null" | "NULL" => "nothing",
                "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => "a truth value",
                number if is_number(number) => "a number",
                _ => "text",
            },
        }
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (text.parse::<f64>().is_ok() || digits.starts_with("0x") || digits.starts_with("0o"))
}

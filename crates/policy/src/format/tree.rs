//! A document as its author laid it out: which collections stand in brackets, how texts are quoted, where all begins
//! and ends.

use super::comments::Comments;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// A node with the lines that it stands on, from 1.
#[derive(Debug)]
pub(super) struct Tree {
    pub from: usize,
    pub to: usize,
    /// From 0; of a list of lines, where its dashes stand.
    pub column: usize,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// The text as it is written out again.
    Scalar(String),
    List {
        flow: bool,
        items: Vec<Tree>,
    },
    Map {
        flow: bool,
        entries: Vec<(Tree, Tree)>,
    },
}

/// The document and its comments; `None` when it has more in it than a policy may.
pub(super) fn read(text: &str) -> Option<(Tree, Comments)> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), chars: text.chars().collect(), quoted: Vec::new() };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            // `---` would be lost.
            (Event::DocumentStart(true), _) => return None,
            (Event::DocumentStart(false), _) => {
                let (event, span) = reader.next()?;
                root = Some(reader.node(event, span)?);
            }
            _ => {}
        }
    }
    let comments = Comments::new(text, &reader.quoted);
    Some((root?, comments))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    chars: Vec<char>,
    quoted: Vec<(usize, usize)>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        self.parser.next_event()?.ok()
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Option<Tree> {
        let (from, column) = (span.start.line(), span.start.col());
        let flow = matches!(self.chars.get(span.start.index()), Some('[' | '{'));
        match event {
            Event::Scalar(text, style, 0, None) => {
                let written = self.scalar(&text, style, span)?;
                let to = if written.is_empty() { from } else { span.end.line() };
                Some(Tree { from, to, column, what: What::Scalar(written) })
            }
            Event::SequenceStart(0, None) => self.list(from, column, flow),
            Event::MappingStart(0, None) => self.map(from, column, flow),
            _ => None,
        }
    }

    fn list(&mut self, from: usize, column: usize, flow: bool) -> Option<Tree> {
        let mut items: Vec<Tree> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let end = if flow { span.end.line() } else { items.last().map_or(from, |i| i.to) };
                return Some(Tree { from, to: end, column, what: What::List { flow, items } });
            }
            items.push(self.node(event, span)?);
        }
    }

    fn map(&mut self, from: usize, column: usize, flow: bool) -> Option<Tree> {
        let mut entries: Vec<(Tree, Tree)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let end = if flow { span.end.line() } else { entries.last().map_or(from, |(_, v)| v.to) };
                let column = entries.first().filter(|_| !flow).map_or(column, |(key, _)| key.column);
                return Some(Tree { from, to: end, column, what: What::Map { flow, entries } });
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span)?;
            if matches!(&value.what, What::Scalar(text) if text.is_empty()) {
                // A value that is not there stands wherever the parser noticed.
                (value.from, value.to) = (key.to, key.to);
            }
            entries.push((key, value));
        }
    }

    /// The text as it is to be written.
    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Option<String> {
        match style {
            ScalarStyle::Plain if text.contains('\n') => None,
            ScalarStyle::Plain => Some(text.to_owned()),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                self.quoted.push((span.start.index(), span.end.index()));
                Some(quote(text))
            }
            // No text of a policy needs lines of its own.
            _ => None,
        }
    }
}

/// In double quotes.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

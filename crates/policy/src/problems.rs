//! Where problems are gathered while documents are read.

use crate::{Place, Problem};
use std::collections::HashMap;

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which document.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// In characters, from 0.
    pub column: u32,
    /// In characters; may reach beyond the line.
    pub length: u32,
}

impl Span {
    /// Its first character alone: for what is about all of a mapping.
    pub(crate) fn first(self) -> Self {
        Self { length: 1, ..self }
    }
}

/// The texts that are being read, and what was found wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    sources: Vec<(String, String)>,
    found: Vec<Found>,
    /// What no excerpt may show, by document and line.
    secrets: HashMap<(u32, u32), Vec<String>>,
}

/// A problem that can still be given a hint.
#[derive(Debug)]
pub(crate) struct Found {
    span: Span,
    message: String,
    hint: Option<String>,
}

/// More than anybody reads; a hostile document could make millions.
const MOST: usize = 200;
const WIDEST: usize = 120;
/// A line that is longer, or has more secrets, is not shown.
const LONGEST_LINE: usize = 32 * 1024;
const MOST_SECRETS: usize = 16;
const LONGEST_MESSAGE: usize = 400;

impl Found {
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    pub(crate) fn maybe_hint(&mut self, hint: Option<impl Into<String>>) {
        self.hint = hint.map(Into::into);
    }
}

impl Problems {
    /// Takes a document in and says which number it has in spans.
    pub(crate) fn source(&mut self, name: &str, text: &str) -> u32 {
        self.sources.push((name.to_owned(), text.to_owned()));
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn add(&mut self, span: Span, message: impl Into<String>) -> &mut Found {
        self.found.truncate(MOST);
        self.found.push(Found { span, message: message.into(), hint: None });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Keeps a text that looks like a secret out of every excerpt.
    pub(crate) fn conceal(&mut self, span: Span, secret: &str) {
        // Shorter texts are no secrets, and masking them would make holes in the rest of the line.
        if secret.len() >= 4 {
            self.secrets.entry((span.file, span.line)).or_default().push(secret.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Names a place, to point from one problem to another.
    pub(crate) fn place(&self, span: Span) -> String {
        let name = self.sources.get(span.file as usize).map_or("", |(name, _)| name);
        format!("{name}:{}:{}", span.line, span.column + 1)
    }

    /// The same as data; `None` for what stands in no document.
    pub(crate) fn located(&self, span: Span) -> Option<Place> {
        let (file, _) = self.sources.get(span.file as usize)?;
        Some(Place { file: file.clone(), line: span.line, column: span.column + 1 })
    }

    pub(crate) fn finish(self) -> Vec<Problem> {
        let Self { sources, found, secrets } = self;
        let on_line =
            |span: Span| secrets.get(&(span.file, span.line)).map(Vec::as_slice).unwrap_or_default();
        found
            .into_iter()
            .map(|found| {
                let secrets = on_line(found.span);
                problem(found, &sources, secrets)
            })
            .collect()
    }
}

fn problem(found: Found, sources: &[(String, String)], secrets: &[String]) -> Problem {
    let Found { span, message, hint } = found;
    let (name, text) = sources.get(span.file as usize).map_or(("", ""), |(n, t)| (n, t));
    let line = text.split('\n').nth((span.line as usize).saturating_sub(1)).unwrap_or_default();
    let hidden = line.len() > LONGEST_LINE || secrets.len() > MOST_SECRETS;
    let masked = if hidden { String::new() } else { mask(line.trim_end_matches('\r'), secrets) };
    let column = if hidden { 0 } else { span.column as usize };
    let from = column.saturating_sub(WIDEST / 2);
    let from = if masked.chars().count() <= WIDEST { 0 } else { from };
    let excerpt: String = masked.chars().skip(from).take(WIDEST).map(printable).collect();
    let room = excerpt.chars().count().saturating_sub(column - from).max(1);
    Problem {
        file: name.to_owned(),
        line: span.line as usize,
        column: span.column as usize + 1,
        length: (span.length as usize).min(room),
        offset: column - from,
        excerpt: excerpt.trim_end().to_owned(),
        message: told(&message, secrets),
        hint: hint.map(|hint| told(&hint, secrets)),
    }
}

/// A message as it may be shown.
fn told(text: &str, secrets: &[String]) -> String {
    let secrets = &secrets[..secrets.len().min(MOST_SECRETS)];
    let short: String = text.chars().take(LONGEST_LINE).collect();
    mask(&short, secrets).chars().take(LONGEST_MESSAGE).map(printable).collect()
}

/// The same number of characters, so that columns stay right.
fn mask(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), &"*".repeat(secret.chars().count()))
    })
}

/// Nothing that a terminal obeys or that reorders what is read.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

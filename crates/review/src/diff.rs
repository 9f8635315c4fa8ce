//! What differs, for a person's eyes: one header for each change, and the lines of texts.
//!
//! All of it is an agent's words: whatever could drive a terminal or reorder a line is escaped.

use crate::apply::text;
use crate::change::{Change, What};
use crate::node::{Kind, Node};
use crate::spelling;
use crate::{Review, ReviewError};
use similar::{ChangeTag, TextDiff};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// How long may be spent on one file before its differences are told more coarsely.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines of context.
const CONTEXT: usize = 3;

/// Whether lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Ansi,
    /// For a file or a pipe.
    None,
}

impl Paint {
    const fn on(self, code: &'static str) -> &'static str {
        match self {
            Self::Ansi => code,
            Self::None => "",
        }
    }
}

/// Both texts of a change, where they are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

impl Review {
    /// Both sides of a change of a file, when they are UTF-8 of at most 1 MiB.
    pub fn sides(&self, change: &Change) -> Result<Option<Sides>, ReviewError> {
        let (upper, lower) = (self.upper()?, self.lower()?);
        let side = |root, node: Option<&Node>| match node {
            Some(node) if node.kind == Kind::File => text(root, &change.path, node),
            _ => Ok(Some(Vec::new())),
        };
        let (before, after) = (side(&lower, change.before())?, side(&upper, change.after())?);
        let is_file = |node: Option<&Node>| node.is_some_and(|node| node.kind == Kind::File);
        if !is_file(change.before()) && !is_file(change.after()) {
            return Ok(None);
        }
        let plain = |bytes: Option<Vec<u8>>| {
            bytes.filter(|bytes| !bytes.contains(&0)).and_then(|bytes| String::from_utf8(bytes).ok())
        };
        Ok(plain(before).zip(plain(after)).map(|(before, after)| Sides { before, after }))
    }

    /// One change, without them.
    pub fn line(&self, change: &Change, paint: Paint) -> String {
        header(change, paint)
    }

    /// One change, with the lines that differ.
    pub fn diff(&self, change: &Change, paint: Paint) -> Result<String, ReviewError> {
        let mut out = header(change, paint);
        let leads = match change.after() {
            Some(node) if node.kind == Kind::Link => Some(self.upper()?.link(&change.path)?),
            _ => None,
        };
        if let Some(leads) = leads {
            // Writing to a String does not fail, here and below.
            let _ = writeln!(out, "  -> {}", spelling::shown(&leads.to_string_lossy()));
        }
        let content = !matches!(change.what, What::Modified { content: false, .. });
        if !content {
            return Ok(out);
        }
        match self.sides(change)? {
            Some(sides) => drop(lines(&mut out, &sides, paint)),
            None if change.after().or(change.before()).is_some_and(|node| node.kind == Kind::File) => {
                let size = |node: Option<&Node>| node.map_or(0, |node| node.size);
                let _ =
                    writeln!(out, "  no text: {} bytes, now {}", size(change.before()), size(change.after()));
            }
            None => {}
        }
        Ok(out)
    }
}

/// The line that names a change, with its time and what should be looked at twice.
fn header(change: &Change, paint: Paint) -> String {
    let colour = match change.what {
        What::Added(_) => "\x1b[32m",
        What::Deleted(_) => "\x1b[31m",
        What::Modified { .. } => "\x1b[33m",
    };
    let mut out =
        format!("{}{} {}{}", paint.on(colour), change.letter(), change.shown(), paint.on("\x1b[0m"));
    if let What::Modified { before, after, .. } = change.what {
        if before.kind != after.kind {
            let _ = write!(out, "  ({} -> {})", word(before.kind), word(after.kind));
        }
        if before.mode != after.mode {
            let _ = write!(out, "  mode {:04o} -> {:04o}", before.mode, after.mode);
        }
    }
    out.push('\n');
    for note in &change.notes {
        let _ = writeln!(out, "  {}! {}{}", paint.on("\x1b[35m"), note.text(), paint.on("\x1b[0m"));
    }
    if let Some(moved) = change.moved {
        let _ = writeln!(out, "  {}! {}{}", paint.on("\x1b[31m"), moved.as_str(), paint.on("\x1b[0m"));
    }
    out
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
        Kind::Special => "special file",
    }
}

fn lines(out: &mut String, sides: &Sides, paint: Paint) -> fmt::Result {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&sides.before, &sides.after);
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let range =
            |begin: usize, end: usize| format!("{},{}", begin + usize::from(end > begin), end - begin);
        let old = range(first.old_range().start, last.old_range().end);
        let new = range(first.new_range().start, last.new_range().end);
        writeln!(out, "{}@@ -{old} +{new} @@{}", paint.on("\x1b[36m"), paint.on("\x1b[0m"))?;
        for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (mark, code) = match line.tag() {
                ChangeTag::Delete => ('-', "\x1b[31m"),
                ChangeTag::Insert => ('+', "\x1b[32m"),
                ChangeTag::Equal => (' ', ""),
            };
            let text = line.value();
            let body = spelling::shown(text.strip_suffix('\n').unwrap_or(text));
            let end = if code.is_empty() { "" } else { paint.on("\x1b[0m") };
            writeln!(out, "{}{mark}{body}{end}", paint.on(code))?;
            if !text.ends_with('\n') {
                writeln!(out, "\\ no newline at the end")?;
            }
        }
    }
    Ok(())
}

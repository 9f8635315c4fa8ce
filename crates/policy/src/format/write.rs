//! Writing a tree out.

use super::comments::Comments;
use super::tree::{Tree, What};

/// A line that would be longer is broken.
const WIDEST: usize = 120;

/// The document, laid out.
pub(super) fn write(tree: &Tree, comments: &mut Comments) -> String {
    let mut writer = Writer { out: String::new(), comments };
    writer.block(tree, 0, None);
    writer.rest(usize::MAX, 0, |_| true);
    let text = writer.out.trim_matches('\n').to_owned();
    if text.is_empty() { text } else { text + "\n" }
}

struct Writer<'a> {
    out: String,
    comments: &'a mut Comments,
}

impl Writer<'_> {
    /// A collection over lines, or a scalar on one of its own. `above` is the column of the key that it belongs to.
    fn block(&mut self, tree: &Tree, indent: usize, above: Option<usize>) {
        match &tree.what {
            What::Scalar(text) => self.line(indent, text, tree.to),
            What::List { items, .. } => {
                for (at, item) in items.iter().enumerate() {
                    let next = items.get(at + 1).map(|next| next.from);
                    self.lead(item.from, indent, at > 0);
                    self.item(item, indent, next);
                }
            }
            What::Map { entries, .. } => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    let next = entries.get(at + 1).map(|(key, _)| key.from);
                    self.lead(key.from, indent, at > 0);
                    self.entry((key, value), indent, next);
                }
            }
        }
        // Behind the bracket that is no more.
        if let (What::List { flow: true, .. } | What::Map { flow: true, .. }, Some(text)) =
            (&tree.what, self.comments.behind(tree.to))
        {
            self.push(&format!("{}{text}", " ".repeat(indent)), None);
        }
        // What is indented as this collection is about it, though it stands behind its end.
        let inside = |c: &super::comments::Comment| {
            c.column >= tree.column && above.is_none_or(|above| c.column > above) && c.alone
        };
        if let Some(last) = self.next_after(tree) {
            self.rest(last, indent, inside);
        }
    }

    /// Up to where comments behind a collection may be about it: the first line that is not indented as it is.
    fn next_after(&self, tree: &Tree) -> Option<usize> {
        self.comments.end_of_run(tree.to, tree.column)
    }

    fn item(&mut self, item: &Tree, indent: usize, next: Option<usize>) {
        let pad = " ".repeat(indent);
        if self.fits(item, indent + 2) {
            let text = format!("{pad}- {}", flow(item));
            return self.push_line(&text, item.to, next);
        }
        match &item.what {
            // The first entry stands beside the dash.
            What::Map { entries, .. } if !entries.is_empty() => {
                let from = self.out.len();
                self.block(item, indent + 2, Some(indent));
                self.out.replace_range(from..from + indent + 2, &format!("{pad}- "));
            }
            _ => {
                self.out.push_str(&format!("{pad}-\n"));
                self.block(item, indent + 2, Some(indent));
            }
        }
    }

    fn entry(&mut self, (key, value): (&Tree, &Tree), indent: usize, next: Option<usize>) {
        let pad = " ".repeat(indent);
        let name = flow(key);
        if self.fits(value, indent + name.chars().count() + 2) {
            let text = flow(value);
            let line = format!("{pad}{name}: {text}");
            return self.push_line(line.trim_end(), value.to, next);
        }
        let behind =
            if value.from > key.to || opens_alone(value) { self.comments.behind(key.to) } else { None };
        self.push(&format!("{pad}{name}:"), behind);
        self.block(value, indent + 2, Some(key.column));
    }

    /// Whether it is written on one line: a scalar, or a collection that its author put in brackets and that has room.
    fn fits(&self, tree: &Tree, indent: usize) -> bool {
        match &tree.what {
            What::Scalar(_) => true,
            What::List { flow: false, .. } | What::Map { flow: false, .. } => is_empty(tree),
            _ => {
                let broken = self.comments.within(tree.from, tree.to);
                !broken && (is_empty(tree) || indent + flow(tree).chars().count() <= WIDEST)
            }
        }
    }

    /// What stands above a node: comments, and an empty line where there was one.
    fn lead(&mut self, line: usize, indent: usize, separate: bool) {
        let above = self.comments.before(line, |_| true);
        for (text, empty) in above {
            if empty && (separate || !self.out.is_empty()) {
                self.empty_line();
            }
            self.push(&format!("{}{text}", " ".repeat(indent)), None);
        }
        if separate && self.comments.empty_before(line) {
            self.empty_line();
        }
    }

    fn rest(&mut self, line: usize, indent: usize, wanted: impl Fn(&super::comments::Comment) -> bool) {
        for (text, empty) in self.comments.before(line, wanted) {
            if empty {
                self.empty_line();
            }
            self.push(&format!("{}{text}", " ".repeat(indent)), None);
        }
    }

    fn line(&mut self, indent: usize, text: &str, at: usize) {
        self.push_line(&format!("{}{text}", " ".repeat(indent)), at, None);
    }

    /// A whole line, with the comment behind what ends on line `at`, unless the next node ends there, too.
    fn push_line(&mut self, text: &str, at: usize, next: Option<usize>) {
        let behind = if next == Some(at) { None } else { self.comments.behind(at) };
        self.push(text, behind);
    }

    fn push(&mut self, text: &str, behind: Option<String>) {
        self.out.push_str(text);
        if let Some(comment) = behind {
            self.out.push_str("   ");
            self.out.push_str(&comment);
        }
        self.out.push('\n');
    }

    fn empty_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }
}

fn is_empty(tree: &Tree) -> bool {
    match &tree.what {
        What::Scalar(_) => false,
        What::List { items, .. } => items.is_empty(),
        What::Map { entries, .. } => entries.is_empty(),
    }
}

/// Whether nothing but the bracket stands on the first line of a collection.
fn opens_alone(tree: &Tree) -> bool {
    match &tree.what {
        What::Scalar(_) => false,
        What::List { items, .. } => items.first().is_some_and(|item| item.from > tree.from),
        What::Map { entries, .. } => entries.first().is_some_and(|(key, _)| key.from > tree.from),
    }
}

/// On one line.
fn flow(tree: &Tree) -> String {
    match &tree.what {
        What::Scalar(text) => text.clone(),
        What::List { items, .. } => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        What::Map { entries, .. } if entries.is_empty() => "{}".to_owned(),
        What::Map { entries, .. } => {
            let entry =
                |(key, value): &(Tree, Tree)| format!("{}: {}", flow(key), flow(value)).trim_end().to_owned();
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

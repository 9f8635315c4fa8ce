//! The comments of a document, each given out once.

/// A comment.
#[derive(Debug)]
pub(super) struct Comment {
    pub line: usize,
    pub column: usize,
    /// With its `#`, without what is blank at its end.
    pub text: String,
    /// Whether nothing else stands on its line.
    pub alone: bool,
    pub used: bool,
}

/// All of them in order, and where lines are empty.
#[derive(Debug, Default)]
pub(super) struct Comments {
    all: Vec<Comment>,
    empty: Vec<usize>,
}

impl Comments {
    /// Finds them: a `#` at the beginning or after a blank, outside of every quoted text. `quoted` are the ranges of
    /// those, in characters.
    pub(super) fn new(text: &str, quoted: &[(usize, usize)]) -> Self {
        let mut found = Self::default();
        let mut offset = 0;
        for (line, content) in (1..).zip(text.split('\n')) {
            let chars: Vec<char> = content.chars().collect();
            if content.trim().is_empty() {
                found.empty.push(line);
            }
            let begins = |at: usize| {
                chars[at] == '#'
                    && (at == 0 || chars[at - 1].is_whitespace())
                    && !quoted.iter().any(|(from, to)| (*from..*to).contains(&(offset + at)))
            };
            if let Some(column) = (0..chars.len()).find(|at| begins(*at)) {
                let comment: String = chars[column..].iter().collect();
                let alone = chars[..column].iter().all(|c| c.is_whitespace());
                found.all.push(Comment {
                    line,
                    column,
                    text: comment.trim_end().to_owned(),
                    alone,
                    used: false,
                });
            }
            offset += chars.len() + 1;
        }
        found
    }

    /// What they say, in order.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.all.iter().map(|c| c.text.clone()).collect();
        texts.sort();
        texts
    }

    /// Those before `line` that were not given out and that `wanted` takes, with whether an empty line stands before.
    pub(super) fn before(&mut self, line: usize, wanted: impl Fn(&Comment) -> bool) -> Vec<(String, bool)> {
        let empty = std::mem::take(&mut self.empty);
        let waiting = self.all.iter_mut().filter(|c| !c.used && c.line < line && wanted(c));
        let found = waiting.map(|comment| {
            comment.used = true;
            (comment.text.clone(), comment.alone && empty.contains(&(comment.line.wrapping_sub(1))))
        });
        let found = found.collect();
        self.empty = empty;
        found
    }

    /// The comment behind what ends on `line`.
    pub(super) fn behind(&mut self, line: usize) -> Option<String> {
        let comment = self.all.iter_mut().find(|c| !c.used && !c.alone && c.line == line)?;
        comment.used = true;
        Some(comment.text.clone())
    }

    /// The line after the comments that stand alone behind `line` at `column` or deeper, one after the other or with
    /// empty lines between; `None` when there are none.
    pub(super) fn end_of_run(&self, line: usize, column: usize) -> Option<usize> {
        let mut end = None;
        let mut at = line;
        for comment in self.all.iter().filter(|c| c.line > line) {
            let between = (at + 1..comment.line).all(|l| self.empty.contains(&l));
            if !comment.alone || comment.column < column || !between {
                break;
            }
            at = comment.line;
            end = Some(at + 1);
        }
        end
    }

    /// Whether a comment stands from line `from` up to, and not on, line `to`.
    pub(super) fn within(&self, from: usize, to: usize) -> bool {
        self.all.iter().any(|c| (from..to).contains(&c.line))
    }

    /// Whether the line before this one is empty.
    pub(super) fn empty_before(&self, line: usize) -> bool {
        line > 1 && self.empty.contains(&(line - 1))
    }
}

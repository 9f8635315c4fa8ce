//! What is wrong with a document: every problem at once, each where it stands.

use serde::Serialize;
use std::fmt;

/// All the problems of a compile, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Errors(Vec<Problem>);

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The document, as [`Document::name`](crate::Document::name) calls it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// How many characters of the excerpt are meant.
    pub length: usize,
    /// The line as it stands in the document; secrets and control characters are masked.
    pub excerpt: String,
    /// Where in the excerpt the problem begins, in characters from 0.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, or what to write instead.
    pub hint: Option<String>,
}

impl Errors {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        problems.dedup();
        Self(problems)
    }

    /// The problems; never none.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = " ".repeat(self.line.to_string().len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{} | {}", self.line, self.excerpt)?;
        write!(f, "{gutter} | {}{}", " ".repeat(self.offset), "^".repeat(self.length.max(1)))?;
        match &self.hint {
            Some(hint) => write!(f, "\n{gutter} = help: {hint}"),
            None => Ok(()),
        }
    }
}

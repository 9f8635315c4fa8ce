//! One way to lay out a policy document, with its comments.
//!
//! Only the layout changes: two blanks of indentation, one space where one is needed, at most one empty line, double quotes.
//! The order of keys and whether a collection stands on one line are the author's; a line that grew too long is broken.
//! What was written is held against what was read: a document whose meaning or comments would change is not
//! touched.

mod comments;
mod tree;
mod write;

use crate::problems::Problems;
use crate::yaml::{self, Node, Value};
use crate::{Document, Errors};

/// Why a document was not laid out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is not in the part of YAML that policies are written in.
    #[error("{0}")]
    Invalid(Errors),
    /// A comment or a value would not have survived.
    #[error("{name} has something in it that cannot be laid out without changing it; it was left as it is")]
    WouldChange {
        /// The document.
        name: String,
    },
}

/// Lays the document out. Doing it twice does the same as doing it once.
///
/// # Errors
/// What is not YAML, and what could not be laid out with the same meaning and all comments.
pub fn format(document: &Document) -> Result<String, FormatError> {
    let before = read(&document.name, &document.text)?;
    let would_change = || FormatError::WouldChange { name: document.name.clone() };
    let text = document.text.replace("\r\n", "\n");
    let (tree, mut comments) = tree::read(&text).ok_or_else(would_change)?;
    let kept = comments.texts();
    let laid_out = write::write(&tree, &mut comments);
    let same_meaning = read(&document.name, &laid_out).is_ok_and(|after| same(&before, &after));
    let same_comments = tree::read(&laid_out).is_some_and(|(_, comments)| comments.texts() == kept);
    if same_meaning && same_comments { Ok(laid_out) } else { Err(would_change()) }
}

fn read(name: &str, text: &str) -> Result<Node, FormatError> {
    let mut problems = Problems::default();
    let file = problems.source(name, text);
    let node = yaml::parse(file, text, &mut problems);
    node.ok_or_else(|| FormatError::Invalid(Errors::new(problems.finish())))
}

/// Whether two nodes say the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(x, _), Value::Scalar(y, _)) => x == y && a.kind() == b.kind(),
        (Value::List(x), Value::List(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b)),
        (Value::Map(x), Value::Map(y)) => {
            let same =
                |((k, a), (l, b)): (&(yaml::Key, Node), &(yaml::Key, Node))| k.text == l.text && same(a, b);
            x.len() == y.len() && x.iter().zip(y).all(same)
        }
        _ => false,
    }
}

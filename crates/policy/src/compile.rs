//! From documents to a [`Policy`].

use crate::problems::{Problems, Span};
use crate::read::{Draft, ReadDocument};
use crate::suggest;
use crate::yaml::{self, Node};
use crate::{Document, Errors, Operator, Places, Policy, shape};
use std::path::Path;

/// Reads the document that an `include:` names, from the directory given.
type Load<'a> = dyn Fn(&str, &Path) -> Result<Document, String> + 'a;

/// Compiles documents, and what they include, into one policy.
///
/// Later documents add to earlier ones: lists grow, a deny anywhere wins, and a scalar that is set twice has the
/// later value. What a document includes counts as earlier than the document itself, and a document that is
/// included twice is read once. `load` is given each `include:` that is not a preset, with the directory to look in.
///
/// # Errors
/// Every problem in every document.
pub fn compile(
    docs: &[Document],
    operator: &Operator,
    load: &dyn Fn(&str, &Path) -> Result<Document, String>,
) -> Result<Policy, Errors> {
    read(docs, operator, load, |_, _| ()).map(|(policy, ())| policy)
}

/// The same, and where each thing that the policy says stands.
///
/// # Errors
/// Every problem in every document.
pub fn compile_with_places(
    docs: &[Document],
    operator: &Operator,
    load: &dyn Fn(&str, &Path) -> Result<Document, String>,
) -> Result<(Policy, Places), Errors> {
    read(docs, operator, load, |draft, problems| draft.places(problems))
}

fn read<T>(
    docs: &[Document],
    operator: &Operator,
    load: &Load<'_>,
    look: impl FnOnce(&Draft<'_>, &Problems) -> T,
) -> Result<(Policy, T), Errors> {
    let mut reading = Reading {
        operator,
        load,
        problems: Problems::default(),
        nodes: Vec::new(),
        done: Vec::new(),
        open: Vec::new(),
    };
    if docs.is_empty() {
        let span = reading.source("(no document)", "");
        reading.problems.add(span, "no policy was given");
    }
    docs.iter().for_each(|document| reading.document(document));
    let Reading { mut problems, nodes, .. } = reading;
    let mut draft = Draft::new(operator);
    nodes.iter().for_each(|read| draft.add(read, &mut problems));
    let seen = look(&draft, &problems);
    let policy = draft.finish(&mut problems);
    if problems.is_empty() { Ok((policy, seen)) } else { Err(Errors::new(problems.finish())) }
}

struct Reading<'a> {
    operator: &'a Operator,
    load: &'a Load<'a>,
    problems: Problems,
    /// In the order in which they count.
    nodes: Vec<ReadDocument>,
    /// The names of documents that were read.
    done: Vec<String>,
    /// The names of documents that are being read, the outermost first.
    open: Vec<String>,
}

const MOST_DOCUMENTS: usize = 64;

impl Reading<'_> {
    fn document(&mut self, document: &Document) {
        if self.done.contains(&document.name) {
            return;
        }
        let span = self.source(&document.name, &document.text);
        let Some(node) = yaml::parse(span.file, &document.text, &mut self.problems) else {
            self.done.push(document.name.clone());
            return;
        };
        shape::check(&node, &shape::DOCUMENT, &mut self.problems);
        self.open.push(document.name.clone());
        for item in node.list("include") {
            self.include(item, document);
        }
        self.open.pop();
        self.done.push(document.name.clone());
        let included = !self.open.is_empty();
        self.nodes.push(ReadDocument { node, included });
    }

    fn include(&mut self, item: &Node, from: &Document) {
        let Some(text) = item.text().filter(|t| !t.is_empty()) else { return };
        let found = match text.strip_prefix("preset:") {
            Some(name) => match self.preset(name, item.span) {
                Some(found) => found,
                None => return,
            },
            None => match (self.load)(text, self.base_of(from)) {
                Ok(found) => found,
                Err(why) => {
                    self.problems.add(item.span, format!("cannot include `{text}`: {why}"));
                    return;
                }
            },
        };
        if self.open.contains(&found.name) {
            let way = self.open.join(" -> ");
            self.problems.add(item.span, format!("`{text}` includes itself ({way} -> {})", found.name));
        } else if self.done.len() + self.open.len() >= MOST_DOCUMENTS {
            self.problems.add(item.span, format!("more than {MOST_DOCUMENTS} documents"));
        } else {
            self.document(&found);
        }
    }

    fn preset(&mut self, name: &str, span: Span) -> Option<Document> {
        let Some(text) = crate::preset(name) else {
            let hint = match suggest::nearest(name, crate::presets()) {
                Some(meant) => format!("did you mean `preset:{meant}`?"),
                None => format!("the presets are {}", crate::presets().collect::<Vec<_>>().join(", ")),
            };
            self.problems.add(span, format!("no preset is named `{name}`")).hint(hint);
            return None;
        };
        Some(Document { name: format!("preset:{name}"), text: text.to_owned(), base: Default::default() })
    }

    fn base_of<'b>(&'b self, document: &'b Document) -> &'b Path {
        if document.base.as_os_str().is_empty() { &self.operator.base } else { &document.base }
    }

    fn source(&mut self, name: &str, text: &str) -> Span {
        Span { file: self.problems.source(name, text), line: 1, column: 0, length: 1 }
    }
}

//! The table of documents of cases, which `creel policy test` reads.

use super::{Field, Shape};
use Shape::{List, Object, Text, Word};

const TEXTS: Shape = List(&Text);

const fn field(name: &'static str, shape: Shape, required: bool, about: &'static str) -> Field {
    Field { name, shape, required, about, live: "" }
}

/// A document of cases.
pub(crate) const CASES: Shape = Object(&[
    field("policy", TEXTS, false, "the policy's documents, from beside this file, or preset:NAME"),
    field("cases", List(&Object(CASE)), true, "questions with the verdict that is expected"),
]);

const CASE: &[Field] = &[
    field("ask", Text, true, "a question, as `creel policy explain` takes it"),
    field("from", TEXTS, false, "the program that acts, then what started it"),
    field("expect", Word { now: &["allowed", "refused"], later: &[] }, true, "`allowed` or `refused`"),
    field("rule", Text, false, "the name of the rule, or of the list, that should decide"),
];

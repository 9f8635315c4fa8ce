//! The languages of patterns as automata: for any set of patterns, one example of each way in which texts can be told
//! apart by them.
//!
//! Every text of a dimension (hosts, request paths, files, arguments, addresses) is treated by a set of patterns as one
//! of finitely many examples is: those are the *classes* of the set. To compare two policies exactly it is then
//! enough to ask both about an example of each class. Classes are found by running all patterns at once, letter by letter,
//! and noting each state that can be reached; letters that no pattern can tell apart are tried once. The automata are
//! made from the compiled patterns, and each example is put to the compiled policy itself, so that a mistake here could
//! hide a difference but never invent one; properties hold them against brute force.

mod addresses;
mod arguments;
mod callers;
mod explore;
mod files;
mod hosts;
mod nfa;
mod requests;
#[cfg(test)]
mod tests;

pub(crate) use addresses::addresses;
pub(crate) use arguments::arguments;
pub(crate) use callers::{callers, programs};
pub(crate) use files::accesses;
pub(crate) use hosts::hosts;
pub(crate) use requests::{methods, paths};

/// More states than are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policies have too many patterns about the same thing to be compared exactly")]
pub struct TooLarge;

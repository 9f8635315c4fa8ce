//! A slow interpreter of the policy language, written from `docs/policy.md` and sharing no code with the compiler.
//!
//! It keeps a policy as the texts that its author wrote and reads them anew for every question: no index, no canonical
//! pattern, no greedy match, only the sentences of the document one after the other. Where it and the compiled policy
//! part, one of the two (or the document) is wrong.
#![allow(dead_code)]

pub mod address;
pub mod any;
pub mod ask;
pub mod judge;
pub mod pattern;
pub mod spelling;
pub mod written;

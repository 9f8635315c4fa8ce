//! The only crate with `unsafe`: one file for each facility of the kernel, and no policy.
//!
//! Every function says in its error which call failed and what the call was asked. What rustix does safely is used
//! from there; what it lacks stands here with its reason.
#![allow(unsafe_code)]

mod error;
pub mod scm;

pub use error::{Named, SysError};

//! Reads what is in a request, where a rule asks for it: each protocol in a file of its own.
//!
//! Nothing here decides. A body is put into the form that the policy compares ([`creel_policy::Contents`]); what other
//! programs could read otherwise is told as such, and the policy refuses it. What is held of a body is bounded, and
//! what was judged is sent as it came, byte for byte.

pub mod answers;
pub mod body;
pub mod events;
pub mod frames;
pub mod graphql;
pub mod push;
pub mod rpc;
pub mod tools;

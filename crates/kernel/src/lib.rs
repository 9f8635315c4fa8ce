//! The only crate with `unsafe`: one file for each facility of the kernel, and no policy.
//!
//! Every function says in its error which call failed and what the call was asked. What rustix does safely is used
//! from there; what it lacks stands here with its reason.
#![allow(unsafe_code)]

pub mod attempt;
pub mod bpf;
pub mod cgroup;
#[cfg(target_arch = "x86_64")]
mod copy;
mod error;
pub mod landlock;
pub mod live;
pub mod loopback;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod nft;
pub mod notify;
pub mod proc;
pub mod process;
mod procmap;
pub mod pty;
pub mod remove;
pub mod scm;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod trace;

pub use error::{Named, SysError};

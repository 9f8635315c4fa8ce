//! What the end-to-end tests share: a scene (a workspace, a policy, an upstream) and the binary run in it.
//!
//! Nothing leaves the machine: upstreams listen on loopback with an authority of their own, and names are mapped
//! to them with `--resolve`. The binary is the one that ships, named by `CREEL_BIN` (`./x e2e` builds and sets it).

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::expect_used)] // a harness that fails must say where

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub mod drill;
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub mod place;
mod registry;
mod scene;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub mod stepper;
mod upstream;

pub use memory::holds;
pub use registry::{Manner, Registry, digest};
pub use scene::{Running, Scene, Shown, binary, wait_until};
pub use upstream::{Seen, Upstream};

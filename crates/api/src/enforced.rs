//! What was really enforced, layer by layer: the answer to a plan, and to every live change.

use crate::posture::Tried;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One layer's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `filesystem`, `process`, `network`, `inference`, `limits`.
    pub layer: String,
    /// The kernel's means in words, for example `landlock abi 7`, `tproxy`, `cgroup v2 pids.max`.
    pub mechanisms: Vec<String>,
    /// What the policy asked for and this machine cannot bound, in words. Empty when all is enforced.
    pub lacking: Vec<String>,
}

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// One entry for each layer.
    pub layers: Vec<Layer>,
    /// What was tried from inside before the command ran; all of it holds, or there would be no sandbox.
    #[serde(default)]
    pub promises: Vec<Tried>,
    /// How long that took, in microseconds of wall time.
    #[serde(default)]
    pub tried_us: u64,
}

/// What one live change did to one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// `filesystem`, `process`, `network`, `inference`.
    pub layer: String,
    /// What was done, a line each: `cut 1 connection to api.acme.dev:443`, `/data is now read-only`.
    pub did: Vec<String>,
    /// How long the layer took.
    pub took: Duration,
}

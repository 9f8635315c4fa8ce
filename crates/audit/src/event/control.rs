//! Events about models, about the policy, and about what went wrong.

use super::{Actor, Disposition, Program};
use crate::text;
use creel_api::enforced::Applied;
use creel_types::Digest;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One call of a model, recorded when its response ended or was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Who called.
    pub program: Option<Actor>,
    /// The host that the agent called: `inference.local` or a captured one.
    pub host: String,
    /// The API in words: `openai chat completions`, `anthropic messages`.
    pub api: String,
    /// The backend that answered, by its name in the policy; nothing when the call reached none.
    pub backend: Option<String>,
    /// The model that the backend was asked for: the one that the policy names, or else the agent.
    pub model: Option<String>,
    /// Tokens, as the backend stated them.
    pub tokens: Tokens,
    /// Status that the agent received.
    pub status: Option<u16>,
    /// Whether the response was a stream of events.
    pub streamed: bool,
    /// Whether the response came to its own end. When it did not, the tokens are what had been stated by then.
    pub complete: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The policy that decided.
    pub generation: u64,
    /// What was decided.
    pub disposition: Disposition,
    /// Why a call that was allowed was not answered.
    pub failure: Option<String>,
    /// Bytes of the request's body.
    pub bytes_up: u64,
    /// Bytes of the response's body.
    pub bytes_down: u64,
    /// From the request's head to the first byte of the response's body.
    #[serde(rename = "first_byte_us", with = "text::micros_option")]
    pub first_byte: Option<Duration>,
    /// From the request's head to the response's end.
    #[serde(rename = "duration_us", with = "text::micros")]
    pub duration: Duration,
}

/// Tokens as a backend stated them. `None` is "not stated", never an estimate and never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens of the input, those from a cache included.
    pub input: Option<u64>,
    /// Tokens of the output, those of reasoning included.
    pub output: Option<u64>,
    /// Tokens of the input that were read from a cache.
    pub cached: Option<u64>,
}

/// The policy was changed, or a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The policy before.
    pub from: u64,
    /// The policy after; equal to `from` when the change was refused.
    pub to: u64,
    /// SHA-256 of the new policy's text, all documents included.
    #[serde(with = "text::digest")]
    pub digest: Digest,
    /// Who asked for it: `operator uid 1000`, `file watch`.
    pub by: String,
    /// What each layer did.
    pub applied: Vec<Applied>,
    /// Why it was refused; nothing when it is in force.
    pub refused: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing to do.
    Informational,
    /// To be looked at some day.
    Low,
    /// To be looked at.
    Medium,
    /// Containment or record may not be what the policy says.
    High,
    /// Containment or record is not what the policy says.
    Critical,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found, in a few words.
    pub title: String,
    /// All of it.
    pub detail: String,
    /// How bad it is.
    pub severity: Severity,
    /// The layer that it concerns: `filesystem`, `process`, `network`, `inference`, `record`.
    pub layer: String,
    /// Who did it, where somebody did.
    pub program: Option<Program>,
}

//! What the warden and the exit say to each other.

use crate::credentials::Sent;
use crate::policies::Included;
use creel_api::control::Document;
use creel_audit::Event;
use serde::{Deserialize, Serialize};

/// From the warden.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Compile these documents and make their models ready; nothing changes yet.
    Prepare {
        /// The policy's documents.
        documents: Vec<Document>,
        /// What they include, as the warden read it: the exit can read none of it.
        included: Vec<Included>,
        /// The key of the model backend, where there is one.
        key: Option<Vec<u8>>,
        /// The policy's credentials.
        credentials: Vec<Sent>,
    },
    /// Put in force what was made ready last, under this number.
    Switch(u64),
    /// Say how many connections are open.
    Count,
}

/// From the exit.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is confined and serves: always the first.
    Serving,
    /// What was asked for is ready.
    Ready,
    /// Nothing was done, and why.
    Failed {
        /// In one line.
        why: String,
        /// More.
        details: Vec<String>,
    },
    /// Another policy is in force.
    Switched {
        /// What was cut, a line each.
        cut: Vec<String>,
        /// How many connections go on.
        kept: usize,
    },
    /// So many connections are open.
    Open(usize),
}

/// From the warden, for the record.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entry {
    /// Write this down.
    Event(Box<Event>),
    /// Take in the notes that wait.
    Nudge,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entered {
    /// Whether it is in the record; why not.
    pub written: Result<(), String>,
    /// How much the exit has refused so far.
    pub refusals: u64,
}

//! Who acted, written out once however many events name it.
//!
//! A program with its parents is most of a network event's bytes, and stands in it twice: in the words of OCSF and in
//! ours. All events of a connection name the same one, so its text is made on first need and copied from then on.

use super::Program;
use crate::ocsf;
use creel_types::Caller;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A program as events name it, shared by all events of one caller.
#[derive(Clone)]
pub struct Actor(Arc<Told>);

struct Told {
    program: Program,
    ours: OnceLock<Option<Box<RawValue>>>,
    ocsf: OnceLock<Option<Box<RawValue>>>,
}

impl Actor {
    /// The program of `caller`, or nothing when the kernel could not say who called.
    pub fn of(caller: &Caller) -> Option<Self> {
        Program::of(caller).map(Self::from)
    }

    /// The OCSF object `process`; nothing when it cannot be written, which serde_json has no reason for.
    pub(crate) fn process(&self) -> Option<&RawValue> {
        let write = || serde_json::value::to_raw_value(&ocsf::Process::of(&self.0.program)).ok();
        self.0.ocsf.get_or_init(write).as_deref()
    }
}

impl From<Program> for Actor {
    fn from(program: Program) -> Self {
        Self(Arc::new(Told { program, ours: OnceLock::new(), ocsf: OnceLock::new() }))
    }
}

impl Deref for Actor {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0.program
    }
}

impl PartialEq for Actor {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Actor {}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let write = || serde_json::value::to_raw_value(&self.0.program).ok();
        match self.0.ours.get_or_init(write) {
            Some(text) => text.serialize(to),
            None => self.0.program.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Program::deserialize(from).map(Self::from)
    }
}

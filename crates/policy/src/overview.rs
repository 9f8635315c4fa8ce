//! What a policy allows, grouped by what can go wrong: what can be read, written, run, reached, sent and spent.
//!
//! Made from the compiled policy, so that includes, defaults and denies are in it; each row has the place of what says it.

mod network;
mod rows;
mod text;

use crate::{Mode, Place, Places, Policy, Statement};
use serde::Serialize;

/// What a policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The policy's own name.
    pub name: Option<String>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// In the order of [`Risk::ALL`].
    pub groups: Vec<Group>,
}

/// The rows of one risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Which.
    pub risk: Risk,
    /// Never empty: where nothing is allowed, a row says so.
    pub rows: Vec<Row>,
}

/// What can be done, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Files whose content can be known.
    Read,
    /// Files that can be changed.
    Write,
    /// Programs that can be executed.
    Run,
    /// Hosts that can be connected to.
    Reach,
    /// Hosts that data can be carried to.
    Send,
    /// What can be used up: money, processors, memory.
    Spend,
}

/// One thing that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Paths, programs, hosts, backends.
    pub what: String,
    /// How far, and with which exceptions.
    pub how: String,
    /// What says it, in words; empty for what holds in every sandbox.
    pub by: String,
    /// Where that stands.
    pub place: Option<Place>,
}

impl Risk {
    /// Every risk, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Run, Self::Reach, Self::Send, Self::Spend];

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "can read",
            Self::Write => "can write",
            Self::Run => "can run",
            Self::Reach => "can reach",
            Self::Send => "can send data to",
            Self::Spend => "can spend",
        }
    }
}

impl Policy {
    /// What the policy allows. `places` are those that were read together with it.
    pub fn overview(&self, places: &Places) -> Overview {
        let groups = Risk::ALL.map(|risk| {
            let mut rows = match risk {
                Risk::Read => rows::read(self, places),
                Risk::Write => rows::write(self, places),
                Risk::Run => rows::run(self, places),
                Risk::Reach => network::reach(self, places),
                Risk::Send => network::send(self, places),
                Risk::Spend => rows::spend(self, places),
            };
            if rows.is_empty() {
                rows.push(Row::always("nothing", ""));
            }
            Group { risk, rows }
        });
        Overview { name: self.name.clone(), mode: self.mode, groups: groups.into() }
    }
}

impl Row {
    fn always(what: impl Into<String>, how: impl Into<String>) -> Self {
        Self { what: what.into(), how: how.into(), by: String::new(), place: None }
    }

    fn by(what: impl Into<String>, how: impl Into<String>, statement: &Statement, places: &Places) -> Self {
        let (by, place) = (statement.to_string(), places.of(statement).cloned());
        Self { by, place, ..Self::always(what, how) }
    }
}

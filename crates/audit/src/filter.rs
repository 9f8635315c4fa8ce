//! Which events a reader wants.

use crate::event::{Event, Kind};
use std::str::FromStr;

/// Which events to give; an empty filter gives all. What is set must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these kinds; empty means every kind.
    pub kinds: Vec<Kind>,
    /// Only what a program did whose path, or last component of it, is this.
    pub program: Option<String>,
    /// Only what was about this host, as it is written in the record.
    pub host: Option<String>,
    /// Only what this rule decided.
    pub rule: Option<String>,
    /// Only what was refused.
    pub refused_only: bool,
    /// Not before this time, in milliseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// Not before this sequence number.
    pub from_seq: Option<u64>,
    /// Up to and with this sequence number.
    pub to_seq: Option<u64>,
}

impl Filter {
    /// Whether an event of this number is wanted.
    pub(crate) fn takes_seq(&self, seq: u64) -> bool {
        self.from_seq.is_none_or(|from| seq >= from) && self.to_seq.is_none_or(|to| seq <= to)
    }

    /// Whether no later line can be wanted.
    pub(crate) fn is_past(&self, seq: u64) -> bool {
        self.to_seq.is_some_and(|to| seq > to)
    }

    /// Whether an event of this time is wanted.
    pub(crate) fn takes_time(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Whether this event is wanted, whenever it was.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, actual: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| actual == Some(wanted))
        };
        (self.kinds.is_empty() || self.kinds.contains(&event.kind()))
            && (!self.refused_only || event.is_refused())
            && is(&self.host, event.host())
            && is(&self.rule, event.rule())
            && self.program.as_deref().is_none_or(|wanted| {
                event.program().is_some_and(|p| p.path == wanted || p.file_name() == wanted)
            })
    }
}

/// The text names no kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no kind of event: use one of {}", Kind::ALL.map(Kind::as_str).join(", "))]
pub struct Unknown {
    /// The text.
    pub text: String,
}

impl FromStr for Kind {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let spelt = text.replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == spelt)
            .ok_or_else(|| Unknown { text: text.to_owned() })
    }
}

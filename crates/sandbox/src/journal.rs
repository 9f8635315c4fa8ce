//! What the proxy and the witness report, written down as events of the record.

use creel_audit as audit;
use creel_audit::{Disposition, Event, Handling, Phase, Program, Record, Target};
use creel_proxy::{
    ConnectionAdmitted, ConnectionEnded, DnsAsked, Journal, JournalError, PolicyCell, Refused, RequestAdmitted, Who,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The record as the proxy knows it.
pub struct Scribe {
    record: Arc<Record>,
    cell: Arc<PolicyCell>,
    refusals: AtomicU64,
}

impl Scribe {
    /// Writes into `record`; `cell` tells whether a refusal is carried out.
    pub fn new(record: Arc<Record>, cell: Arc<PolicyCell>) -> Self {
        Self { record, cell, refusals: AtomicU64::new(0) }
    }

    fn write(&self, event: &Event) -> Result<(), JournalError> {
        if self.record.is_broken() {
            // A disk that was full may have room again; until then this fails and nothing is admitted.
            self.record.recover().map_err(|error| said(&error))?;
        }
        self.record.append(event).map(drop).map_err(|error| said(&error))
    }

}

fn said(error: &audit::RecordError) -> JournalError {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    JournalError(format!("{error}{cause}"))
}

/// A connection's event with what every one of them says.
fn connection(who: &Who<'_>, phase: Phase) -> audit::Connection {
    audit::Connection {
        id: who.connection,
        phase,
        program: Program::of(who.caller),
        host: who.host.to_string(),
        port: who.port,
        dialled: None,
        handling: None,
        rule: None,
        generation: who.generation.0,
        disposition: Disposition::Allowed,
        failure: None,
        bytes_up: 0,
        bytes_down: 0,
        duration: Duration::ZERO,
        sni: None,
    }
}

fn request(who: &Who<'_>, method: &str, target: &str) -> audit::Request {
    audit::Request {
        connection: who.connection,
        program: Program::of(who.caller),
        method: method.to_owned(),
        tls: who.port != 80,
        host: who.host.to_string(),
        port: who.port,
        target: Target::new(origin_form(target)),
        status: None,
        rule: None,
        generation: who.generation.0,
        disposition: Disposition::Allowed,
        failure: None,
        bytes_up: 0,
        bytes_down: 0,
        duration: Duration::ZERO,
    }
}

fn disposition(event: &Refused<'_>) -> Disposition {
    let words = serde_json::json!({ "reason": in_one_line(event.refusal), "refusal": event.refusal });
    if event.overlooked { Disposition::Observed(words) } else { Disposition::Refused(words) }
}

/// The refusal's own words up to what would allow it, which the structured form holds.
fn in_one_line(refusal: &creel_policy::Refusal) -> String {
    let text = refusal.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("to allow it"));
    lines.collect::<Vec<_>>().join("; ")
}

/// Path and query of a target that may be written in absolute form (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://") else { return target };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

fn handling(word: &str) -> Option<Handling> {
    match word {
        "inspect" => Some(Handling::Inspect),
        "pass-through" => Some(Handling::PassThrough),
        "raw" => Some(Handling::Raw),
        "model" => Some(Handling::Model),
        _ => None,
    }
}

impl Journal for Scribe {
    fn connection(&self, event: &ConnectionAdmitted<'_>) -> Result<(), JournalError> {
        self.write(&Event::Connection(audit::Connection {
            handling: handling(event.handling),
            rule: Some(event.rule.to_string()),
            ..connection(&event.who, Phase::Opened)
        }))
    }

    fn ended(&self, event: &ConnectionEnded<'_>) -> Result<(), JournalError> {
        self.write(&Event::Connection(audit::Connection {
            failure: event.cut.then(|| format!("cut: not allowed by policy generation {}", self.cell.generation())),
            bytes_up: event.sent,
            bytes_down: event.received,
            duration: event.lasted,
            ..connection(&event.who, Phase::Closed)
        }))
    }

    fn request(&self, event: &RequestAdmitted<'_>) -> Result<(), JournalError> {
        self.write(&Event::Request(audit::Request {
            rule: Some(event.rule.to_string()),
            ..request(&event.who, event.method, event.path)
        }))
    }

    fn refused(&self, event: &Refused<'_>) -> Result<(), JournalError> {
        if !event.overlooked {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        let (rule, disposition) =
            (event.refusal.rule.as_ref().map(ToString::to_string), disposition(event));
        self.write(&match event.request {
            Some((method, target)) => {
                Event::Request(audit::Request { rule, disposition, ..request(&event.who, method, target) })
            }
            None => Event::Connection(audit::Connection { rule, disposition, ..connection(&event.who, Phase::Opened) }),
        })
    }

    fn question(&self, event: &DnsAsked<'_>) -> Result<(), JournalError> {
        self.write(&Event::Dns(audit::Dns {
            program: Program::of(event.caller),
            name: event.name.to_owned(),
            query_type: event.kind.to_owned(),
            code: 0,
            answers: event.answered.into_iter().collect(),
        }))
    }
}

impl Scribe {
    /// Writes down that a program is about to be executed.
    pub fn executed(&self, exec: audit::Exec) -> Result<(), JournalError> {
        self.write(&Event::Exec(exec))
    }

    /// How much was refused so far.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Writes down anything else.
    pub fn event(&self, event: &Event) -> Result<(), JournalError> {
        self.write(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_in_absolute_form_is_written_in_origin_form() {
        for (target, want) in [("/a?b", "/a?b"), ("https://h.test/a?b", "/a?b"), ("https://h.test", "/"), ("*", "*")] {
            assert_eq!(origin_form(target), want);
        }
    }
}

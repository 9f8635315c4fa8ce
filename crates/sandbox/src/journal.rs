//! What the proxy and the witness report, written down as events of the record.

use crate::exit::afar::{Conversation, Underway};
use creel_audit as audit;
use creel_audit::{Actor, Behind, Disposition, Event, Handling, Phase, Record, Target};
use creel_proxy::{
    Alarm, ConnectionAdmitted, ConnectionEnded, DnsAsked, Journal, JournalError, PolicyCell, Refused,
    RefusedRequest as Asked, RequestAdmitted, RequestEnded, Who,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The record as the proxy knows it.
pub struct Scribe {
    paper: Paper,
    cell: Arc<PolicyCell>,
    refusals: AtomicU64,
    /// By their numbers, the connections that were admitted and are not over.
    open: Mutex<HashMap<u64, Open>>,
}

/// Where it is written.
enum Paper {
    /// Into the record.
    Record(Behind),
    /// By the exit, which has the record.
    Afar(Arc<Conversation>),
}

/// What is being written down.
pub struct Writing<'a>(Result<Underway<'a>, Result<(), JournalError>>);

impl Writing<'_> {
    /// Waits until it is written.
    pub fn finish(self) -> Result<(), JournalError> {
        self.0.map_or_else(|written| written, Underway::finish)
    }
}

/// What is kept of a connection while it lasts.
#[derive(Clone)]
struct Open {
    handling: Option<Handling>,
    rule: String,
    /// Written out once for all events of the connection.
    actor: Option<Actor>,
}

impl Scribe {
    /// Writes into `record`; `cell` tells whether a refusal is carried out.
    pub fn new(record: Arc<Record>, cell: Arc<PolicyCell>) -> Self {
        Self::on(Paper::Record(Behind::new(record)), cell)
    }

    /// Has everything written by the exit.
    pub fn afar(exit: Arc<Conversation>, cell: Arc<PolicyCell>) -> Self {
        Self::on(Paper::Afar(exit), cell)
    }

    fn on(paper: Paper, cell: Arc<PolicyCell>) -> Self {
        Self { paper, cell, refusals: AtomicU64::new(0), open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who acts on a connection.
    fn actor(&self, who: &Who<'_>) -> Option<Actor> {
        match self.open().get(&who.connection) {
            Some(open) => open.actor.clone(),
            None => Actor::of(who.caller),
        }
    }

    /// Writes down what is about to happen, or did: it is written when this returns.
    fn write(&self, event: &Event) -> Result<(), JournalError> {
        match &self.paper {
            Paper::Record(behind) => {
                mend(behind.record())?;
                behind.record().append(event).map(drop).map_err(|error| said(&error))
            }
            Paper::Afar(exit) => exit.write(event),
        }
    }

    /// Writes down how something ended that was written down before it began. Nobody waits for it to be written.
    fn write_end(&self, event: &Event) -> Result<(), JournalError> {
        match &self.paper {
            Paper::Record(behind) => {
                mend(behind.record())?;
                behind.append(event).map_err(|error| said(&error))
            }
            Paper::Afar(exit) => exit.write(event),
        }
    }
}

/// A disk that was full may have room again; until then this fails and nothing is admitted.
fn mend(record: &Record) -> Result<(), JournalError> {
    if record.is_broken() { record.recover().map_err(|error| said(&error)) } else { Ok(()) }
}

fn said(error: &audit::RecordError) -> JournalError {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    JournalError(format!("{error}{cause}"))
}

/// A connection's event with what every one of them says.
fn connection(who: &Who<'_>, actor: Option<Actor>, phase: Phase) -> audit::Connection {
    audit::Connection {
        id: who.connection,
        phase,
        program: actor,
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

fn request(who: &Who<'_>, actor: Option<Actor>, asked: &Asked<'_>) -> audit::Request {
    audit::Request {
        connection: who.connection,
        phase: Phase::Opened,
        program: actor,
        method: asked.method.to_owned(),
        tls: asked.tls,
        host: who.host.to_string(),
        port: who.port,
        target: Target::new(origin_form(asked.target)),
        said: None,
        status: asked.status,
        rule: None,
        generation: who.generation.0,
        disposition: Disposition::Allowed,
        failure: None,
        bytes_up: 0,
        bytes_down: 0,
        duration: Duration::ZERO,
    }
}

fn admitted(event: &RequestAdmitted<'_>, actor: Option<Actor>, phase: Phase) -> audit::Request {
    let asked = Asked { method: event.method, target: event.path, tls: event.tls, status: None };
    let said = event.said.map(str::to_owned);
    audit::Request { phase, rule: Some(event.rule.to_string()), said, ..request(&event.who, actor, &asked) }
}

fn disposition(refusal: &creel_policy::Refusal, overlooked: bool) -> Disposition {
    let words = serde_json::json!({ "reason": in_one_line(refusal), "refusal": refusal });
    if overlooked { Disposition::Observed(words) } else { Disposition::Refused(words) }
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
        let actor = Actor::of(event.who.caller);
        let open = Open { handling: handling(event.handling), rule: event.rule.to_string(), actor };
        self.write(&Event::Connection(audit::Connection {
            handling: open.handling,
            rule: Some(open.rule.clone()),
            ..connection(&event.who, open.actor.clone(), Phase::Opened)
        }))?;
        self.open().insert(event.who.connection, open);
        Ok(())
    }

    /// A connection that was never admitted has its refusal in the record already.
    fn ended(&self, event: &ConnectionEnded<'_>) -> Result<(), JournalError> {
        let Some(open) = self.open().remove(&event.who.connection) else { return Ok(()) };
        self.write_end(&Event::Connection(audit::Connection {
            handling: open.handling,
            rule: Some(open.rule),
            dialled: event.dialled,
            failure: event
                .cut
                .then(|| format!("cut: not allowed by policy generation {}", self.cell.generation())),
            bytes_up: event.sent,
            bytes_down: event.received,
            duration: event.lasted,
            ..connection(&event.who, open.actor, Phase::Closed)
        }))
    }

    fn request(&self, event: &RequestAdmitted<'_>) -> Result<(), JournalError> {
        self.write(&Event::Request(admitted(event, self.actor(&event.who), Phase::Opened)))
    }

    fn answered(&self, event: &RequestEnded<'_>) -> Result<(), JournalError> {
        self.write_end(&Event::Request(audit::Request {
            status: event.status,
            failure: event.status.is_none().then(|| "it was not answered".to_owned()),
            bytes_up: event.sent,
            bytes_down: event.received,
            duration: event.lasted,
            ..admitted(&event.admitted, self.actor(&event.admitted.who), Phase::Closed)
        }))
    }

    fn refused(&self, event: &Refused<'_>) -> Result<(), JournalError> {
        if !event.overlooked {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        let (rule, disposition) = (
            event.refusal.rule.as_ref().map(ToString::to_string),
            disposition(event.refusal, event.overlooked),
        );
        let actor = self.actor(&event.who);
        self.write(&match event.request {
            Some(asked) => {
                Event::Request(audit::Request { rule, disposition, ..request(&event.who, actor, &asked) })
            }
            None => Event::Connection(audit::Connection {
                rule,
                disposition,
                ..connection(&event.who, actor, Phase::Opened)
            }),
        })
    }

    fn alarm(&self, event: &Alarm<'_>) -> Result<(), JournalError> {
        let Who { host, port, caller, .. } = event.who;
        let program = Actor::of(caller).map(|actor| (*actor).clone());
        self.write(&Event::Finding(audit::Finding {
            title: "a credential went where it has no business".to_owned(),
            detail: format!("to {host}:{port}: {}", event.what),
            severity: audit::Severity::High,
            layer: "network".to_owned(),
            program,
        }))
    }

    fn question(&self, event: &DnsAsked<'_>) -> Result<(), JournalError> {
        self.write(&Event::Dns(audit::Dns {
            program: Actor::of(event.caller),
            name: event.name.to_owned(),
            query_type: event.kind.to_owned(),
            code: 0,
            answers: event.answered.into_iter().collect(),
        }))
    }
}

impl Scribe {
    /// Begins to write down that a program is about to be executed; it is written when [`Writing::finish`] returns.
    pub fn begin_executed(&self, exec: audit::Exec) -> Writing<'_> {
        match &self.paper {
            Paper::Record(_) => Writing(Err(self.executed(exec))),
            Paper::Afar(exit) => Writing(Ok(exit.begin(Event::Exec(exec)))),
        }
    }

    /// Writes down that a program is about to be executed.
    pub fn executed(&self, exec: audit::Exec) -> Result<(), JournalError> {
        self.write(&Event::Exec(exec))
    }

    /// Writes down that a program was refused, or would have been.
    pub fn execution_refused(
        &self,
        exec: audit::Exec,
        refusal: &creel_policy::Refusal,
        overlooked: bool,
    ) -> Result<(), JournalError> {
        if !overlooked {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        let (rule, disposition) =
            (refusal.rule.as_ref().map(ToString::to_string), disposition(refusal, overlooked));
        self.write(&Event::Exec(audit::Exec { rule, disposition, ..exec }))
    }

    /// Writes down what a call of a model came to; the request that carried it stands before it.
    pub fn called(&self, call: audit::ModelCall) -> Result<(), JournalError> {
        self.write_end(&Event::ModelCall(call))
    }

    /// How much was refused so far; of what the exit refused, how much it was at the last event.
    pub fn refusals(&self) -> u64 {
        let afar = match &self.paper {
            Paper::Record(_) => 0,
            Paper::Afar(exit) => exit.refusals(),
        };
        self.refusals.load(Ordering::Relaxed) + afar
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<creel_policy::Policy> {
        Arc::clone(&self.cell.load().policy)
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
        for (target, want) in
            [("/a?b", "/a?b"), ("https://h.test/a?b", "/a?b"), ("https://h.test", "/"), ("*", "*")]
        {
            assert_eq!(origin_form(target), want);
        }
    }
}

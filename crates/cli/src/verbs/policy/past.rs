//! What a record says was refused, asked anew.

use crate::failure::Failure;
use crate::verbs::audit;
use creel_audit::{Event, Filter};
use creel_policy::{Question, canonical};
use creel_types::{Caller, Program};

/// A refusal of the past.
pub struct Past {
    /// The number of the first event of it.
    pub seq: u64,
    /// How many events are of it.
    pub times: usize,
    /// The reason that was given then.
    pub then: String,
    /// What was asked.
    pub question: Question,
}

/// The refusals of a record, each once, in the order in which they first came.
pub fn refusals(record: Option<&str>, seq: Option<u64>) -> Result<Vec<Past>, Failure> {
    let path = audit::locate(record)?;
    let filter = Filter { refused_only: true, from_seq: seq, to_seq: seq, ..Filter::default() };
    let mut found: Vec<Past> = Vec::new();
    for entry in creel_audit::read(&path, filter)? {
        let entry = entry?;
        let Some(question) = question(&entry.event) else { continue };
        match found.iter_mut().find(|past| past.question == question) {
            Some(past) => past.times += 1,
            None => found.push(Past { seq: entry.seq, times: 1, then: reason(&entry.event), question }),
        }
    }
    match (found.is_empty(), seq) {
        (true, Some(seq)) => Err(Failure::new(format!(
            "event {seq} of {} is no refusal that a policy answers",
            path.display()
        ))),
        _ => Ok(found),
    }
}

/// The question that the event answers; `None` when it is no question to a policy, or not one with a canonical form.
fn question(event: &Event) -> Option<Question> {
    let caller = event.program().map(caller).unwrap_or_default();
    match event {
        Event::Request(e) => Some(Question::Request {
            method: e.method.clone(),
            tls: e.tls,
            host: canonical::host(&e.host).ok()?,
            port: e.port,
            path: canonical::path(e.target.path()).ok()?,
            caller,
        }),
        Event::Connection(e) => Some(Question::Connect {
            host: canonical::host(&e.host).ok()?,
            port: e.port,
            addr: e.dialled.map(|addr| addr.ip().to_canonical()),
            caller,
        }),
        Event::Exec(e) => Some(Question::Execute {
            names: vec![e.program.path.clone()],
            arguments: e.argv.args().iter().skip(1).cloned().collect(),
            digest: e.program.digest,
            parents: Caller { chain: caller.chain.into_iter().skip(1).collect() },
        }),
        Event::ModelCall(e) => e.model.clone().map(Question::Model),
        _ => None,
    }
}

fn caller(program: &creel_audit::Program) -> Caller {
    let first = Program {
        pid: program.pid,
        path: program.path.as_str().into(),
        digest: program.digest,
        foreign_code: program.foreign_code.as_ref().map(Into::into),
    };
    let parents = program.parents.iter().map(|parent| Program {
        pid: parent.pid,
        path: parent.path.as_str().into(),
        digest: parent.digest,
        foreign_code: None,
    });
    Caller { chain: std::iter::once(first).chain(parents).collect() }
}

/// What the agent was told, without what was compared.
fn reason(event: &Event) -> String {
    let refusal = event.disposition().and_then(|d| d.refusal());
    let told = refusal.and_then(|value| value.get("reason")?.as_str()?.split("; compared").next());
    told.unwrap_or("refused").to_owned()
}

//! The record from outside: written, read, attacked, on a full disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod disk_full;
mod reading;
mod rendering;
mod tampering;
mod writing;

use creel_audit::{About, Connection, Disposition, Event, Exit, Program, Record};
use creel_types::SandboxId;
use std::path::Path;
use std::time::Duration;

fn about() -> About {
    About {
        name: "claude".parse().unwrap(),
        id: SandboxId::from_random([7; 16]),
        version: "0.1.0".to_owned(),
    }
}

/// Connection number `id`: every third one refused.
fn connection(id: u64) -> Event {
    let refused = id % 3 == 2;
    let refusal =
        serde_json::json!({"reason": "no rule admits evil.example:443", "suggestion": "to: [evil.example]"});
    Event::Connection(Connection {
        phase: creel_audit::Phase::Closed,
        id,
        program: Some(
            Program {
                pid: 41,
                path: if id.is_multiple_of(2) { "/usr/bin/curl" } else { "/usr/bin/git" }.to_owned(),
                digest: None,
                foreign_code: None,
                parents: Vec::new(),
            }
            .into(),
        ),
        host: if refused { "evil.example" } else { "api.github.com" }.to_owned(),
        port: 443,
        dialled: (!refused).then(|| "140.82.121.6:443".parse().unwrap()),
        handling: None,
        rule: (!refused).then(|| "github-read".to_owned()),
        generation: 1,
        disposition: if refused { Disposition::Refused(refusal) } else { Disposition::Allowed },
        failure: None,
        bytes_up: id,
        bytes_down: 3 * id,
        duration: Duration::from_micros(id),
        sni: None,
    })
}

fn exit() -> Event {
    Event::Exit(Exit { code: Some(0), signal: None, reason: "command exited".to_owned() })
}

/// A closed record of `connections` connections in `dir`.
fn closed(dir: &Path, connections: u64) -> Record {
    let record = Record::create(dir, about()).unwrap();
    for id in 0..connections {
        record.append(&connection(id)).unwrap();
    }
    record.append(&exit()).unwrap();
    record
}

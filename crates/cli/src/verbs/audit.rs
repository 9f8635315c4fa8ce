//! `creel audit` and `creel logs`: reading what was recorded, and checking that it was not altered.

use crate::args::{Audit, Logs, Show};
use crate::failure::Failure;
use crate::output;
use creel_api::control::{Answer, Request};
use creel_audit::{Closing, Colour, Entry, Filter, Kind};
use creel_sandbox::{client, records};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long `logs --follow` sleeps when nothing new is there.
const GLANCE: Duration = Duration::from_millis(200);

/// Carries out one of the verbs.
pub fn audit(verb: Audit) -> Result<ExitCode, Failure> {
    match verb {
        Audit::Show(args) => show(&args),
        Audit::Verify { record, json } => verify(record.as_deref(), json),
    }
}

fn show(args: &Show) -> Result<ExitCode, Failure> {
    let filter = Filter {
        kinds: args.class.iter().map(|name| kind(name)).collect::<Result<_, _>>()?,
        program: args.program.clone(),
        host: args.host.clone(),
        rule: args.rule.clone(),
        refused_only: args.refused,
        ..Filter::default()
    };
    let path = locate(args.record.as_deref())?;
    for entry in creel_audit::read(&path, filter)? {
        print(&entry?, args.json);
    }
    Ok(ExitCode::SUCCESS)
}

/// `creel logs NAME`: the same lines, as they come.
pub fn logs(args: &Logs) -> Result<ExitCode, Failure> {
    let path = locate(Some(&args.name))?;
    let mut reader = creel_audit::read(&path, Filter::default())?;
    loop {
        match reader.next().transpose()? {
            Some(entry) => {
                print(&entry, args.json);
                if matches!(entry.event, creel_audit::Event::Exit(_)) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            None if args.follow => std::thread::sleep(GLANCE),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn verify(record: Option<&str>, json: bool) -> Result<ExitCode, Failure> {
    let path = locate(record)?;
    let verified = match creel_audit::verify(&path) {
        Ok(verified) => verified,
        Err(broken) if json => {
            output::json(&serde_json::json!({
                "record": path, "intact": false, "line": broken.line, "why": broken.why.to_string(),
            }));
            return Ok(ExitCode::FAILURE);
        }
        Err(broken) => return Err(Failure::new(format!("{} was altered: {broken}", path.display())).code(1)),
    };
    let closed = verified.closing == Closing::Closed;
    if json {
        output::json(&serde_json::json!({
            "record": path, "intact": true, "closed": closed, "lines": verified.lines, "events": verified.events,
            "signed_through": verified.signed_through, "digest": verified.digest.to_string(),
            "public_key": verified.header.public_key.to_string(),
        }));
    } else {
        output::print(&format!(
            "{}: {} events, the chain holds\n  key    {}\n  digest {}\n",
            path.display(),
            verified.events,
            verified.header.public_key,
            verified.digest
        ));
    }
    if closed || still_runs(&path) {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("creel: the record has no end: the sandbox was killed, or the end was cut off");
    Ok(ExitCode::from(2))
}

fn still_runs(path: &Path) -> bool {
    client::names().into_iter().flatten().any(|name| running_record(&name).as_deref() == Some(path))
}

fn print(entry: &Entry, json: bool) {
    if json {
        match serde_json::to_string(&serde_json::json!({
            "seq": entry.seq, "time": entry.time, "event": entry.event,
        })) {
            Ok(line) => output::print(&format!("{line}\n")),
            Err(error) => eprintln!("creel: cannot write JSON: {error}"),
        }
    } else {
        let colour = if output::colour() { Colour::Ansi } else { Colour::None };
        output::print(&format!("{}\n", creel_audit::render(entry, colour)));
    }
}

/// The record of a running sandbox, else the one that the argument names.
pub fn locate(what: Option<&str>) -> Result<PathBuf, Failure> {
    if let Some(path) = what.and_then(running_record) {
        return Ok(path);
    }
    Ok(records::find(what)?)
}

fn running_record(name: &str) -> Option<PathBuf> {
    match client::ask(name, &Request::Status) {
        Ok(Answer::Status(status)) => Some(status.record),
        _ => None,
    }
}

fn kind(name: &str) -> Result<Kind, Failure> {
    name.parse::<Kind>().map_err(|_| {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        Failure::new(format!("there is no kind of event `{name}`")).hint(format!("one of {}", all.join(", ")))
    })
}

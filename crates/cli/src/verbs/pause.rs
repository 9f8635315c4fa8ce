//! `creel pause` and `creel resume`: a sandbox held still, and let go.

use crate::args::Named;
use crate::failure::Failure;
use crate::output;
use creel_api::control::{Answer, Request};
use creel_sandbox::client;
use std::process::ExitCode;

/// Holds every process still.
pub fn pause(args: &Named) -> Result<ExitCode, Failure> {
    ask(args, &Request::Pause, "paused")
}

/// Lets every process go on.
pub fn resume(args: &Named) -> Result<ExitCode, Failure> {
    ask(args, &Request::Resume, "resumed")
}

fn ask(args: &Named, request: &Request, done: &str) -> Result<ExitCode, Failure> {
    match client::ask(&args.name, request)? {
        Answer::Done { means } if args.json => {
            output::json(&serde_json::json!({ "name": args.name, "now": done, "means": means }));
        }
        Answer::Done { means } => output::print(&format!("{} is {done} ({means})\n", args.name)),
        Answer::Refused { why, details } => {
            let why = std::iter::once(why).chain(details).collect::<Vec<_>>().join(": ");
            return Err(Failure::new(format!("{} was not {done}: {why}", args.name)));
        }
        other => return Err(Failure::new(format!("unexpected answer: {other:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

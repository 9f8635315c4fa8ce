//! `creel doctor`: what this machine can enforce.

use crate::args::Json;
use crate::failure::Failure;
use crate::output;
use creel_sandbox::doctor::{self, Check, State};
use std::process::ExitCode;

/// Prints the facts and the result of a trial; fails when no sandbox can be started.
pub fn doctor(args: &Json) -> Result<ExitCode, Failure> {
    let mut checks = doctor::facts();
    checks.extend(doctor::trial());
    if args.json {
        output::json(&checks);
    } else {
        checks.iter().for_each(|check| output::print(&line(check)));
    }
    let broken = checks.iter().any(|check| check.state == State::Broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(check: &Check) -> String {
    let mark = match check.state {
        State::Good => "ok  ",
        State::Lacking => "weak",
        State::Broken => "FAIL",
    };
    let mend = check.mend.as_ref().map(|how| format!("       mend: {how}\n")).unwrap_or_default();
    format!("{mark}  {}: {}\n{mend}", check.name, check.found)
}

//! `creel doctor`: what this machine can enforce.

use crate::args::Doctor;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_api::posture::Tried;
use creel_sandbox::doctor::{self, Check, State};
use creel_sandbox::order::{Order, Voice};
use std::process::ExitCode;

/// Prints the facts and the result of a trial; fails when no sandbox can be started.
pub fn doctor(args: Doctor) -> Result<ExitCode, Failure> {
    if args.posture {
        return posture(args);
    }
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

/// Prints every promise with what came of trying to break it; fails when one is broken.
fn posture(args: Doctor) -> Result<ExitCode, Failure> {
    let json = args.json;
    let enforced = creel_sandbox::trial::posture(Order {
        documents: documents::read(&args.policy)?,
        name: None,
        workspace: args.workspace,
        root: None,
        env: Vec::new(),
        resolve: Vec::new(),
        trust: Vec::new(),
        record: None,
        terminal: false,
        voice: Voice::Quiet,
        command: vec!["posture".into()],
    })
    .map_err(Failure::of_run)?;
    let holds = !enforced.promises.is_empty() && enforced.promises.iter().all(Tried::holds);
    if json {
        output::json(&serde_json::json!({
            "holds": holds, "tried_us": enforced.tried_us, "layers": enforced.layers, "promises": enforced.promises,
        }));
    } else {
        enforced.promises.iter().for_each(|promise| output::print(&kept(promise)));
        let attempts: usize = enforced.promises.iter().map(|promise| promise.tried).sum();
        let verdict = if holds { "all hold" } else { "NOT all hold: nothing would run" };
        output::print(&format!("{} promises, {attempts} attempts: {verdict}\n", enforced.promises.len()));
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn kept(promise: &Tried) -> String {
    let mark = if promise.holds() { "ok  " } else { "FAIL" };
    let of = if promise.of > promise.tried { format!(" of {}", promise.of) } else { String::new() };
    let head = format!(
        "{mark}  {}: {} ({}; {}{of} tried)\n",
        promise.layer, promise.promise, promise.mechanism, promise.tried
    );
    promise.broken.iter().fold(head, |text, breach| text + &format!("       {breach}\n"))
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

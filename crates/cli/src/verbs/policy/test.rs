//! `creel policy test`.

use crate::args::Test;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_policy::{Cases, Document};
use creel_sandbox::policies;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the cases.
pub fn test(args: &Test) -> Result<ExitCode, Failure> {
    let text = std::fs::read_to_string(&args.cases)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", args.cases)))?;
    let cases = Cases::read(&Document { name: args.cases.clone(), text, base: PathBuf::new() })?;
    let names = if args.policy.is_empty() { beside(&args.cases, &cases.policy) } else { args.policy.clone() };
    if names.is_empty() {
        return Err(Failure::new(format!("{} names no policy", args.cases))
            .hint("write `policy: [FILE]` in it, or give one with -p"));
    }
    let study = policies::study(&documents::read(&names)?, &args.workspace)?;
    let report = cases.run(&study.policy, &study.places, &study.operator);
    if args.json {
        output::json(&report);
    } else {
        output::print(&report.to_string());
    }
    Ok(match (report.is_met(), args.exercised && !report.untouched.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(2),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Policies are named from where the cases stand.
fn beside(cases: &str, policies: &[String]) -> Vec<String> {
    let directory = Path::new(cases).parent().unwrap_or(Path::new(""));
    let one = |name: &String| match name.starts_with("preset:") {
        true => name.clone(),
        false => directory.join(name).to_string_lossy().into_owned(),
    };
    policies.iter().map(one).collect()
}

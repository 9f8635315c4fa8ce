//! `creel policy explain`.

use super::past;
use crate::args::Explain;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_policy::{Question, Verdict};
use creel_sandbox::policies::{self, Study};
use std::process::ExitCode;

/// Answers the question, or those that a record asks.
pub fn explain(args: &Explain) -> Result<ExitCode, Failure> {
    let study = policies::study(&documents::read(std::slice::from_ref(&args.file))?, &args.workspace)?;
    match (&args.question, &args.from_record) {
        (Some(text), _) => one(&study, text, args),
        (None, record) => refusals(&study, record.as_ref().and_then(Option::as_deref), args),
    }
}

fn one(study: &Study, text: &str, args: &Explain) -> Result<ExitCode, Failure> {
    let question = Question::parse(text, &args.from, &study.operator)?;
    let explanation = study.policy.explain(&study.places, &question);
    if args.json {
        output::json(&explanation);
    } else {
        output::print(&format!("{explanation}\n"));
    }
    Ok(code(explanation.verdict == Verdict::Allowed))
}

fn refusals(study: &Study, record: Option<&str>, args: &Explain) -> Result<ExitCode, Failure> {
    let asked = past::refusals(record, args.seq)?;
    let told: Vec<_> =
        asked.iter().map(|past| (past, study.policy.explain(&study.places, &past.question))).collect();
    let all_allowed = told.iter().all(|(_, explanation)| explanation.verdict == Verdict::Allowed);
    if args.json {
        let list: Vec<_> = told
            .iter()
            .map(|(past, told)| serde_json::json!({ "seq": past.seq, "times": past.times, "then": past.then, "now": told }))
            .collect();
        output::json(&list);
        return Ok(code(all_allowed));
    }
    if told.is_empty() {
        output::print("nothing was refused\n");
    }
    for (past, explanation) in &told {
        let times = if past.times > 1 { format!(", {} times", past.times) } else { String::new() };
        output::print(&format!("# event {}{times}; then: {}\n{explanation}\n\n", past.seq, past.then));
    }
    Ok(code(all_allowed))
}

fn code(allowed: bool) -> ExitCode {
    if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! `creel policy`: check, explain, show and change policies.

mod diff;
mod explain;
mod fmt;
mod past;
mod prove;
mod show;
mod test;

use crate::args::Policy;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_api::control::{Answer, Request};
use creel_sandbox::{client, policies};
use std::path::Path;
use std::process::ExitCode;

/// Carries out one of the verbs.
pub fn policy(verb: Policy) -> Result<ExitCode, Failure> {
    match verb {
        Policy::Check { files, workspace, json } => check(&files, &workspace, json),
        Policy::Explain(args) => explain::explain(&args),
        Policy::Show(args) => show::show(&args),
        Policy::Test(args) => test::test(&args),
        Policy::Diff(args) => diff::diff(&args),
        Policy::Prove(args) => prove::prove(&args),
        Policy::Fmt(args) => fmt::fmt(&args),
        Policy::Set { name, files, force, json } => set(&name, &files, force, json),
        Policy::Get { name, json } => get(&name, json),
        Policy::Presets { name } => presets(name.as_deref()),
        Policy::Schema => {
            output::json(&creel_policy::schema());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(files: &[String], workspace: &Path, json: bool) -> Result<ExitCode, Failure> {
    let documents = documents::read(files)?;
    match policies::compile(&documents, workspace, &[]) {
        Ok(_) => {
            if json {
                output::json(&serde_json::json!({ "valid": true, "errors": [] }));
            } else {
                output::print(&format!("{}: valid\n", files.join(", ")));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(policies::CompileError::Invalid(errors)) if json => {
            output::json(&serde_json::json!({ "valid": false, "errors": errors }));
            Ok(ExitCode::FAILURE)
        }
        Err(policies::CompileError::Invalid(errors)) => {
            eprintln!("{}", errors.to_string().trim_end());
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

fn set(name: &str, files: &[String], force: bool, json: bool) -> Result<ExitCode, Failure> {
    let documents = documents::read(files)?;
    let answer = client::ask(name, &Request::PolicySet { documents, force })?;
    if json {
        output::json(&answer);
    }
    match answer {
        Answer::Changed { generation, applied } => {
            if !json {
                output::print(&changed(name, generation, &applied));
            }
            Ok(ExitCode::SUCCESS)
        }
        Answer::Refused { why, details } => {
            eprintln!("creel: {name} keeps its policy: {why}");
            details.iter().for_each(|line| eprintln!("  {line}"));
            Ok(ExitCode::FAILURE)
        }
        other => Err(Failure::new(format!("unexpected answer: {other:?}"))),
    }
}

fn changed(name: &str, generation: u64, applied: &[creel_api::enforced::Applied]) -> String {
    let mut text = format!("{name}: policy generation {generation} is in force\n");
    for layer in applied {
        let micros = layer.took.as_micros();
        text += &format!("  {:<11} {:>6}.{:03} ms\n", layer.layer, micros / 1000, micros % 1000);
        for line in &layer.did {
            text += &format!("    {line}\n");
        }
    }
    text
}

fn get(name: &str, json: bool) -> Result<ExitCode, Failure> {
    match client::ask(name, &Request::PolicyGet)? {
        Answer::Policy { generation, documents } if json => {
            output::json(&serde_json::json!({ "generation": generation, "documents": documents }));
        }
        Answer::Policy { generation, documents } => {
            output::print(&format!("# generation {generation}\n"));
            for document in documents {
                output::print(&format!("# {}\n{}\n", document.name, document.text.trim_end()));
            }
        }
        other => return Err(Failure::new(format!("unexpected answer: {other:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn presets(name: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(name) = name else {
        for preset in creel_policy::presets() {
            output::print(&format!("{preset}\n"));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let text =
        creel_policy::preset(name).ok_or_else(|| Failure::new(format!("there is no preset `{name}`")))?;
    output::print(text);
    Ok(ExitCode::SUCCESS)
}

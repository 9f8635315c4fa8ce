//! `creel ps`: the sandboxes that run.

use crate::args::Json;
use crate::failure::Failure;
use crate::output;
use crate::verbs::review;
use creel_api::control::{Answer, Request, Status};
use creel_sandbox::client;
use std::process::ExitCode;

/// Lists this user's running sandboxes.
pub fn ps(args: &Json) -> Result<ExitCode, Failure> {
    let running = running()?;
    if args.json {
        output::json(&running);
    } else {
        let head = ["NAME", "PID", "STARTED", "POLICY", "CONNECTIONS", "COMMAND"];
        output::print(&output::table(&head, &running.iter().map(row).collect::<Vec<_>>()));
        review::remind();
    }
    Ok(ExitCode::SUCCESS)
}

/// A sandbox that ends while it is asked is left out: it runs no more.
fn running() -> Result<Vec<Status>, Failure> {
    let statuses =
        client::names()?.into_iter().filter_map(|name| match client::ask(&name, &Request::Status) {
            Ok(Answer::Status(status)) => Some(*status),
            _ => None,
        });
    Ok(statuses.collect())
}

fn row(status: &Status) -> Vec<String> {
    let paused = if status.paused { ", paused" } else { "" };
    let mode = if status.mode == "enforce" { String::new() } else { format!(" ({})", status.mode) };
    let means = status.enforced.layers.iter().flat_map(|layer| &layer.mechanisms);
    let tier = if means.into_iter().any(|means| means == "tier confined") { ", confined" } else { "" };
    vec![
        status.name.clone(),
        status.init.to_string(),
        status.started.clone(),
        format!("generation {}{mode}{tier}{paused}", status.generation),
        status.connections.to_string(),
        status.command.join(" "),
    ]
}

//! `creel policy show`.

use crate::args::Overview as Args;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_policy::Overview;
use creel_sandbox::policies;
use std::process::ExitCode;

/// Prints what the policy allows.
pub fn show(args: &Args) -> Result<ExitCode, Failure> {
    let study = policies::study(&documents::read(&args.files)?, &args.workspace)?;
    let overview = study.policy.overview(&study.places);
    if args.json {
        output::json(&overview);
    } else if args.table {
        output::print(&output::table(&Overview::HEAD, &overview.table()));
    } else {
        output::print(&overview.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

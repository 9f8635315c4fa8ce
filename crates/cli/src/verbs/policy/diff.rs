//! `creel policy diff`.

use crate::args::Diff;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_sandbox::policies;
use std::process::ExitCode;

/// Compares two policies.
pub fn diff(args: &Diff) -> Result<ExitCode, Failure> {
    let study = |name: &String| -> Result<_, Failure> {
        Ok(policies::study(&documents::read(std::slice::from_ref(name))?, &args.workspace)?)
    };
    let (old, new) = (study(&args.old)?, study(&args.new)?);
    let differences = creel_policy::compare((&old.policy, &old.places), (&new.policy, &new.places))?;
    if args.json {
        output::json(&differences);
    } else if !args.quiet {
        output::print(&differences.to_string());
    }
    Ok(if differences.allowed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

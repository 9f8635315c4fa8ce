//! `creel policy prove`.

use crate::args::Prove;
use crate::failure::Failure;
use crate::output;
use crate::verbs::documents;
use creel_policy::{Claim, Proof};
use creel_sandbox::policies;
use std::process::ExitCode;

/// Looks for what must never be allowed.
pub fn prove(args: &Prove) -> Result<ExitCode, Failure> {
    let study = policies::study(&documents::read(std::slice::from_ref(&args.file))?, &args.workspace)?;
    let proofs = args
        .never
        .iter()
        .map(|text| Ok(study.policy.prove(&study.places, &Claim::parse(text, &study.operator)?)?))
        .collect::<Result<Vec<Proof>, Failure>>()?;
    if args.json {
        output::json(&proofs);
    } else {
        proofs.iter().for_each(|proof| output::print(&format!("{proof}\n")));
    }
    Ok(if proofs.iter().all(|proof| proof.holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

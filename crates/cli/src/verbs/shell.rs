//! `creel completion` and `creel man`.

use crate::args::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use std::io;
use std::process::ExitCode;

/// Prints the completion script for `shell`.
pub fn completion(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "creel", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page.
pub fn man() -> Result<ExitCode, Failure> {
    clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?;
    Ok(ExitCode::SUCCESS)
}

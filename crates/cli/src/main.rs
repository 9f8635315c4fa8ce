//! The command `creel`: reads the command line and hands over; every role that Creel starts itself in begins here.

#![allow(clippy::print_stdout, clippy::print_stderr)] // the one crate that talks to a person

mod args;
mod failure;
mod output;
mod verbs;

use args::{Cli, Verb};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// musl's own allocator takes one lock for every thread and returns memory slowly; this one does neither.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match carry_out(Cli::parse().verb) {
        Ok(code) => code,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn carry_out(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run(args) => verbs::run::run(args),
        Verb::Exec(args) => verbs::exec::exec(args),
        Verb::Ps(args) => verbs::ps::ps(&args),
        Verb::Stop(args) => verbs::stop::stop(&args),
        Verb::Pause(args) => verbs::pause::pause(&args),
        Verb::Resume(args) => verbs::pause::resume(&args),
        Verb::Logs(args) => verbs::audit::logs(&args),
        Verb::Changes(args) => verbs::review::changes(&args),
        Verb::Apply(args) => verbs::review::apply(&args),
        Verb::Discard(args) => verbs::review::discard(&args),
        Verb::Snapshot(args) => verbs::review::snapshot(&args),
        Verb::Rollback(args) => verbs::review::rollback(&args),
        Verb::Policy(args) => verbs::policy::policy(args),
        Verb::Audit(args) => verbs::audit::audit(args),
        Verb::Doctor(args) => verbs::doctor::doctor(args),
        Verb::Demo => verbs::demo::demo(),
        Verb::Completion { shell } => verbs::shell::completion(shell),
        Verb::Man => verbs::shell::man(),
        Verb::Finish { state } => Ok(ExitCode::from(creel_sandbox::finisher::role(&state))),
        Verb::Sweep { directories, tree } => {
            Ok(ExitCode::from(creel_sandbox::sweeper::role(&directories, tree.as_deref())))
        }
        Verb::Image(args) => verbs::image::image(args),
        Verb::TakeImage(args) => verbs::image::take(&args),
        Verb::Mounts => Ok(ExitCode::from(creel_sandbox::mounts::role())),
    }
}

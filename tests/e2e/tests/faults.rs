//! Faults at every step of a start and an end: each process is killed at each of its system calls, and each call fails
//! once as it would if memory, descriptors or the disk were used up.
//!
//! The usual run takes a sample of the steps, spread over the whole; `CREEL_FAULTS` says how many a role has at most,
//! and `./x faults` takes all.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))] // the tracer sets registers
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what it came to is for who reads it

use creel_e2e::drill::{Brief, failures, kills, leaving_nothing, sweep};
use creel_e2e::place::Place;
use creel_e2e::stepper::{CHILD, EXIT, FIRST, FORK, Fault, Harm, INIT, Walk, Walked};
use std::collections::BTreeMap;
use std::time::Duration;

/// Patience with a run that should be over.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a sandbox to its end under a fault.
fn start(place: &Place, fault: Option<Fault>) -> Walked {
    Walk::start(place.command(&place.watchman()), fault, true, PATIENCE).finish()
}

/// An undisturbed run, which tells the steps.
fn measured() -> BTreeMap<&'static str, Vec<i64>> {
    let place = Place::new();
    let walked = start(&place, None);
    assert_eq!((walked.code, walked.stdout.as_str()), (0, "done\n"), "{:?}", Brief(&walked));
    let counts: Vec<_> = walked.calls.iter().map(|(role, calls)| (role, calls.len())).collect();
    println!("system calls of a start and an end: {counts:?}");
    place.judge(&walked).unwrap();
    walked.calls
}

#[test]
fn whoever_is_killed_at_any_step_of_a_start_or_an_end_leaves_nothing() {
    let faults = kills(&measured(), &[FIRST, FORK, EXIT, INIT, CHILD, "internal-sweep"], Harm::Kill);
    leaving_nothing(|| {
        sweep(&faults, Place::new, |place, fault| {
            let walked = start(place, Some(fault));
            place.judge(&walked).map(|()| walked.struck.is_some())
        });
    });
}

#[test]
fn a_call_that_fails_at_any_step_of_a_start_ends_it_or_is_said_and_nothing_runs_with_less() {
    let faults = failures(&measured(), &[FIRST, FORK, EXIT, INIT, CHILD, "internal-sweep"]);
    leaving_nothing(|| {
        sweep(&faults, Place::new, |place, fault| {
            let walked = start(place, Some(fault));
            place.judge(&walked)?;
            let finished = walked.stdout == "done\n";
            if !finished && walked.code == 0 {
                return Err(format!("it did not run, and nobody is told: {:?}", Brief(&walked)));
            }
            // Whom a signal ended, as before `main` when there is no memory, the shell speaks for.
            if !finished && walked.code != -1 && walked.stderr.is_empty() {
                return Err(format!("it did not run, and nobody says why: {:?}", Brief(&walked)));
            }
            Ok(walked.struck.is_some())
        });
    });
}

//! `creel stop`: the end of a sandbox.

use crate::args::Stop;
use crate::failure::Failure;
use creel_api::control::{Answer, Request};
use creel_sandbox::client::Conversation;
use std::process::ExitCode;

/// Asks the sandbox to end, and waits until it has.
pub fn stop(args: &Stop) -> Result<ExitCode, Failure> {
    let grace_seconds = if args.now { 0 } else { args.grace };
    let mut conversation = Conversation::open(&args.name)?;
    conversation.send(&Request::Stop { grace_seconds }, &[])?;
    match conversation.answer()? {
        None | Some(Answer::Ended { .. }) => Ok(ExitCode::SUCCESS),
        Some(Answer::Refused { why, .. }) => Err(Failure::new(why)),
        Some(other) => Err(Failure::new(format!("unexpected answer: {other:?}"))),
    }
}

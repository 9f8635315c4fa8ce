//! `creel exec`: one more command in a running sandbox.

use crate::args::Exec;
use crate::failure::Failure;
use crate::verbs::run::split_env;
use creel_api::control::{Answer, Request};
use creel_sandbox::client::Conversation;
use creel_sandbox::{relay, terminal};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Runs the command with this terminal, or these three descriptors.
pub fn exec(args: Exec) -> Result<ExitCode, Failure> {
    let interactive = args.tty || (!args.no_tty && terminal::is_interactive());
    let env = split_env(&args.env)?
        .into_iter()
        .map(|(k, v)| Ok((utf8(k)?, utf8(v)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let request = Request::Exec {
        command: args.command,
        env,
        cwd: args.cwd,
        terminal: interactive.then(|| terminal::size(rustix::stdio::stdout())),
    };
    let mut conversation = Conversation::open(&args.name)?;
    let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    let own = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    conversation.send(&request, if interactive { &[] } else { &own })?;
    match conversation.answer()? {
        Some(Answer::Started { .. }) => {}
        Some(Answer::Refused { why, details }) => {
            return Err(Failure::new([vec![why], details].concat().join("\n  ")));
        }
        other => return Err(Failure::new(format!("unexpected answer: {other:?}"))),
    }
    let relay = conversation.take_fd().map(relay::Relay::start).transpose()?;
    let ended = conversation.answer();
    drop(relay);
    match ended? {
        Some(Answer::Ended { code }) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(crate::failure::OWN))),
        Some(Answer::Refused { why, .. }) => Err(Failure::new(why)),
        _ => Err(Failure::new(format!("sandbox `{}` ended before the command did", args.name)).code(137)),
    }
}

fn utf8(text: std::ffi::OsString) -> Result<String, Failure> {
    text.into_string().map_err(|text| Failure::new(format!("{text:?} is not UTF-8")))
}

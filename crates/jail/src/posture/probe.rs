//! The inner half: a child of init that makes every attempt and writes down what the kernel answered.
//!
//! It says nothing about whether a promise holds. What it writes goes to the warden through init, before anything of
//! the agent's exists.

use super::{Answer, Attempt};
use crate::command::{Manner, as_every_command};
use crate::link;
use crate::wire::{Reader, Writer};
use creel_kernel::{Named, SysError, process};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Tries everything and tells the warden.
pub(crate) fn run(
    attempts: &[Attempt],
    manner: &Manner,
    hatch: Option<&OwnedFd>,
    to: &OwnedFd,
) -> Result<(), SysError> {
    // The warden goes on while the child's memory is still being taken down; init serves only when it is gone.
    let (answers, _child) = fork_and_try(attempts, Some(manner), hatch)?;
    let mut w = Writer::default();
    answers.iter().for_each(|answer| w.u32(encode(*answer)));
    link::send(to, &w.0, &[])
}

const HAPPENED: u32 = 0;
const MISSING: u32 = u32::MAX;

fn encode(answer: Answer) -> u32 {
    match answer {
        Answer::Happened => HAPPENED,
        Answer::Refused(errno) => errno.raw_os_error().cast_unsigned(),
        Answer::Missing => MISSING,
    }
}

/// Numbers that are no error count as no answer.
fn decode(number: u32) -> Answer {
    match i32::try_from(number) {
        Ok(0) => Answer::Happened,
        Ok(errno @ 1..4096) => Answer::Refused(Errno::from_raw_os_error(errno)),
        _ => Answer::Missing,
    }
}

/// What [`run`] said.
pub(super) fn read(bytes: &[u8]) -> Vec<Answer> {
    let mut r = Reader(bytes);
    std::iter::from_fn(|| r.u32()).map(decode).collect()
}

/// The answers to all attempts in their order, made by a child: with these limits as a command has them, or just as
/// the caller is.
pub(super) fn fork_and_try(
    attempts: &[Attempt],
    manner: Option<&Manner>,
    hatch: Option<&OwnedFd>,
) -> Result<(Vec<Answer>, Child), SysError> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).named("pipe2", "")?;
    let Some(pid) = process::fork()? else {
        let confined = manner.map_or(Ok(()), |manner| {
            let keep: Vec<i32> =
                [Some(&write), hatch].into_iter().flatten().map(AsRawFd::as_raw_fd).collect();
            as_every_command(manner, &keep)
        });
        if confined.is_ok() {
            try_all(attempts, hatch, &write);
        }
        process::exit_now(0);
    };
    drop(write);
    let mut child = Child(Pid::from_raw(pid.cast_signed()));
    let whole = attempts.len() * PAIR;
    let said = read_until(&read, whole)?;
    let segv = said.len() < whole && child.ended_by_segv();
    Ok((collect(attempts, &said, segv), child))
}

/// The one who tried, until it is reaped.
pub(super) struct Child(Option<Pid>);

impl Child {
    fn ended_by_segv(&mut self) -> bool {
        let Some(pid) = self.0.take() else { return false };
        let ended = rustix::process::waitpid(Some(pid), WaitOptions::empty()).ok().flatten();
        ended.is_some_and(|(_, status)| status.terminating_signal() == Some(Signal::SEGV.as_raw()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ended_by_segv();
    }
}

/// Writes a pair for each attempt: its number and the answer. Those that may end the process come last and apart.
fn try_all(attempts: &[Attempt], hatch: Option<&OwnedFd>, to: &OwnedFd) {
    let hatch = hatch.map(AsFd::as_fd);
    for fatal in [false, true] {
        let mut w = Writer::default();
        for (attempt, number) in
            attempts.iter().zip(0..).filter(|(attempt, _)| attempt.may_be_fatal() == fatal)
        {
            w.u32(number);
            w.u32(encode(attempt.make(hatch).map_or_else(Answer::Refused, |()| Answer::Happened)));
        }
        let mut rest = &w.0[..];
        while let Ok(written @ 1..) = rustix::io::retry_on_intr(|| rustix::io::write(to, rest)) {
            rest = &rest[written..];
        }
    }
}

/// Bytes of an attempt's number and its answer.
const PAIR: usize = 8;

/// What is said, up to so many bytes.
fn read_until(pipe: &OwnedFd, whole: usize) -> Result<Vec<u8>, SysError> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while said.len() < whole {
        match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer)).named("read", "the probe")? {
            0 => break,
            length => said.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(said)
}

/// A process that ended by SIGSEGV at what may be fatal has shown that the kernel does not have it.
fn collect(attempts: &[Attempt], said: &[u8], segv: bool) -> Vec<Answer> {
    let unsaid = |fatal| if fatal && segv { Answer::Refused(Errno::NOSYS) } else { Answer::Missing };
    let mut answers: Vec<Answer> = attempts.iter().map(|attempt| unsaid(attempt.may_be_fatal())).collect();
    let mut r = Reader(said);
    while let (Some(number), Some(answer)) = (r.u32(), r.u32()) {
        if let Some(slot) = answers.get_mut(number as usize) {
            *slot = decode(answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_no_answer_is_none() {
        let answers = [Answer::Happened, Answer::Refused(Errno::PERM), Answer::Missing];
        let mut w = Writer::default();
        answers.iter().for_each(|answer| w.u32(encode(*answer)));
        assert_eq!(read(&w.0), answers);
        assert_eq!(decode(4096), Answer::Missing);
    }

    #[test]
    fn a_probe_that_dies_early_leaves_its_promises_unproven() {
        let attempts = [Attempt::I386, Attempt::SeeOthers];
        let missing = Answer::Missing;
        for (said, segv, expected) in [
            (vec![], false, [missing, missing]),
            (vec![], true, [Answer::Refused(Errno::NOSYS), missing]),
            (vec![1, 1], true, [Answer::Refused(Errno::NOSYS), Answer::Refused(Errno::PERM)]),
            (vec![0, 0, 7, 0], false, [Answer::Happened, missing]),
        ] {
            let bytes: Vec<u8> = said.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
            assert_eq!(collect(&attempts, &bytes, segv), expected, "{said:?}");
        }
    }
}

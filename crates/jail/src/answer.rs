//! The child's one answer to the warden: what it set up, with the descriptors, or where it failed.

use crate::error::STEPS;
use crate::link::{garbled, recv, send};
use crate::wire::{Reader, Writer};
use crate::{JailError, Spaces, Step};
use creel_kernel::SysError;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// All that the warden gets of a sandbox.
#[derive(Debug)]
pub(crate) struct Ready {
    pub redirect: bool,
    pub v6: bool,
    pub landlock_abi: u32,
    pub tcp: Vec<OwnedFd>,
    pub dns: Vec<OwnedFd>,
    pub notify: OwnedFd,
    /// The root's scaffold and the namespaces, where there are any.
    pub inside: Option<(OwnedFd, Spaces)>,
    pub terminal: Option<OwnedFd>,
}

pub(crate) fn send_ready(link: &OwnedFd, ready: &Ready) -> Result<(), SysError> {
    let mut w = Writer::default();
    w.u8(0);
    w.u8(u8::from(ready.redirect));
    w.u8(u8::from(ready.v6));
    w.u32(ready.landlock_abi);
    w.u8(u8::from(ready.terminal.is_some()));
    w.u8(u8::from(ready.inside.is_some()));
    w.u8(u8::try_from(ready.dns.len()).unwrap_or(u8::MAX));
    let mut fds: Vec<BorrowedFd<'_>> = ready.tcp.iter().chain(&ready.dns).map(AsFd::as_fd).collect();
    fds.push(ready.notify.as_fd());
    if let Some((scaffold, spaces)) = &ready.inside {
        fds.extend([scaffold, &spaces.user, &spaces.mount, &spaces.pid].map(AsFd::as_fd));
    }
    fds.extend(ready.terminal.as_ref().map(AsFd::as_fd));
    send(link, &w.0, &fds)
}

pub(crate) fn send_failure(link: &OwnedFd, error: &JailError) -> Result<(), SysError> {
    let mut w = Writer::default();
    match error {
        JailError::Step { step, source } => {
            w.u8(1);
            w.u8(*step as u8);
            w.fault(source);
        }
        JailError::Plan { at, why } => {
            w.u8(2);
            w.bytes(at.as_bytes());
            w.bytes(why.as_bytes());
        }
        // The warden's side alone judges the posture.
        JailError::Vanished | JailError::Posture(_) => w.u8(3),
    }
    send(link, &w.0, &[])
}

/// Waits for the answer.
pub(crate) fn receive(link: &OwnedFd) -> Result<Ready, JailError> {
    let Ok(Some((bytes, fds))) = recv(link, true) else { return Err(JailError::Vanished) };
    decode(&bytes, fds).unwrap_or_else(|| Err(JailError::step(Step::Answer)(garbled("an answer"))))
}

fn decode(bytes: &[u8], fds: Vec<OwnedFd>) -> Option<Result<Ready, JailError>> {
    let mut r = Reader(bytes);
    match r.u8()? {
        0 => decode_ready(&mut r, fds).map(Ok),
        1 => {
            let step = *STEPS.get(usize::from(r.u8()?))?;
            Some(Err(JailError::Step { step, source: r.fault()? }))
        }
        2 => Some(Err(JailError::Plan { at: r.text()?, why: r.text()? })),
        _ => Some(Err(JailError::Vanished)),
    }
}

fn decode_ready(r: &mut Reader<'_>, fds: Vec<OwnedFd>) -> Option<Ready> {
    let (redirect, v6, landlock_abi, terminal) = (r.u8()? != 0, r.u8()? != 0, r.u32()?, r.u8()? != 0);
    let (inside, questions) = (r.u8()? != 0, r.u8()?);
    let families = if v6 { 2 } else { 1 };
    let mut fds = fds.into_iter();
    let tcp: Vec<OwnedFd> = fds.by_ref().take(families).collect();
    let dns: Vec<OwnedFd> = fds.by_ref().take(questions.into()).collect();
    let ready = Ready {
        redirect,
        v6,
        landlock_abi,
        tcp,
        dns,
        notify: fds.next()?,
        inside: match inside {
            true => Some((fds.next()?, Spaces { user: fds.next()?, mount: fds.next()?, pid: fds.next()? })),
            false => None,
        },
        terminal: if terminal { Some(fds.next()?) } else { None },
    };
    r.whole(ready)
}

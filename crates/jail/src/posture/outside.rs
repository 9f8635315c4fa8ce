//! The outer half: what stands outside for the attempts to aim at, and the hearing of what they said.

use super::judge::judge;
use super::{Promise, probe};
use crate::answer::Ready;
use crate::{JailError, Step, link};
use creel_api::posture::Tried;
use creel_kernel::notify::{Answer, Listener};
use creel_kernel::socket::{self, Family};
use creel_kernel::{Named, SysError};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, listen,
    socket_with,
};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// How long the whole of it may take before the sandbox counts as broken; it takes a millisecond.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Targets outside of the sandbox, alive while it is tried to reach them.
#[derive(Debug)]
pub(crate) struct Outside {
    /// The warden.
    pub pid: u32,
    /// A server on the host's loopback, if that is up.
    pub server: Option<SocketAddr>,
    /// The name of an abstract Unix socket of the host's.
    pub name: Vec<u8>,
    _held: [OwnedFd; 2],
}

impl Outside {
    pub fn stand() -> Result<Self, SysError> {
        let make = |family, kind| {
            socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
                .named("socket", "a target")
        };
        let tcp = make(AddressFamily::INET, SocketType::STREAM)?;
        let server = match bind(&tcp, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) {
            Err(Errno::ADDRNOTAVAIL) => None,
            bound => {
                bound.and_then(|()| listen(&tcp, 1)).named("listen", "a target on 127.0.0.1")?;
                Some(address(getsockname(&tcp).named("getsockname", "a target")?)?)
            }
        };
        let unix = make(AddressFamily::UNIX, SocketType::DGRAM)?;
        let name = name()?;
        let at = SocketAddrUnix::new_abstract_name(&name).named("bind", "an abstract target")?;
        bind(&unix, &at).named("bind", "an abstract target")?;
        Ok(Self { pid: std::process::id(), server, name, _held: [tcp, unix] })
    }
}

fn name() -> Result<Vec<u8>, SysError> {
    let mut bits = [0u8; 8];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
        .named("getrandom", "8 bytes")?;
    let mut name = String::from("creel-posture-");
    // Writing to a String does not fail.
    bits.iter().for_each(|byte| {
        let _ = write!(name, "{byte:02x}");
    });
    Ok(name.into_bytes())
}

fn address(any: SocketAddrAny) -> Result<SocketAddr, SysError> {
    SocketAddr::try_from(any).named("getsockname", "a socket of another family")
}

/// Waits for what was tried inside and judges it; meanwhile every call that asks the warden goes on. What held is
/// returned, and one promise that did not is the error.
pub(crate) fn hear(promises: &[Promise], from: &OwnedFd, ready: &Ready) -> Result<Vec<Tried>, JailError> {
    let failed = JailError::step(Step::Posture);
    let notify = ready.notify.try_clone().named("dup", "the listener").map_err(&failed)?;
    let bytes = wait(from, &Listener::new(notify)).map_err(&failed)?;
    let captured = arrived(ready).map_err(&failed)?;
    let tried = judge(promises, &probe::read(&bytes), &captured);
    if tried.iter().all(Tried::holds) { Ok(tried) } else { Err(JailError::Posture(tried)) }
}

fn wait(from: &OwnedFd, listener: &Listener) -> Result<Vec<u8>, SysError> {
    loop {
        let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&PATIENCE)) {
            Ok(0) => return Err(SysError::new("poll", "what was tried inside", Errno::TIMEDOUT)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("poll", "what was tried inside", errno)),
        }
        let [said, asked] = [fds[0].revents(), fds[1].revents()];
        if asked.contains(PollFlags::IN)
            && let Some(call) = listener.next()?
        {
            // A caller that is gone meanwhile leaves its attempt without an answer, which is judged.
            let _ = listener.answer(&call, Answer::Continue);
        }
        if !said.is_empty()
            && let Some((bytes, _)) = link::recv(from, false)?
        {
            return Ok(bytes);
        }
    }
}

/// Where the connections were going that the sandbox's listeners hold. They were complete before their callers said so.
fn arrived(ready: &Ready) -> Result<Vec<SocketAddr>, SysError> {
    let mut destinations = Vec::new();
    for (listener, family) in ready.tcp.iter().zip([Family::V4, Family::V6]) {
        while let Ok((connection, _)) = rustix::net::acceptfrom(listener) {
            destinations.push(if ready.redirect {
                socket::original_destination(&connection, family)?
            } else {
                address(getsockname(&connection).named("getsockname", "a connection")?)?
            });
        }
    }
    Ok(destinations)
}

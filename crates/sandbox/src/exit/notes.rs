//! What the witness finds out, on its way to the exit.
//!
//! A note is sent before the call that it is about goes on, so it is in the exit's socket before the connection can
//! arrive. The exit takes in all that waits whenever it asks who somebody is: nobody waits for an answer. Where so many
//! wait that no more fit (their connections never came), the exit is asked to take them in.

use super::afar::Conversation;
use super::caller::{self, About};
use crate::witness::flows::Flows;
use creel_kernel::{Named, SysError, scm};
use creel_types::Caller;
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Longer than any note: sixteen programs with two paths each.
const LONGEST: usize = 160 * 1024;

/// The witness's end.
pub struct Sender {
    socket: OwnedFd,
    exit: Option<Arc<Conversation>>,
}

/// The exit's end, with the notes that arrived.
pub struct Arrivals {
    flows: Flows,
    inbox: Mutex<Inbox>,
}

struct Inbox {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// Where connections are meant to go that are not here yet, the oldest first.
    meant: VecDeque<((SocketAddr, SocketAddr), SocketAddr)>,
    /// Who opened those that are here, by where they come from and where they are meant to go.
    arrived: HashMap<(SocketAddr, SocketAddr), Arc<Caller>>,
}

/// As many as may wait to be accepted.
const MOST_MEANT: usize = 4096;

/// Both ends; the notes hold no more than so many descriptors.
pub fn pair(descriptors: usize) -> Result<(Sender, Arrivals), SysError> {
    let (ours, theirs) = scm::pair()?;
    rustix::io::ioctl_fionbio(&ours, true).named("ioctl", "FIONBIO")?;
    let inbox = Inbox { socket: theirs, buffer: Vec::new(), meant: VecDeque::new(), arrived: HashMap::new() };
    let arrivals = Arrivals { flows: Flows::within(descriptors), inbox: Mutex::new(inbox) };
    Ok((Sender { socket: ours, exit: None }, arrivals))
}

impl Sender {
    /// The same, which has notes taken in when no more fit.
    pub(super) fn nudging(self, exit: Arc<Conversation>) -> Self {
        Self { exit: Some(exit), ..self }
    }

    /// Sends a note with the socket that it is about. One that cannot be sent is as good as none: the connection is
    /// nobody's then.
    pub fn send(&self, about: About, ends: (SocketAddr, SocketAddr), caller: &Caller, socket: &OwnedFd) {
        self.tell(&caller::encode(about, ends, None, caller), socket);
    }

    /// The same of a connection that is made in the caller's place, to our own listener.
    pub fn send_meant(
        &self,
        (ends, meant): ((SocketAddr, SocketAddr), SocketAddr),
        caller: &Caller,
        socket: &OwnedFd,
    ) {
        self.tell(&caller::encode(About::Connection, ends, Some(meant), caller), socket);
    }

    fn tell(&self, bytes: &[u8], socket: &OwnedFd) {
        let send = || scm::send(&self.socket, bytes, &[socket.as_fd()]).map_err(|error| error.errno);
        if let (Err(Errno::AGAIN | Errno::TOOMANYREFS), Some(exit)) = (send(), &self.exit)
            && exit.nudge().is_ok()
        {
            let _ = send();
        }
    }
}

impl Arrivals {
    /// Takes in everything that waits.
    pub fn take_in(&self) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Inbox { socket, buffer, meant, .. } = &mut *inbox;
        buffer.resize(LONGEST, 0);
        while let Ok(Some((length, mut fds))) = scm::recv(&*socket, buffer, false) {
            let (Some(note), Some(fd)) = (caller::decode(&buffer[..length]), fds.pop()) else { continue };
            let caller = Arc::new(note.caller);
            if let Some(to) = note.meant {
                if meant.len() == MOST_MEANT {
                    meant.pop_front();
                }
                meant.push_back((note.ends, to));
            }
            match note.about {
                About::Connection => self.flows.connects(note.ends, caller, fd),
                About::Questions => self.flows.asks(note.ends, caller, fd),
            }
        }
    }
}

impl AsRawFd for Arrivals {
    fn as_raw_fd(&self) -> RawFd {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).socket.as_raw_fd()
    }
}

impl creel_proxy::Witness for Arrivals {
    fn who(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = inbox.arrived.remove(&(source, destination)) {
            return Some(caller);
        }
        drop(inbox);
        self.take_in();
        self.flows.connected(source, destination)
    }

    fn bound_for(&self, source: SocketAddr, listener: SocketAddr) -> Option<SocketAddr> {
        self.take_in();
        // Only what the noted socket itself is connected to counts, so nobody else arrives in its name.
        let caller = self.flows.connected(source, listener)?;
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let at = inbox.meant.iter().rposition(|(ends, _)| same(*ends, (source, listener)))?;
        let (_, meant) = inbox.meant.remove(at)?;
        let source = plain(source);
        inbox.arrived.insert((source, meant), caller);
        Some(meant)
    }

    fn who_asked(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        self.take_in();
        self.flows.asked(source, destination)
    }
}

/// Without the two spellings of an IPv4 address.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn same(one: (SocketAddr, SocketAddr), other: (SocketAddr, SocketAddr)) -> bool {
    (plain(one.0), plain(one.1)) == (plain(other.0), plain(other.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_proxy::Witness as _;
    use std::net::{TcpListener, TcpStream};

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_note_that_was_sent_is_there_when_it_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let (sender, arrivals) = pair(64).unwrap();
        let program =
            creel_types::Program { pid: 7, path: "/usr/bin/x".into(), digest: None, foreign_code: None };
        sender.send(About::Connection, ends, &Caller { chain: vec![program] }, &stream.into());
        let found = arrivals.who(ends.0, ends.1).unwrap();
        assert_eq!(found.program().map(|program| program.pid), Some(7));
        assert_eq!(arrivals.who(ends.0, ends.1), None);
    }
}

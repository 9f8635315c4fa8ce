//! Notes of who connected from where to where, until the connection arrives at the proxy; and of who asks DNS.
//!
//! A note holds the caller's socket. As long as it is held, its port is nobody else's, also when the program has gone;
//! so whoever arrives from that port arrives through this socket. Two sockets may still share a port where both say so
//! (`SO_REUSEADDR`, `SO_REUSEPORT`), but no two are connected between the same ends: a note counts only for the
//! connection that its own socket has. What is held is let go when the connection has arrived, or with time.

use creel_types::Caller;
use rustix::net::{SocketAddrAny, getpeername, getsockname};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many connections are noted at once: as many as may wait to be accepted. The oldest goes first.
const MOST: usize = 4096;
/// How long a connection may take to arrive.
const LONGEST: Duration = Duration::from_secs(60);
/// How many sockets that ask DNS are noted. The one that asked longest ago goes first.
const MOST_ASKERS: usize = 128;

/// Both ends of a connection as the program sees them.
type Ends = (SocketAddr, SocketAddr);

/// The notes.
pub struct Flows {
    notes: Mutex<Notes>,
    most: usize,
    most_askers: usize,
}

/// A caller and its socket.
struct Note {
    number: u64,
    caller: Arc<Caller>,
    socket: OwnedFd,
}

#[derive(Default)]
struct Notes {
    connections: HashMap<Ends, Note>,
    order: VecDeque<(u64, Instant, Ends)>,
    /// Those that ask DNS: a socket may ask many questions. The number is of its last one.
    askers: HashMap<Ends, Note>,
    next: u64,
}

impl Default for Flows {
    fn default() -> Self {
        Self { notes: Mutex::default(), most: MOST, most_askers: MOST_ASKERS }
    }
}

impl Flows {
    /// Notes that hold no more than this many descriptors.
    pub fn within(descriptors: usize) -> Self {
        let most_askers = MOST_ASKERS.min((descriptors / 4).max(4));
        let most = MOST.min(descriptors.saturating_sub(most_askers).max(16));
        Self { most, most_askers, ..Self::default() }
    }

    /// Notes that `caller` is about to connect this socket.
    pub fn connects(&self, ends: Ends, caller: Arc<Caller>, socket: OwnedFd) {
        let now = Instant::now();
        let mut notes = self.lock();
        let number = notes.number();
        let ends = (plain(ends.0), plain(ends.1));
        notes.connections.insert(ends, Note { number, caller, socket });
        notes.order.push_back((number, now, ends));
        while let Some(&(number, at, ends)) = notes.order.front()
            && (notes.order.len() > self.most || now.duration_since(at) > LONGEST)
        {
            notes.order.pop_front();
            if notes.connections.get(&ends).is_some_and(|newest| newest.number == number) {
                notes.connections.remove(&ends);
            }
        }
    }

    /// Notes that `caller` is about to ask DNS through this socket.
    pub fn asks(&self, ends: Ends, caller: Arc<Caller>, socket: OwnedFd) {
        let mut notes = self.lock();
        let number = notes.number();
        notes.askers.insert((plain(ends.0), plain(ends.1)), Note { number, caller, socket });
        if notes.askers.len() > self.most_askers {
            let oldest = notes.askers.iter().min_by_key(|(_, note)| note.number).map(|(ends, _)| *ends);
            oldest.and_then(|ends| notes.askers.remove(&ends));
        }
    }

    /// Who connected between these ends; the note is spent.
    pub fn connected(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        let mut notes = self.lock();
        let found = keys(source, destination).find_map(|ends| notes.connections.remove(&ends));
        if notes.connections.is_empty() {
            notes.order.clear();
        }
        drop(notes);
        found.filter(|note| joins(&note.socket, source, destination)).map(|note| note.caller)
    }

    /// Who asked DNS from there.
    pub fn asked(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        let mut notes = self.lock();
        let number = notes.number();
        let ends = keys(source, destination).find(|ends| notes.askers.contains_key(ends))?;
        let note = notes.askers.get_mut(&ends).filter(|note| joins(&note.socket, source, destination))?;
        note.number = number;
        Some(Arc::clone(&note.caller))
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Under which ends a note may stand. A socket that its program bound to the wildcard address has its real source
/// only after `connect`.
fn keys(source: SocketAddr, destination: SocketAddr) -> impl Iterator<Item = Ends> {
    let (source, destination) = (plain(source), plain(destination));
    [source.ip(), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
        .into_iter()
        .map(move |ip| (SocketAddr::new(ip, source.port()), destination))
}

/// Whether the socket is connected between these ends.
fn joins(socket: &OwnedFd, source: SocketAddr, destination: SocketAddr) -> bool {
    let is = |found: Option<SocketAddrAny>, expected| {
        found.and_then(|found| SocketAddr::try_from(found).ok()).is_some_and(|found| plain(found) == expected)
    };
    is(getpeername(socket).ok().flatten(), plain(destination)) && is(getsockname(socket).ok(), plain(source))
}

/// Without the two spellings of an IPv4 address, and without flow label and scope.
fn plain(addr: SocketAddr) -> SocketAddr {
    let ip: IpAddr = addr.ip().to_canonical();
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn caller(pid: u32) -> Arc<Caller> {
        let program =
            creel_types::Program { pid, path: "/usr/bin/x".into(), digest: None, foreign_code: None };
        Arc::new(Caller { chain: vec![program] })
    }

    fn pid(found: Option<Arc<Caller>>) -> Option<u32> {
        found.and_then(|caller| caller.program().map(|p| p.pid))
    }

    #[allow(clippy::disallowed_methods)]
    fn connected() -> (TcpListener, TcpStream, Ends) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        (listener, stream, ends)
    }

    fn wildcard(source: SocketAddr) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), source.port())
    }

    #[test]
    fn a_note_is_for_both_ends_and_is_spent() {
        let (listener, stream, ends) = connected();
        let flows = Flows::default();
        flows.connects(ends, caller(7), stream.into());
        assert_eq!(pid(flows.connected(ends.0, "127.0.0.1:9".parse().unwrap())), None);
        assert_eq!(pid(flows.connected("127.0.0.1:9".parse().unwrap(), ends.1)), None);
        assert_eq!(pid(flows.connected(ends.0, ends.1)), Some(7));
        assert_eq!(pid(flows.connected(ends.0, ends.1)), None);
        drop(listener);
    }

    #[test]
    fn a_mapped_address_and_a_wildcard_source_are_understood() {
        let (_listener, stream, (source, destination)) = connected();
        let mapped = match destination.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), destination.port()),
            IpAddr::V6(_) => destination,
        };
        let flows = Flows::default();
        flows.connects((wildcard(source), mapped), caller(7), stream.into());
        assert_eq!(pid(flows.connected(source, destination)), Some(7));
    }

    #[test]
    fn a_note_is_nobodys_unless_its_own_socket_is_connected_there() {
        let (_listener, _stream, ends) = connected();
        let (_other, elsewhere, _) = connected();
        let flows = Flows::default();
        let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in [OwnedFd::from(unconnected), elsewhere.into()] {
            flows.connects(ends, caller(7), socket);
            assert_eq!(pid(flows.connected(ends.0, ends.1)), None);
        }
    }

    #[test]
    fn a_port_whose_connection_has_not_arrived_is_nobody_elses() {
        let (_listener, stream, ends) = connected();
        let flows = Flows::default();
        flows.connects(ends, caller(7), stream.try_clone().unwrap().into());
        drop(stream);
        assert!(TcpListener::bind(ends.0).is_err());
        assert_eq!(pid(flows.connected(ends.0, ends.1)), Some(7));
    }

    #[test]
    fn who_asks_dns_asks_more_than_once_and_is_forgotten_when_many_do() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let flows = Flows::default();
        let ask = |number| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(server.local_addr().unwrap()).unwrap();
            let ends = (socket.local_addr().unwrap(), server.local_addr().unwrap());
            flows.asks(ends, caller(number), socket.into());
            ends
        };
        let (first, second) = (ask(1), ask(2));
        for number in 3..=u32::try_from(MOST_ASKERS).unwrap() + 1 {
            assert_eq!(pid(flows.asked(first.0, first.1)), Some(1), "{number}");
            ask(number);
        }
        assert_eq!(pid(flows.asked(first.0, first.1)), Some(1));
        assert_eq!(pid(flows.asked(second.0, second.1)), None);
    }

    #[test]
    fn notes_are_bounded_and_the_oldest_goes_first() {
        let (_listener, stream, ends) = connected();
        let flows = Flows::within(0);
        let note = |n: u16| {
            let source = SocketAddr::new(ends.0.ip(), n);
            flows.connects((source, ends.1), caller(1), stream.try_clone().unwrap().into());
        };
        flows.connects(ends, caller(7), stream.try_clone().unwrap().into());
        (1..16).for_each(note);
        assert_eq!(flows.lock().connections.len(), 16);
        note(16);
        assert_eq!(flows.lock().connections.len(), 16);
        assert_eq!(pid(flows.connected(ends.0, ends.1)), None);
    }
}

//! Notes of who connected from where to where, until the connection arrives at the proxy.

use creel_types::Caller;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many notes are kept: more than a sandbox may have connections waiting to be accepted. The oldest goes first.
const MOST: usize = 16 * 1024;

/// Both ends of a connection as the program sees them.
type Ends = (SocketAddr, SocketAddr);

/// The notes.
#[derive(Default)]
pub struct Flows(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    by_ends: HashMap<Ends, (u64, Arc<Caller>)>,
    order: VecDeque<(u64, Ends)>,
    next: u64,
}

impl Flows {
    /// Notes that `caller` is about to connect.
    pub fn note(&self, source: SocketAddr, destination: SocketAddr, caller: Arc<Caller>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = notes.next;
        notes.next += 1;
        let ends = (plain(source), plain(destination));
        notes.by_ends.insert(ends, (number, caller));
        notes.order.push_back((number, ends));
        while notes.order.len() > MOST {
            let Some((number, ends)) = notes.order.pop_front() else { break };
            if notes.by_ends.get(&ends).is_some_and(|(newest, _)| *newest == number) {
                notes.by_ends.remove(&ends);
            }
        }
    }

    /// Who connected; the note is spent. A socket that its program bound to the wildcard address has its real
    /// source only after `connect`, so the port alone is compared then.
    pub fn take(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        let (source, destination) = (plain(source), plain(destination));
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wildcards = [
            SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), source.port()),
            SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), source.port()),
        ];
        let found =
            std::iter::once(source).chain(wildcards).find_map(|s| notes.by_ends.remove(&(s, destination)));
        if notes.by_ends.is_empty() {
            notes.order.clear();
        }
        found.map(|(_, caller)| caller)
    }
}

/// Without the two spellings of an IPv4 address, and without flow label and scope.
fn plain(addr: SocketAddr) -> SocketAddr {
    let ip: IpAddr = addr.ip().to_canonical();
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn caller(pid: u32) -> Arc<Caller> {
        let program =
            creel_types::Program { pid, path: "/usr/bin/x".into(), digest: None, foreign_code: None };
        Arc::new(Caller { chain: vec![program] })
    }

    fn pid(found: Option<Arc<Caller>>) -> Option<u32> {
        found.and_then(|caller| caller.program().map(|p| p.pid))
    }

    #[test]
    fn a_note_is_for_both_ends_and_is_spent() {
        let flows = Flows::default();
        flows.note(addr("192.0.0.8:1000"), addr("28.0.0.1:443"), caller(7));
        assert_eq!(pid(flows.take(addr("192.0.0.8:1000"), addr("28.0.0.2:443"))), None);
        assert_eq!(pid(flows.take(addr("192.0.0.8:1001"), addr("28.0.0.1:443"))), None);
        assert_eq!(pid(flows.take(addr("192.0.0.8:1000"), addr("28.0.0.1:443"))), Some(7));
        assert_eq!(pid(flows.take(addr("192.0.0.8:1000"), addr("28.0.0.1:443"))), None);
    }

    #[test]
    fn a_mapped_address_and_a_wildcard_source_are_understood() {
        let flows = Flows::default();
        flows.note(addr("[::]:1000"), addr("[::ffff:28.0.0.1]:443"), caller(7));
        assert_eq!(pid(flows.take(addr("192.0.0.8:1000"), addr("28.0.0.1:443"))), Some(7));
    }

    #[test]
    fn notes_are_bounded_and_the_oldest_goes_first() {
        let flows = Flows::default();
        let port = |n: usize| u16::try_from(n % 60_000 + 1).unwrap();
        for n in 0..MOST + 10 {
            flows.note(SocketAddr::new([192, 0, 0, 8].into(), port(n)), addr("28.0.0.1:443"), caller(1));
        }
        assert_eq!(
            pid(flows.take(SocketAddr::new([192, 0, 0, 8].into(), port(0)), addr("28.0.0.1:443"))),
            None
        );
        assert_eq!(flows.0.lock().unwrap().by_ends.len(), MOST);
    }
}

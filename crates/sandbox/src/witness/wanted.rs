//! Where a `connect` wants to go, and the socket that it is called on.

use creel_kernel::notify::{self, Call};
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{SocketType, bind, getpeername, getsockname};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The sandbox's own addresses beside loopback: connections take theirs from here.
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// The same for IPv6.
pub const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd43, 0x7265, 0x656c, 0, 0, 0, 0, 2);

const DNS: u16 = 53;

/// What a call to `connect` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Another host, or DNS.
    Address(SocketAddr),
    /// The sandbox's own loopback, a Unix socket, or no address at all: nothing that leaves.
    Inside,
}

/// Reads the address out of the caller's memory, once.
pub fn read(call: &Call) -> Result<Wanted, Errno> {
    Ok(parse(&bytes(call)?))
}

/// The same, as the bytes that it is.
pub fn bytes(call: &Call) -> Result<Vec<u8>, Errno> {
    const LONGEST: usize = 128; // sockaddr_storage
    let mut bytes = [0; LONGEST];
    let length = usize::try_from(call.args[2]).unwrap_or(usize::MAX).min(LONGEST);
    let read =
        notify::read_memory(call.thread, call.args[1], &mut bytes[..length]).map_err(|_| Errno::FAULT)?;
    Ok(bytes[..read].to_vec())
}

/// Reads `sockaddr_in` and `sockaddr_in6` (`ip(7)`, `ipv6(7)`); everything else stays inside.
pub fn parse(bytes: &[u8]) -> Wanted {
    let Some((&[a, b], rest)) = bytes.split_first_chunk() else { return Wanted::Inside };
    let family = u16::from_ne_bytes([a, b]);
    let Some((&[p, q], rest)) = rest.split_first_chunk() else { return Wanted::Inside };
    let port = u16::from_be_bytes([p, q]);
    let addr: IpAddr = match i32::from(family) {
        2 => match rest.first_chunk::<4>() {
            Some(octets) => Ipv4Addr::from(*octets).into(),
            None => return Wanted::Inside,
        },
        10 => match rest.get(4..).and_then(<[u8]>::first_chunk::<16>) {
            Some(octets) => Ipv6Addr::from(*octets).into(),
            None => return Wanted::Inside,
        },
        _ => return Wanted::Inside,
    };
    let own = addr.to_canonical();
    let inside =
        own.is_loopback() || own.is_unspecified() || own == IpAddr::V4(OWN_V4) || own == IpAddr::V6(OWN_V6);
    if inside && port != DNS { Wanted::Inside } else { Wanted::Address(SocketAddr::new(addr, port)) }
}

/// The caller's socket, where it is one whose connections are noted.
pub struct Socket {
    fd: OwnedFd,
    stream: bool,
}

impl Socket {
    /// The caller's socket, as duplicated: a stream, or a datagram socket that is about to ask DNS. Everything else is
    /// left to the kernel, which refuses it by its own rules.
    pub fn of(fd: OwnedFd, destination: SocketAddr) -> Option<Self> {
        match socket_type(&fd).ok()? {
            SocketType::STREAM => Some(Self { fd, stream: true }),
            SocketType::DGRAM if destination.port() == DNS => Some(Self { fd, stream: false }),
            _ => None,
        }
    }

    /// Whether it is a stream socket.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// Gives the socket its source port, where it has none, and says what it is; `None` for a stream that is connected
    /// already, because that one has arrived.
    pub fn pin(&self, destination: SocketAddr) -> Result<Option<SocketAddr>, Errno> {
        let mut now = local(self.fd.as_fd())?;
        if now.port() != 0 {
            let arrived = self.stream && getpeername(&self.fd).is_ok();
            return Ok((!arrived).then_some(now));
        }
        for _ in 0..2 {
            match bind(&self.fd, &source_for(now.ip(), destination.ip())) {
                // Bound by another thread in the meantime.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
            now = local(self.fd.as_fd())?;
            if now.port() != 0 {
                return Ok(Some(now));
            }
            // The program wants `connect` to choose the port, when it is too late to note it.
            let _ = creel_kernel::socket::choose_port_at_bind(&self.fd);
        }
        Err(Errno::ADDRNOTAVAIL)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

/// The source address that the route would choose, with a port of the kernel's choice.
fn source_for(bound: IpAddr, destination: IpAddr) -> SocketAddr {
    let loopback = destination.to_canonical().is_loopback();
    let ip: IpAddr = match (bound.is_unspecified(), destination, loopback) {
        (false, _, _) => bound,
        (_, IpAddr::V4(_), true) => Ipv4Addr::LOCALHOST.into(),
        (_, IpAddr::V4(_), false) => OWN_V4.into(),
        (_, IpAddr::V6(to), true) if to.to_ipv4_mapped().is_some() => {
            Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()
        }
        (_, IpAddr::V6(to), false) if to.to_ipv4_mapped().is_some() => OWN_V4.to_ipv6_mapped().into(),
        (_, IpAddr::V6(_), true) => Ipv6Addr::LOCALHOST.into(),
        (_, IpAddr::V6(_), false) => OWN_V6.into(),
    };
    SocketAddr::new(ip, 0)
}

fn local(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    let any = getsockname(fd)?;
    if let Ok(v4) = SocketAddrV4::try_from(any.clone()) {
        return Ok(v4.into());
    }
    SocketAddrV6::try_from(any).map(Into::into).map_err(|_| Errno::AFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(addr: [u8; 4], port: u16) -> Vec<u8> {
        let mut bytes = 2u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(addr);
        bytes.extend([0; 8]);
        bytes
    }

    fn v6(addr: &str, port: u16) -> Vec<u8> {
        let mut bytes = 10u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(addr.parse::<Ipv6Addr>().unwrap().octets());
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn what_stays_inside_is_left_alone() {
        for inside in [
            v4([127, 0, 0, 1], 80),
            v4([0, 0, 0, 0], 80),
            v4([192, 0, 0, 8], 80),
            v6("::1", 80),
            v6("::ffff:127.0.0.1", 80),
            v6("::", 80),
        ] {
            assert_eq!(parse(&inside), Wanted::Inside);
        }
        assert_eq!(parse(&[]), Wanted::Inside);
        assert_eq!(parse(&[1, 0, b'/', b'x']), Wanted::Inside);
        assert_eq!(parse(&v4([9, 9, 9, 9], 80)[..6]), Wanted::Inside);
    }

    #[test]
    fn what_leaves_is_read_with_its_port() {
        assert_eq!(parse(&v4([9, 9, 9, 9], 443)), Wanted::Address("9.9.9.9:443".parse().unwrap()));
        assert_eq!(parse(&v6("2001:db8::1", 80)), Wanted::Address("[2001:db8::1]:80".parse().unwrap()));
        assert_eq!(parse(&v4([127, 0, 0, 1], 53)), Wanted::Address("127.0.0.1:53".parse().unwrap()));
    }

    #[test]
    fn a_source_is_of_the_family_that_the_destination_is_written_in() {
        for (to, from) in [
            ("9.9.9.9", "192.0.0.8"),
            ("::ffff:9.9.9.9", "::ffff:192.0.0.8"),
            ("2001:db8::1", "fd43:7265:656c::2"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
        ] {
            let source = source_for(Ipv4Addr::UNSPECIFIED.into(), to.parse().unwrap());
            assert_eq!(source.ip(), from.parse::<IpAddr>().unwrap(), "{to}");
        }
    }
}

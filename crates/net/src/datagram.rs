//! UDP questions that arrive at any address, answered from the address that was asked.

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// One datagram and its two ends.
#[derive(Debug, Clone)]
pub struct Question {
    /// What was sent.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
    /// The address it was sent to; unspecified when the kernel did not say (no `IP_PKTINFO`).
    pub to: IpAddr,
}

/// A UDP socket on the unspecified address, with packet information.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    v6: bool,
}

impl Datagrams {
    /// Takes the socket over, and asks for the address that each datagram was sent to.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = std::net::UdpSocket::from(fd);
        socket.set_nonblocking(true)?;
        let v6 = socket.local_addr()?.is_ipv6();
        if v6 {
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4PacketInfo, &true)?;
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, v6 })
    }

    /// The next datagram, cut at `most` bytes.
    pub async fn receive(&self, most: usize) -> io::Result<Question> {
        let receive = || match self.v6 {
            true => self.receive_as::<SockaddrIn6>(most),
            false => self.receive_as::<SockaddrIn>(most),
        };
        self.socket.async_io(Interest::READABLE, receive).await
    }

    fn receive_as<S: SockaddrLike + Copy + Into<Peer>>(&self, most: usize) -> io::Result<Question> {
        let mut bytes = vec![0; most];
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!(libc_in6_pktinfo);
        let got = recvmsg::<S>(self.socket.as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::empty())?;
        let from: Peer = got.address.ok_or(io::ErrorKind::InvalidData)?.into();
        let to = got.cmsgs()?.find_map(destination);
        let len = got.bytes;
        bytes.truncate(len);
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Question { bytes, from: from.0, to: to.unwrap_or(unspecified) })
    }

    /// Answers `question` from the address it was sent to.
    pub async fn answer(&self, question: &Question, bytes: &[u8]) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || self.send(question, bytes)).await.map(|_| ())
    }

    fn send(&self, question: &Question, bytes: &[u8]) -> io::Result<usize> {
        let iov = [IoSlice::new(bytes)];
        let fd = self.socket.as_raw_fd();
        let none = MsgFlags::empty();
        let sent = match (question.from, question.to) {
            (SocketAddr::V4(to), IpAddr::V4(from)) if !from.is_unspecified() => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                sendmsg(fd, &iov, &[ControlMessage::Ipv4PacketInfo(&info)], none, Some(&SockaddrIn::from(to)))
            }
            (SocketAddr::V6(to), IpAddr::V6(from)) => {
                let addr = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: addr, ipi6_ifindex: 0 };
                sendmsg(
                    fd,
                    &iov,
                    &[ControlMessage::Ipv6PacketInfo(&info)],
                    none,
                    Some(&SockaddrIn6::from(to)),
                )
            }
            (SocketAddr::V4(to), _) => sendmsg(fd, &iov, &[], none, Some(&SockaddrIn::from(to))),
            (SocketAddr::V6(to), _) => sendmsg(fd, &iov, &[], none, Some(&SockaddrIn6::from(to))),
        };
        sent.map_err(io::Error::from)
    }
}

#[expect(non_camel_case_types, reason = "the kernel's name, the larger of the two kinds")]
type libc_in6_pktinfo = libc::in6_pktinfo;

fn destination(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    }
}

/// The sender, of either family.
struct Peer(SocketAddr);

impl From<SockaddrIn> for Peer {
    fn from(addr: SockaddrIn) -> Self {
        Self(SocketAddr::V4(addr.into()))
    }
}

impl From<SockaddrIn6> for Peer {
    fn from(addr: SockaddrIn6) -> Self {
        Self(SocketAddr::V6(addr.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bind: &str, asked: &str) {
        let server = std::net::UdpSocket::bind(bind).unwrap();
        let port = server.local_addr().unwrap().port();
        let server = Datagrams::new(server.into()).unwrap();
        let asked: IpAddr = asked.parse().unwrap();
        let any = if asked.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = UdpSocket::bind(any).await.unwrap();
        client.send_to(b"who", (asked, port)).await.unwrap();
        let question = server.receive(4096).await.unwrap();
        assert_eq!((question.bytes.as_slice(), question.to), (&b"who"[..], asked));
        server.answer(&question, b"me").await.unwrap();
        let mut buffer = [0; 8];
        let (n, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..n], from), (&b"me"[..], SocketAddr::new(asked, port)));
    }

    #[tokio::test]
    async fn an_answer_comes_from_the_address_that_was_asked() {
        check("0.0.0.0:0", "127.0.0.53").await;
        check("[::]:0", "::1").await;
    }
}

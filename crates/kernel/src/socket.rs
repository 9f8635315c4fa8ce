//! Sockets that catch what a sandbox sends, and what a connected socket can tell.

use crate::{Named, SysError};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn wildcard(self, port: u16) -> SocketAddr {
        match self {
            Self::V4 => (Ipv4Addr::UNSPECIFIED, port).into(),
            Self::V6 => (Ipv6Addr::UNSPECIFIED, port).into(),
        }
    }

    fn number(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::INET,
            Self::V6 => AddressFamily::INET6,
        }
    }

    fn level(self) -> libc::c_int {
        match self {
            Self::V4 => libc::SOL_IP,
            Self::V6 => libc::SOL_IPV6,
        }
    }
}

/// A nonblocking TCP listener on every address, which may stand for any (`IP_TRANSPARENT`, needs `CAP_NET_ADMIN`).
pub fn transparent_listener(family: Family, port: u16) -> Result<OwnedFd, SysError> {
    const IPV6_TRANSPARENT: libc::c_int = 75;
    let name = format!("tcp {family:?} port {port}");
    let socket = open(family, SocketType::STREAM, ipproto::TCP, &name)?;
    let option = if family == Family::V4 { libc::IP_TRANSPARENT } else { IPV6_TRANSPARENT };
    enable(socket.as_fd(), family.level(), option, &name)?;
    rustix::net::bind(&socket, &family.wildcard(port)).named("bind", &name)?;
    rustix::net::listen(&socket, 4096).named("listen", &name)?;
    Ok(socket)
}

/// A nonblocking TCP listener on the loopback address, at a port of the kernel's choice.
pub fn loopback_listener(family: Family) -> Result<OwnedFd, SysError> {
    let name = format!("tcp {family:?} on loopback");
    let at: SocketAddr = match family {
        Family::V4 => (Ipv4Addr::LOCALHOST, 0).into(),
        Family::V6 => (Ipv6Addr::LOCALHOST, 0).into(),
    };
    let socket = open(family, SocketType::STREAM, ipproto::TCP, &name)?;
    rustix::net::bind(&socket, &at).named("bind", &name)?;
    rustix::net::listen(&socket, 4096).named("listen", &name)?;
    Ok(socket)
}

/// The address that a socket of the internet has.
pub fn address(socket: impl AsFd) -> Result<SocketAddr, SysError> {
    rustix::net::getsockname(socket).and_then(SocketAddr::try_from).named("getsockname", "a socket")
}

/// A nonblocking UDP socket on every address that learns to which address a datagram was sent (`IP_PKTINFO`).
pub fn datagram_catcher(family: Family, port: u16) -> Result<OwnedFd, SysError> {
    let name = format!("udp {family:?} port {port}");
    let socket = open(family, SocketType::DGRAM, ipproto::UDP, &name)?;
    let option = if family == Family::V4 { libc::IP_PKTINFO } else { libc::IPV6_RECVPKTINFO };
    enable(socket.as_fd(), family.level(), option, &name)?;
    rustix::net::bind(&socket, &family.wildcard(port)).named("bind", &name)?;
    Ok(socket)
}

fn open(
    family: Family,
    kind: SocketType,
    protocol: rustix::net::Protocol,
    name: &str,
) -> Result<OwnedFd, SysError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(family.number(), kind, flags, Some(protocol)).named("socket", name)?;
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&socket, true).named("setsockopt", name)?;
    }
    Ok(socket)
}

/// Has `bind` choose the port again, also where the socket's program asked for `connect` to choose it
/// (`IP_BIND_ADDRESS_NO_PORT`).
pub fn choose_port_at_bind(socket: impl AsFd) -> Result<(), SysError> {
    set(socket.as_fd(), libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 0, "a socket")
}

fn enable(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    name: &str,
) -> Result<(), SysError> {
    set(socket, level, option, 1, name)
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
    name: &str,
) -> Result<(), SysError> {
    // SAFETY: the value is a live int of the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(SysError::last("setsockopt", format_args!("{name} option {option}")))
    }
}

/// Where a redirected connection was going (`SO_ORIGINAL_DST`), of an accepted socket of this family.
pub fn original_destination(socket: impl AsFd, family: Family) -> Result<SocketAddr, SysError> {
    const SO_ORIGINAL_DST: libc::c_int = 80;
    // Both address structures begin with family and port; the address is at byte 4 (IPv4) or 8 (IPv6).
    let mut bytes = [0u8; size_of::<libc::sockaddr_in6>()];
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the buffer is live and writable for `length` bytes, and the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            family.level(),
            SO_ORIGINAL_DST,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(SysError::last("getsockopt", "SO_ORIGINAL_DST"));
    }
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    let address = match family {
        Family::V4 => IpAddr::from([bytes[4], bytes[5], bytes[6], bytes[7]]),
        Family::V6 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[8..24]);
            IpAddr::from(octets)
        }
    };
    Ok(SocketAddr::new(address, port))
}

/// Who is at the other end of a Unix socket, as the kernel noted it when they connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id in the caller's pid namespace; 0 when it is outside of it.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The peer of a connected Unix socket (`SO_PEERCRED`).
pub fn peer(socket: impl AsFd) -> Result<Peer, SysError> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `cred` is live and writable for `length` bytes, and the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(SysError::last("getsockopt", "SO_PEERCRED"));
    }
    Ok(Peer { pid: cred.pid.unsigned_abs(), uid: cred.uid, gid: cred.gid })
}

//! Where a captured connection was going.

use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

/// How the kernel handed the connection over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Transparent proxying: the accepted socket's own address is the address the agent asked for.
    Transparent,
    /// Redirect with connection tracking: the kernel is asked (`SO_ORIGINAL_DST`).
    Redirect,
    /// The connection was made to the listener itself, by somebody who noted where it was meant to go; the socket
    /// cannot tell.
    Noted,
}

/// The address that the agent connected to, an IPv4-mapped one unwrapped.
pub fn destination(stream: &TcpStream, capture: Capture) -> io::Result<SocketAddr> {
    let addr = match (capture, stream.local_addr()?) {
        (Capture::Transparent, own) => own,
        (Capture::Redirect, own) if is_v4(own.ip()) => rustix::net::sockopt::ip_original_dst(stream)?.into(),
        (Capture::Noted, _) => return Err(io::ErrorKind::Unsupported.into()),
        (Capture::Redirect, _) => rustix::net::sockopt::ipv6_original_dst(stream)?.into(),
    };
    Ok(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

fn is_v4(addr: IpAddr) -> bool {
    addr.to_canonical().is_ipv4()
}

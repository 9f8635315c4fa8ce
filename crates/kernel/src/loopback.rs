//! The one interface of a sandbox: `lo`, made to believe that every address of the internet is its own (AnyIP), so
//! that packets to anywhere are delivered here, where the proxy's sockets wait.

use crate::SysError;
use crate::netlink::{ACK, CREATE, DUMP, EXCL, Message, Netlink, REQUEST};
use std::net::IpAddr;

const LO: u32 = 1;

/// Brings `lo` up.
pub fn up() -> Result<(), SysError> {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&LO.to_ne_bytes());
    header[8..12].copy_from_slice(&1u32.to_ne_bytes());
    header[12..16].copy_from_slice(&1u32.to_ne_bytes());
    Netlink::route()?.transact(vec![Message::new(16, REQUEST | ACK, &header)], "lo up")
}

/// Gives `lo` the address, and makes it the source of connections to everywhere of its family, all of which are
/// local from now on.
pub fn own_everything(source: IpAddr) -> Result<(), SysError> {
    let messages = vec![address(source), default_route(source)];
    Netlink::route()?.transact(messages, &format!("lo address {source}"))
}

/// Whether the caller's network namespace has an interface in use that is no loopback. A kernel may put tunnels into
/// each new namespace; those are down.
pub fn is_not_alone() -> Result<bool, SysError> {
    const UP: u32 = 1;
    const LOOPBACK: u32 = 8;
    let mut others = false;
    Netlink::route()?.dump(Message::new(18, REQUEST | DUMP, &[0; 16]), "links", |link| {
        let flags = link.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(UP, u32::from_ne_bytes);
        others |= flags & UP != 0 && flags & LOOPBACK == 0;
    })?;
    Ok(others)
}

/// Asks for a route of a family that does not exist: whoever may change routes hears of the family.
pub fn route_nonsense() -> Result<(), SysError> {
    let header = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Netlink::route()?
        .transact(vec![Message::new(24, REQUEST | ACK | CREATE, &header)], "a route of no family")
}

/// Family number, prefix length and bytes of an address.
fn parts(address: IpAddr) -> (u8, u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (2, 32, v4.octets().to_vec()),
        IpAddr::V6(v6) => (10, 128, v6.octets().to_vec()),
    }
}

fn address(address: IpAddr) -> Message {
    const NO_DAD: u8 = 2;
    let (family, prefix, octets) = parts(address);
    let mut header = vec![family, prefix, NO_DAD, 0];
    header.extend_from_slice(&LO.to_ne_bytes());
    Message::new(20, REQUEST | ACK | CREATE | EXCL, &header).put(2, &octets).put(1, &octets)
}

fn default_route(source: IpAddr) -> Message {
    const TABLE_LOCAL: u8 = 255;
    const PROTOCOL_STATIC: u8 = 4;
    const SCOPE_HOST: u8 = 254;
    const TYPE_LOCAL: u8 = 2;
    let (family, _, octets) = parts(source);
    let header = [family, 0, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    Message::new(24, REQUEST | ACK | CREATE, &header).put_u32(4, LO).put(7, &octets)
}

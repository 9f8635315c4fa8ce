//! Which addresses are not public: the IANA special-purpose registries (RFC 6890 and its updates), the ways in which
//! an IPv4 address is wrapped in an IPv6 one, and the clouds' metadata services.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address that is not public is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    /// In words.
    pub what: &'static str,
    /// The block that makes it special. Only a grant no wider than this one means it.
    pub block: IpNet,
}

const V4: [([u8; 4], u8, &str); 19] = [
    ([0, 0, 0, 0], 8, "unspecified (0.0.0.0/8)"),
    ([10, 0, 0, 0], 8, "private (10.0.0.0/8)"),
    ([100, 64, 0, 0], 10, "shared by a carrier's NAT (100.64.0.0/10)"),
    ([127, 0, 0, 0], 8, "loopback (127.0.0.0/8)"),
    ([169, 254, 0, 0], 16, "link-local (169.254.0.0/16)"),
    ([172, 16, 0, 0], 12, "private (172.16.0.0/12)"),
    ([192, 0, 0, 0], 24, "reserved for protocols (192.0.0.0/24)"),
    ([192, 0, 2, 0], 24, "for documentation (192.0.2.0/24)"),
    ([192, 31, 196, 0], 24, "AS112 (192.31.196.0/24)"),
    ([192, 52, 193, 0], 24, "AMT (192.52.193.0/24)"),
    ([192, 88, 99, 0], 24, "a 6to4 relay (192.88.99.0/24)"),
    ([192, 168, 0, 0], 16, "private (192.168.0.0/16)"),
    ([192, 175, 48, 0], 24, "AS112 (192.175.48.0/24)"),
    ([198, 18, 0, 0], 15, "for benchmarks (198.18.0.0/15)"),
    ([198, 51, 100, 0], 24, "for documentation (198.51.100.0/24)"),
    ([203, 0, 113, 0], 24, "for documentation (203.0.113.0/24)"),
    ([224, 0, 0, 0], 4, "multicast (224.0.0.0/4)"),
    ([240, 0, 0, 0], 4, "reserved (240.0.0.0/4)"),
    ([255, 255, 255, 255], 32, "broadcast"),
];

const V6: [([u16; 8], u8, &str); 19] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified (::)"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback (::1)"),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "an IPv4-mapped address (::ffff:0:0/96)"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "an IPv4-compatible address (::/96)"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "an IPv4 address behind NAT64 (64:ff9b::/96)"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "an IPv4 address behind local NAT64 (64:ff9b:1::/48)"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discarded (100::/64)"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo (2001::/32)"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "for benchmarks (2001:2::/48)"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved for protocols (2001::/23)"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation (2001:db8::/32)"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4 (2002::/16)"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation (3fff::/20)"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing (5f00::/16)"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private (fc00::/7)"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local (fe80::/10)"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local (fec0::/10)"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast (ff00::/8)"),
    // Last: whatever IANA has not given out as global unicast.
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, ""),
];

const METADATA_V4: [[u8; 4]; 6] = [
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [169, 254, 170, 23],
    [168, 63, 129, 16],
    [100, 100, 100, 200],
    [192, 0, 0, 192],
];

const METADATA_V6: [[u16; 8]; 3] = [
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23],
    [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
];

/// What the address is, when it is not globally reachable unicast. `addr` is canonical.
pub(crate) fn special(addr: IpAddr) -> Option<Special> {
    match addr {
        IpAddr::V4(addr) => special_v4(addr),
        IpAddr::V6(addr) => special_v6(addr),
    }
}

/// Every block that makes an address special, and every metadata address.
pub(crate) fn special_blocks() -> impl Iterator<Item = IpNet> {
    let v4 =
        V4.iter().filter_map(|(base, len, _)| Ipv4Net::new(Ipv4Addr::from(*base), *len).ok()).map(IpNet::V4);
    let v6 =
        V6.iter().filter_map(|(base, len, _)| Ipv6Net::new(Ipv6Addr::from(*base), *len).ok()).map(IpNet::V6);
    let metadata_v4 = METADATA_V4.iter().map(|octets| IpAddr::from(*octets).into());
    let metadata_v6 = METADATA_V6.iter().map(|segments| IpAddr::from(*segments).into());
    v4.chain(v6).chain(metadata_v4).chain(metadata_v6)
}

/// Whether a cloud hands out credentials at this address, or at the one wrapped in it.
pub(crate) fn is_metadata(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => METADATA_V4.contains(&addr.octets()),
        IpAddr::V6(addr) => METADATA_V6.contains(&addr.segments()),
    }
}

/// Whether no connection can be made to the address, so that nothing can name it either.
pub(crate) fn is_undialable(addr: IpAddr) -> bool {
    let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
    addr.is_unspecified()
        || addr.is_multicast()
        || addr == broadcast
        || matches!(addr, IpAddr::V4(a) if a.octets()[0] == 0)
}

/// The IPv4 address that a translator or tunnel would make of this one.
pub(crate) fn wrapped(addr: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(addr) = addr else { return None };
    let s = addr.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0 | 1, .., high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x2001, 0, .., high, low] => Some(join(!high, !low)),
        // ISATAP (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(join(high, low)),
        _ => None,
    }
}

fn special_v4(addr: Ipv4Addr) -> Option<Special> {
    V4.iter().rev().find_map(|(base, len, what)| {
        let net = Ipv4Net::new(Ipv4Addr::from(*base), *len).ok()?;
        net.contains(&addr).then_some(Special { what, block: IpNet::V4(net) })
    })
}

fn special_v6(addr: Ipv6Addr) -> Option<Special> {
    let found = V6.iter().find_map(|(base, len, what)| {
        let net = Ipv6Net::new(Ipv6Addr::from(*base), *len).ok()?;
        net.contains(&addr).then_some(Special { what, block: IpNet::V6(net) })
    });
    match found {
        Some(public) if public.what.is_empty() => tunnelled(addr),
        Some(special) => Some(special),
        None => Some(Special { what: "not global unicast", block: IpAddr::V6(addr).into() }),
    }
}

/// A public prefix whose interface part leads to an IPv4 address that is not public.
fn tunnelled(addr: Ipv6Addr) -> Option<Special> {
    let inner = special_v4(wrapped(IpAddr::V6(addr))?)?;
    Some(Special { what: inner.what, block: IpAddr::V6(addr).into() })
}

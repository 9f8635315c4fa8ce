//! "Where a name may lead": public unicast, or what is named.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// What is not public, the narrowest block first where two hold an address.
const SPECIAL: [&str; 37] = [
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:2::/48",
    "2001::/32",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.175.48.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "169.254.0.0/16",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "172.16.0.0/12",
    "100.64.0.0/10",
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

const METADATA: [&str; 9] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
];

/// Whether a name may lead to this address when `named` are the blocks that its rules name.
pub fn may_be_reached(addr: IpAddr, named: &[IpNet]) -> bool {
    let exactly = |addr: IpAddr| named.contains(&IpNet::from(addr));
    if never(addr) || (metadata(addr) && !exactly(addr)) {
        return false;
    }
    let inner = wrapped(addr);
    if inner.is_some_and(|inner| never(inner.into()) || metadata(inner.into())) {
        return false;
    }
    [Some(addr), inner.map(IpAddr::V4)].into_iter().flatten().all(|addr| match special(addr) {
        None => true,
        // A block names special addresses only when it is no wider than their own.
        Some(own) => named.iter().any(|net| net.contains(&addr) && own.contains(net)),
    })
}

fn metadata(addr: IpAddr) -> bool {
    METADATA.iter().any(|text| text.parse() == Ok(addr))
}

/// Nobody can be connected to there.
fn never(addr: IpAddr) -> bool {
    let zero = matches!(addr, IpAddr::V4(a) if a.octets()[0] == 0 || a == Ipv4Addr::BROADCAST);
    zero || addr.is_unspecified() || addr.is_multicast()
}

fn special(addr: IpAddr) -> Option<IpNet> {
    let found = SPECIAL.iter().map(|text| text.parse::<IpNet>().unwrap()).find(|net| net.contains(&addr));
    let global: IpNet = "2000::/3".parse().unwrap();
    match (found, addr) {
        (None, IpAddr::V6(_)) if !global.contains(&addr) => Some(addr.into()),
        // A public prefix around an address that is not: ISATAP.
        (None, IpAddr::V6(_)) => wrapped(addr).and_then(|inner| special(inner.into())).map(|_| addr.into()),
        (found, _) => found,
    }
}

fn wrapped(addr: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(addr) = addr else { return None };
    let bytes = addr.octets();
    let at = |from: usize| Ipv4Addr::new(bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]);
    let text = addr.segments();
    let zeros = |until: usize| text[..until].iter().all(|part| *part == 0);
    if zeros(7) && text[7] <= 1 {
        None
    } else if zeros(6)
        || (zeros(5) && text[5] == 0xffff)
        || (text[0] == 0x64 && text[1] == 0xff9b && text[2] <= 1)
    {
        Some(at(12))
    } else if text[0] == 0x2002 {
        Some(at(2))
    } else if text[0] == 0x2001 && text[1] == 0 {
        Some(Ipv4Addr::from(!u32::from(at(12))))
    } else if (text[4] == 0 || text[4] == 0x200) && text[5] == 0x5efe {
        Some(at(12))
    } else {
        None
    }
}

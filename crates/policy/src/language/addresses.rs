//! Addresses: blocks lie in one another or apart, so a class is what a block has beside the blocks within it.

use crate::network::special_blocks;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address of each class that the blocks, and what is special by itself, tell apart.
pub(crate) fn addresses(named: impl Iterator<Item = IpNet>) -> Vec<IpAddr> {
    let mut blocks: BTreeSet<IpNet> = named.chain(special_blocks()).collect();
    blocks.insert(IpNet::V4(Ipv4Net::default()));
    blocks.insert(IpNet::V6(Ipv6Net::default()));
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for block in &blocks {
        match block {
            IpNet::V4(block) => v4.push(*block),
            IpNet::V6(block) => v6.push(*block),
        }
    }
    // An IPv4 address in an IPv6 one is judged as both.
    for outer in &v6 {
        blocks.extend(v4.iter().flat_map(|inner| wrappings(*outer, *inner)).map(IpNet::V6));
    }
    let blocks: Vec<IpNet> = blocks.into_iter().collect();
    blocks.iter().filter_map(|block| alone(*block, &blocks)).collect()
}

/// An address of the block that is in no smaller one. The blocks are sorted.
fn alone(block: IpNet, all: &[IpNet]) -> Option<IpAddr> {
    let mut at = block.network();
    loop {
        // The widest of those within.
        let inner = all
            .iter()
            .filter(|other| {
                other.prefix_len() > block.prefix_len() && block.contains(*other) && other.contains(&at)
            })
            .min_by_key(|other| other.prefix_len());
        let Some(inner) = inner else { return Some(at) };
        at = next(inner.broadcast()).filter(|next| block.contains(next))?;
    }
}

fn next(addr: IpAddr) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(addr) => u32::from(addr).checked_add(1).map(|n| Ipv4Addr::from(n).into()),
        IpAddr::V6(addr) => u128::from(addr).checked_add(1).map(|n| Ipv6Addr::from(n).into()),
    }
}

/// The blocks in which `outer`'s addresses wrap those of `inner`.
fn wrappings(outer: Ipv6Net, inner: Ipv4Net) -> Vec<Ipv6Net> {
    let base = u128::from(outer.network());
    let (low, len) = (u128::from(u32::from(inner.network())), inner.prefix_len());
    let flipped = u128::from(!u32::from(inner.broadcast()));
    let mut found = Vec::new();
    let mut add =
        |bits: u128, len: u8| found.extend(Ipv6Net::new(Ipv6Addr::from(bits), len).map(|net| net.trunc()));
    let front = base >> 32 << 32;
    // At the end: NAT64, mapped, compatible, and Teredo, which turns its bits over.
    add(front | low, 96 + len);
    add(front | flipped, 96 + len);
    // ISATAP, behind any 64 bits; 6to4, behind its first 16.
    for marker in [0x5efe_u128, 0x0200_5efe] {
        add(base >> 64 << 64 | marker << 32 | low, 96 + len);
    }
    if base >> 112 == 0x2002 {
        add(0x2002_u128 << 112 | low << 80, 16 + len);
    }
    found.retain(|net| outer.contains(net) || outer.prefix_len() <= net.prefix_len());
    found
}

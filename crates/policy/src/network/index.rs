//! From a host to the few rules that can match it, without looking at the others.
//!
//! Exact names and addresses are looked up in a hash table, names with wildcards by the literal labels at their end,
//! blocks of addresses by each prefix length in use. Nothing is allocated or locked by a lookup.

use super::Target;
use crate::pattern::{HostPattern, WildHost};
use creel_types::Host;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// The ports of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ports {
    One(u16),
    Any,
}

impl Ports {
    pub(crate) fn contain(self, port: u16) -> bool {
        match self {
            Self::One(one) => one == port,
            Self::Any => true,
        }
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other == Self::Any
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    owner: u32,
    ports: Ports,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Box<str>, Vec<Entry>>,
    wild: HashMap<Box<str>, Vec<(WildHost, Entry)>>,
    addrs: HashMap<IpAddr, Vec<Entry>>,
    nets: HashMap<IpNet, Vec<Entry>>,
    /// The prefix lengths in `nets`, each once.
    lens: Lens,
}

#[derive(Debug, Default)]
struct Lens {
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl Index {
    /// Indexes the targets of each owner, which is known by its place in the sequence.
    pub(crate) fn new<'a>(owners: impl Iterator<Item = &'a [Target]>) -> Self {
        let mut index = Self::default();
        for (owner, targets) in (0_u32..).zip(owners) {
            targets.iter().for_each(|target| index.add(target, owner));
        }
        index
    }

    fn add(&mut self, target: &Target, owner: u32) {
        let entry = Entry { owner, ports: target.ports };
        match &target.host {
            HostPattern::Name(name) => self.names.entry(name.as_str().into()).or_default().push(entry),
            HostPattern::Wild(wild) => {
                self.wild.entry(wild.suffix().into()).or_default().push((wild.clone(), entry));
            }
            HostPattern::Addr(addr) => self.addrs.entry(*addr).or_default().push(entry),
            HostPattern::Net(net) => {
                self.nets.entry(*net).or_default().push(entry);
                self.lens.add(*net);
            }
        }
    }

    /// Calls `found` with the owner of every target that matches; an owner may come more than once.
    pub(crate) fn each(&self, host: &Host, port: u16, mut found: impl FnMut(u32)) {
        self.entries(host, |entry| {
            if entry.ports.contain(port) {
                found(entry.owner);
            }
        });
    }

    /// The same for any port.
    pub(crate) fn each_host(&self, host: &Host, mut found: impl FnMut(u32)) {
        self.entries(host, |entry| found(entry.owner));
    }

    fn entries(&self, host: &Host, found: impl FnMut(&Entry)) {
        match host {
            Host::Name(name) => self.named(name.as_str(), found),
            Host::Addr(addr) => self.addressed(*addr, found),
        }
    }

    fn named(&self, name: &str, mut found: impl FnMut(&Entry)) {
        self.names.get(name).into_iter().flatten().for_each(&mut found);
        if self.wild.is_empty() {
            return;
        }
        let ends = std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, rest)| rest));
        for suffix in ends.skip(1).chain([""]) {
            let candidates = self.wild.get(suffix).into_iter().flatten();
            candidates.filter(|(wild, _)| wild.matches(name)).for_each(|(_, entry)| found(entry));
        }
    }

    fn addressed(&self, addr: IpAddr, mut found: impl FnMut(&Entry)) {
        self.addrs.get(&addr).into_iter().flatten().for_each(&mut found);
        for len in self.lens.of(addr) {
            if let Ok(net) = IpNet::new(addr, *len) {
                self.nets.get(&net.trunc()).into_iter().flatten().for_each(&mut found);
            }
        }
    }
}

impl Lens {
    fn add(&mut self, net: IpNet) {
        let list = match net {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        if !list.contains(&net.prefix_len()) {
            list.push(net.prefix_len());
        }
    }

    fn of(&self, addr: IpAddr) -> &[u8] {
        if addr.is_ipv4() { &self.v4 } else { &self.v6 }
    }
}

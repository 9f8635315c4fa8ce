//! Law 6: a name is not an address. Where an admitted name may lead.

use super::Ports;
use super::special::{is_metadata, is_undialable, special, wrapped};
use crate::{Admission, Backend, Layer, NearMiss, Reason, Refusal};
use creel_types::Host;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// An address or block that a rule names, so that its names may lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressGrant {
    pub net: IpNet,
    pub ports: Ports,
}

/// What the rules that admit a connection grant together. Two rules with grants are held without allocating.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    first: [Option<Arc<[AddressGrant]>>; 2],
    more: Vec<Arc<[AddressGrant]>>,
}

impl Grants {
    pub(super) fn add(&mut self, grants: &Arc<[AddressGrant]>) {
        if grants.is_empty() || self.iter_lists().any(|held| Arc::ptr_eq(held, grants)) {
            return;
        }
        match self.first.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(Arc::clone(grants)),
            None => self.more.push(Arc::clone(grants)),
        }
    }

    fn iter_lists(&self) -> impl Iterator<Item = &Arc<[AddressGrant]>> {
        self.first.iter().flatten().chain(&self.more)
    }

    /// Whether a grant names `addr`, and is no wider than `block`.
    fn name(&self, addr: IpAddr, port: u16, block: IpNet) -> bool {
        let mut grants = self.iter_lists().flat_map(|list| list.iter());
        grants.any(|g| g.ports.contain(port) && g.net.contains(&addr) && block.contains(&g.net))
    }
}

/// Whether the admission may lead to `addr`, which is canonical.
pub(crate) fn judge(admission: &Admission, addr: IpAddr) -> Result<(), Refusal> {
    if let Host::Addr(asked) = admission.host
        && asked != addr
    {
        return Err(refuse(
            admission,
            addr,
            Reason::Address(format!("not the one that was asked for, {asked}")),
        ));
    }
    match judge_address(addr, &|addr, block| admission.grants.name(addr, admission.port, block)) {
        Ok(()) => Ok(()),
        Err(what) => Err(refuse(admission, addr, Reason::Address(what))),
    }
}

/// What is wrong with `addr`; `named` says whether a grant no wider than a block names an address.
fn judge_address(addr: IpAddr, named: &dyn Fn(IpAddr, IpNet) -> bool) -> Result<(), String> {
    if is_undialable(addr) {
        return Err(special(addr).map_or("not one that can be dialled", |s| s.what).to_owned());
    }
    if is_metadata(addr) && !named(addr, addr.into()) {
        return Err("a cloud's metadata service".to_owned());
    }
    if let Some(inner) = wrapped(addr).map(IpAddr::V4)
        && (is_metadata(inner) || is_undialable(inner))
    {
        return Err(format!("a wrapping of {inner}, which is never dialled"));
    }
    for addr in [Some(addr), wrapped(addr).map(IpAddr::V4)].into_iter().flatten() {
        if let Some(special) = special(addr)
            && !named(addr, special.block)
        {
            return Err(special.what.to_owned());
        }
    }
    Ok(())
}

/// Whether a backend may be at `addr`, which is canonical: anywhere but a metadata service.
pub(crate) fn judge_backend(backend: &Backend, addr: IpAddr) -> Result<(), Refusal> {
    let inner = wrapped(addr).map(IpAddr::V4);
    let what = if is_metadata(addr) || inner.is_some_and(is_metadata) {
        "a cloud's metadata service"
    } else if is_undialable(addr) || inner.is_some_and(is_undialable) {
        "not one that can be dialled"
    } else {
        return Ok(());
    };
    Err(Refusal {
        layer: Layer::Inference,
        rule: None,
        reason: Reason::Address(what.to_owned()),
        compared: format!("backend {} ({}) at {addr}", backend.name, backend.base_url.host),
        nearest: None,
        suggestion: String::new(),
    })
}

pub(crate) fn refuse(admission: &Admission, addr: IpAddr, reason: Reason) -> Refusal {
    let metadata = is_metadata(addr) || wrapped(addr).is_some_and(|a| is_metadata(a.into()));
    let can_be_named = matches!(reason, Reason::Address(_))
        && matches!(admission.host, Host::Name(_))
        && !is_undialable(addr)
        && !metadata;
    let suggestion = if can_be_named {
        format!(
            "network:\n  rules:\n    - name: {}\n      addresses: [\"{addr}\"]   # add to the rule",
            admission.rule
        )
    } else {
        String::new()
    };
    Refusal {
        layer: Layer::Network,
        rule: None,
        reason,
        compared: format!("{}:{} at {addr}", admission.host, admission.port),
        nearest: NearMiss::boxed(&admission.rule, format!("the address {addr}")),
        suggestion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addr: &str, granted: &[&str], want: bool) {
        let nets: Vec<IpNet> = granted.iter().map(|n| n.parse().unwrap()).collect();
        let addr = addr.parse::<IpAddr>().unwrap().to_canonical();
        let named = |addr: IpAddr, block: IpNet| nets.iter().any(|n| n.contains(&addr) && block.contains(n));
        assert_eq!(judge_address(addr, &named).is_ok(), want, "{addr} with {granted:?}");
    }

    #[test]
    fn only_public_addresses_may_be_reached_by_name() {
        for public in ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1"] {
            check(public, &[], true);
        }
        for refused in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "172.31.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "e000::1",
            "2606:4700::5efe:a00:1",
        ] {
            check(refused, &[], false);
        }
    }

    #[test]
    fn a_grant_means_what_it_names_and_no_more() {
        check("10.1.2.3", &["10.0.0.0/8"], true);
        check("10.1.2.3", &["10.1.2.3/32"], true);
        check("10.1.2.3", &["0.0.0.0/0"], false);
        check("127.0.0.1", &["127.0.0.1/32"], true);
        check("64:ff9b::808:808", &["64:ff9b::/96"], true);
        check("64:ff9b::a00:1", &["64:ff9b::/96"], false);
        check("64:ff9b::a00:1", &["64:ff9b::/96", "10.0.0.0/8"], true);
    }

    #[test]
    fn a_metadata_service_must_be_named_exactly_and_never_wrapped() {
        for addr in ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"] {
            check(addr, &[], false);
            check(
                addr,
                &["169.254.0.0/16", "100.64.0.0/10", "168.63.129.0/24", "192.0.0.0/24", "fd00::/8"],
                false,
            );
            let exact = if addr.contains(':') { format!("{addr}/128") } else { format!("{addr}/32") };
            check(addr, &[&exact], true);
        }
        check("64:ff9b::a9fe:a9fe", &["64:ff9b::a9fe:a9fe/128"], false);
        check("::ffff:169.254.169.254", &[], false);
        check("2002:a9fe:a9fe::", &["2002::/16"], false);
    }
}

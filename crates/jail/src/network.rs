//! The sandbox's network: one loopback interface that owns every address, and a proxy outside behind all of them.
//!
//! TCP to anywhere but the sandbox's own loopback addresses reaches our listeners (TPROXY, so the original destination
//! is the accepted socket's own address and no connection tracking is needed; REDIRECT where a kernel lacks it). UDP
//! to any port 53 reaches our DNS sockets by the routes alone. All else is refused at once, so that programs fail
//! fast instead of waiting.

use crate::walls::{Wall, stands};
use crate::{JailError, NetOptions, Step};
use creel_kernel::nft::{Batch, Chain, Hook, Rule};
use creel_kernel::socket::{self, Family};
use creel_kernel::{Named, SysError, loopback};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The port of the transparent listeners. On a loopback address it is reachable as an explicit proxy, too.
pub const PROXY_PORT: u16 = 15001;
/// The address that IPv4 connections come from: the dummy address of RFC 7600, which no host has. Unlike 127.0.0.1
/// it makes resolvers ask for IPv4 addresses (`AI_ADDRCONFIG`).
pub const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// The address that IPv6 connections come from: of a unique local prefix of our own.
pub const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0xfd43, 0x7265, 0x656c, 0, 0, 0, 0, 2);

const DNS_PORT: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Settings of the new network namespace. A missing one is an error only where containment rests on it.
const SETTINGS: [(&str, &str, Need); 5] = [
    // Data in a SYN would leave before `connect` was judged.
    ("net/ipv4/tcp_fastopen", "0", Need::Must),
    // Every connection ends at our own socket: ports must not run out in TIME_WAIT.
    ("net/ipv4/tcp_max_tw_buckets", "0", Need::Should),
    ("net/ipv4/tcp_fin_timeout", "5", Need::Should),
    // Nobody else's low ports are here: the agent's own servers may use them.
    ("net/ipv4/ip_unprivileged_port_start", "0", Need::Should),
    ("net/ipv4/ip_local_port_range", "1024 65535", Need::Should),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    Should,
}

/// The network, set up, and the sockets that its proxy serves.
#[derive(Debug)]
pub(crate) struct Network {
    pub tcp: Vec<OwnedFd>,
    pub dns: Vec<OwnedFd>,
    pub redirect: bool,
    pub v6: bool,
}

/// Sets up the calling process's own, new network namespace.
pub(crate) fn set_up(options: NetOptions) -> Result<Network, JailError> {
    wire(options).map_err(JailError::step(Step::Network))
}

/// Listeners on the host's loopback, where there is no network of the sandbox's own. Whoever connects to them without
/// the warden's note of it is turned away.
pub(crate) fn listen_on_loopback() -> Result<Network, JailError> {
    let failed = JailError::step(Step::Network);
    let mut tcp = vec![socket::loopback_listener(Family::V4).map_err(failed)?];
    let v6 = socket::loopback_listener(Family::V6).ok();
    let has_v6 = v6.is_some();
    tcp.extend(v6);
    Ok(Network { tcp, dns: Vec::new(), redirect: false, v6: has_v6 })
}

fn wire(options: NetOptions) -> Result<Network, SysError> {
    apply_settings()?;
    loopback::up()?;
    loopback::own_everything(IpAddr::V4(SOURCE_V4))?;
    // A host may have no IPv6 at all; then the sandbox has none either, and nothing can leave by it.
    let v6 =
        Path::new("/proc/sys/net/ipv6").exists() && loopback::own_everything(IpAddr::V6(SOURCE_V6)).is_ok();
    let families: &[Family] = if v6 { &[Family::V4, Family::V6] } else { &[Family::V4] };
    let mut network = Network { tcp: Vec::new(), dns: Vec::new(), redirect: options.redirect, v6 };
    for &family in families {
        network.tcp.push(socket::transparent_listener(family, PROXY_PORT)?);
        network.dns.push(socket::datagram_catcher(family, DNS_PORT)?);
    }
    if !stands(Wall::Capture) {
        return Ok(network);
    }
    if network.redirect || by_tproxy().is_err() {
        network.redirect = true;
        by_redirect()?;
    }
    Ok(network)
}

fn apply_settings() -> Result<(), SysError> {
    for (name, value, need) in SETTINGS {
        let file = Path::new("/proc/sys").join(name);
        let written = std::fs::write(&file, value).named("write", file.display());
        if need == Need::Must {
            written?;
        }
    }
    Ok(())
}

/// The sandbox's own addresses: how many leading bytes of a destination make it one.
fn own_addresses() -> [(IpAddr, u8); 4] {
    [
        (IpAddr::V4(Ipv4Addr::LOCALHOST), 1),
        (IpAddr::V4(SOURCE_V4), 4),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), 16),
        (IpAddr::V6(SOURCE_V6), 16),
    ]
}

fn own(action: impl Fn(Rule) -> Rule) -> Vec<Rule> {
    own_addresses().into_iter().map(|(address, bytes)| action(Rule::any().to(address, bytes))).collect()
}

fn output_filter() -> (Chain, Vec<Rule>) {
    let chain = Chain { name: "output", kind: "filter", hook: Hook::Output, priority: 0, accepts: false };
    let mut rules = own(Rule::accept);
    rules.push(Rule::any().protocol(TCP).accept());
    rules.push(Rule::any().protocol(UDP).port(DNS_PORT).accept());
    rules.push(Rule::any().reject());
    (chain, rules)
}

fn by_tproxy() -> Result<(), SysError> {
    let chain =
        Chain { name: "capture", kind: "filter", hook: Hook::Prerouting, priority: -150, accepts: true };
    let mut rules = own(Rule::done);
    rules.push(Rule::any().protocol(TCP).tproxy(PROXY_PORT));
    let (output, filter) = output_filter();
    Batch::table("creel").chain(chain, rules).chain(output, filter).commit()
}

fn by_redirect() -> Result<(), SysError> {
    let chain = Chain { name: "capture", kind: "nat", hook: Hook::Output, priority: -100, accepts: true };
    let mut rules = own(Rule::done);
    rules.push(Rule::any().protocol(TCP).redirect(PROXY_PORT));
    let (output, filter) = output_filter();
    Batch::table("creel").chain(chain, rules).chain(output, filter).commit()
}

//! Looking for what a claim excludes.

use super::{Claim, Proof, What, Where};
use crate::difference::{names, ports};
use crate::filesystem::HidePattern;
use crate::language::{accesses, addresses, arguments, callers, hosts, methods, paths, programs};
use crate::network::{From, Rule};
use crate::pattern::{HostPattern, HttpPattern};
use crate::process::Entry;
use crate::{
    Access, Connect, Execute, Filesystem, Handling, Mode, Places, Policy, Question, Request, TooLarge,
};
use creel_types::{Caller, Digest, Host};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Policy {
    /// Whether the policy never allows what the claim says, or what it allows of it.
    ///
    /// # Errors
    /// When there are too many classes of questions to be looked through.
    pub fn prove(&self, places: &Places, claim: &Claim) -> Result<Proof, TooLarge> {
        if self.mode() == Mode::Observe {
            let witness_call = Some("the policy only observes: nothing is refused".to_owned());
            return Ok(Proof { never: claim.text.clone(), holds: false, witness: None, witness_call });
        }
        let mut call = None;
        let found = match &claim.what {
            What::Request { pattern, to, from } => {
                call = model_call(self, pattern, to);
                if call.is_some() { None } else { request(self, (pattern, to, from))? }
            }
            What::Connect { to, at, from } => connection(self, (to, at.as_deref(), from))?,
            What::File { write, paths } => file(self, *write, paths)?,
            What::Execute(entry) => execution(self, entry)?,
        };
        let witness = found.map(|question| self.explain(places, &question));
        let holds = witness.is_none() && call.is_none();
        Ok(Proof { never: claim.text.clone(), holds, witness, witness_call: call })
    }
}

/// The hosts and ports that a policy and a claim tell apart, as far as the claim is about them.
fn ends(policy: &Policy, to: &Where, blocks: &[IpNet]) -> Result<Vec<(Host, u16)>, TooLarge> {
    let patterns: Vec<&HostPattern> = policy.network.hosts().chain(to.targets().map(|t| &t.host)).collect();
    let mut all = hosts(patterns.iter().copied())?;
    let nets = patterns.iter().filter_map(|pattern| match pattern {
        HostPattern::Addr(addr) => Some((*addr).into()),
        HostPattern::Net(net) => Some(*net),
        HostPattern::Name(_) | HostPattern::Wild(_) => None,
    });
    let nets: Vec<IpNet> = nets.chain(blocks.iter().copied()).collect();
    all.extend(addresses(nets.into_iter()).into_iter().map(Host::from_addr));
    let ports = ports(policy.network.targets().chain(to.targets()));
    let pairs = all
        .into_iter()
        .flat_map(|host| ports.iter().map(move |port| (host.clone(), *port)).collect::<Vec<_>>());
    Ok(pairs.filter(|(host, port)| to.takes(host, *port)).collect())
}

/// Those who could act there and whom the claim is about.
fn actors(rules: &[&Rule], from: &From) -> Result<Vec<Caller>, TooLarge> {
    let lists: Vec<&From> = rules.iter().map(|rule| &rule.from).chain([from]).collect();
    Ok(callers(&lists)?.into_iter().filter(|caller| from.admits(caller)).collect())
}

/// A connection that goes out, to an address that it may have.
fn goes_out(policy: &Policy, ask: &Connect<'_>) -> bool {
    let Ok(admission) = policy.connect(ask) else { return false };
    match ask.host {
        _ if admission.handling() == Handling::Model => false,
        Host::Addr(addr) => policy.permit(&admission, *addr).is_ok(),
        Host::Name(_) => true,
    }
}

fn request(
    policy: &Policy,
    (pattern, to, from): (&HttpPattern, &Where, &From),
) -> Result<Option<Question>, TooLarge> {
    for (host, port) in ends(policy, to, &[])? {
        let rules = policy.network.rules_at(&host, port);
        if rules.is_empty() {
            continue;
        }
        let patterns = || rules.iter().flat_map(|rule| rule.form.patterns()).chain([pattern]);
        let (methods, paths) = (methods(patterns()), paths(patterns())?);
        for caller in actors(&rules, from)? {
            let connect = Connect { host: &host, port, caller: &caller };
            if !goes_out(policy, &connect) {
                continue;
            }
            for (path, method) in
                paths.iter().flat_map(|path| methods.iter().map(move |method| (path, method)))
            {
                let ask = Request { connect, method, path };
                if pattern.allows(method, path) && policy.at_most(&ask).is_ok() {
                    let (method, path, tls) = (method.clone(), path.clone(), port != 80);
                    return Ok(Some(Question::Request { method, tls, host, port, path, caller }));
                }
            }
        }
    }
    Ok(None)
}

/// Model calls end at a backend, wherever the agent sent them.
fn model_call(policy: &Policy, pattern: &HttpPattern, to: &Where) -> Option<String> {
    let served = policy.inference.is_served() && pattern.covers_method("POST");
    let mut backends = policy.inference.backends().iter().filter(|_| served);
    let found = backends.find(|backend| to.takes(&backend.base_url.host, backend.base_url.port))?;
    Some(format!("a model call ends there: backend {} at {}", found.name, found.base_url))
}

type Reach<'a> = (&'a Where, Option<&'a [IpNet]>, &'a From);

fn connection(policy: &Policy, (to, at, from): Reach<'_>) -> Result<Option<Question>, TooLarge> {
    for (host, port) in ends(policy, to, at.unwrap_or_default())? {
        let rules = policy.network.rules_at(&host, port);
        for caller in if rules.is_empty() { Vec::new() } else { actors(&rules, from)? } {
            let ask = Connect { host: &host, port, caller: &caller };
            if !goes_out(policy, &ask) {
                continue;
            }
            let led = at.map(|blocks| leads(policy, &ask, (&rules, blocks)));
            if let Some(addr) = led.map_or(Some(None), |led| led.map(Some)) {
                return Ok(Some(Question::Connect { host, port, addr, caller }));
            }
        }
    }
    Ok(None)
}

/// An address in one of the blocks that the connection may lead to.
fn leads(policy: &Policy, ask: &Connect<'_>, (rules, blocks): (&[&Rule], &[IpNet])) -> Option<IpAddr> {
    let named = rules.iter().flat_map(|rule| rule.grants.iter().map(|grant| grant.net));
    let admission = policy.connect(ask).ok()?;
    let examples: Vec<IpAddr> = match ask.host {
        Host::Addr(addr) => vec![*addr],
        Host::Name(_) => addresses(named.chain(blocks.iter().copied())),
    };
    let inside = |addr: &IpAddr| blocks.iter().any(|block| block.contains(addr));
    examples.into_iter().filter(inside).find(|addr| policy.permit(&admission, *addr).is_ok())
}

fn file(policy: &Policy, write: bool, hidden: &[HidePattern]) -> Result<Option<Question>, TooLarge> {
    // What the claim is about is what a policy would hide that says the same.
    let claimed = Filesystem { hidden: hidden.to_vec(), ..Filesystem::default() };
    let seen = policy.filesystem().with_system();
    let about = accesses(&seen, &claimed)?;
    let allowed = |access: Option<Access>| match access {
        None | Some(Access::Hide) => false,
        Some(Access::Read) => !write,
        Some(Access::Review | Access::Write) => true,
    };
    let found = about
        .into_iter()
        .find(|path| claimed.access(path) == Some(Access::Hide) && allowed(seen.access(path)));
    Ok(found.map(|path| if write { Question::Write(path) } else { Question::Read(path) }))
}

fn execution(policy: &Policy, claim: &Entry) -> Result<Option<Question>, TooLarge> {
    let entries = || policy.process.exec.entries().chain([claim]);
    let classes = programs(entries().map(|entry| &entry.program))?;
    let paths: BTreeSet<&String> = classes.iter().map(|(path, _)| path).collect();
    let digests: BTreeSet<Option<Digest>> = classes.iter().map(|(_, digest)| *digest).collect();
    let given: Vec<_> = entries().filter_map(|entry| entry.arguments.as_ref()).collect();
    let given = arguments(&given)?;
    let lists: Vec<&From> = entries().map(|entry| &entry.from).collect();
    for parents in callers(&lists)? {
        for (names, digest) in
            names(&paths).iter().flat_map(|names| digests.iter().map(move |digest| (names, digest)))
        {
            for arguments in &given {
                let ask =
                    Execute { names, also: &[], digest: *digest, arguments, whole: true, parents: &parents };
                if claim.is(&ask) && policy.execute(&ask).is_ok() {
                    let (names, arguments) = (names.clone(), arguments.clone());
                    return Ok(Some(Question::Execute { names, arguments, digest: *digest, parents }));
                }
            }
        }
    }
    Ok(None)
}

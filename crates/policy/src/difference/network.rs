//! Connections, requests and addresses.

use super::{Found, Kind, Seen};
use crate::canonical::CanonicalPath;
use crate::language::{addresses, callers, hosts, methods, paths};
use crate::network::{AddressGrant, Form, Ports, Rule, Target};
use crate::pattern::{HostPattern, HttpPattern};
use crate::{Connect, Handling, Policy, Question, Refusal, Request, Statement, TooLarge};
use creel_types::{Caller, Host, HostName, RuleId};
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};

pub(super) fn compare(found: &mut Found<'_>) -> Result<(), TooLarge> {
    let (old, new) = (found.old.0, found.new.0);
    let local = HostName::new("inference.local").ok().map(HostPattern::Name);
    let patterns: Vec<&HostPattern> =
        [old, new].into_iter().flat_map(|p| p.network.hosts()).chain(&local).collect();
    let mut all = hosts(patterns.iter().copied())?;
    let nets: Vec<IpNet> = patterns.iter().filter_map(|pattern| net(pattern)).collect();
    if !nets.is_empty() {
        all.extend(addresses(nets.into_iter()).into_iter().map(Host::from_addr));
    }
    let ports = ports([old, new].into_iter().flat_map(|p| p.network.targets()));
    let mut compared = Compared { found, old, new, paths: HashMap::new() };
    for host in &all {
        for port in &ports {
            compared.at(host, *port)?;
        }
    }
    Ok(())
}

fn net(pattern: &HostPattern) -> Option<IpNet> {
    match pattern {
        HostPattern::Addr(addr) => Some((*addr).into()),
        HostPattern::Net(net) => Some(*net),
        HostPattern::Name(_) | HostPattern::Wild(_) => None,
    }
}

/// The ports that are named, the usual ones, and one that nobody names; the usual ones first.
pub(crate) fn ports<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<u16> {
    let named: BTreeSet<u16> =
        targets.filter_map(|t| if let Ports::One(port) = t.ports { Some(port) } else { None }).collect();
    let other = (8000..=u16::MAX).chain(1..8000).find(|port| !named.contains(port));
    let mut all = vec![443, 80];
    all.extend(named.iter().filter(|port| !matches!(port, 443 | 80)));
    all.extend(other);
    all
}

struct Compared<'a, 'b> {
    found: &'a mut Found<'b>,
    old: &'b Policy,
    new: &'b Policy,
    /// Examples of paths, by the patterns that they are of.
    paths: HashMap<Vec<String>, Vec<CanonicalPath>>,
}

/// What becomes of a connection, as far as it matters.
struct Way {
    handling: Handling,
    rule: RuleId,
}

impl Compared<'_, '_> {
    fn at(&mut self, host: &Host, port: u16) -> Result<(), TooLarge> {
        let (old, new) = (self.old.network.rules_at(host, port), self.new.network.rules_at(host, port));
        let fates = [self.old, self.new].map(|policy| policy.network.fate(host, port));
        let secret = self.old.credentials() != self.new.credentials();
        let bound = secret && old.iter().chain(&new).any(|rule| rule.credential.is_some());
        let alike = !bound && old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| same(a, b));
        if fates[0] == fates[1] && (alike || fates[0].is_some()) {
            return Ok(());
        }
        self.contents(host, port, &old, &new);
        let both: Vec<&Rule> = old.into_iter().chain(new).collect();
        let lists: Vec<_> = both.iter().map(|rule| &rule.from).collect();
        for caller in callers(&lists)? {
            let ask = Connect { host, port, caller: &caller };
            let ways = [self.old, self.new].map(|policy| way(policy, &ask));
            self.connections(&ask, &ways);
            self.addresses(&ask, &ways, &both);
            self.requests(&ask, &ways, &both)?;
        }
        Ok(())
    }

    /// What requests may say is compared as it is written, and told whichever of the two allows more.
    fn contents(&mut self, host: &Host, port: u16, old: &[&Rule], new: &[&Rule]) {
        let says = |rules: &[&Rule]| rules.iter().any(|rule| rule.form.content().is_some());
        let contents = |rules: &[&Rule]| {
            rules.iter().all(|a| {
                a.form.content().is_none()
                    || old.iter().any(|b| a.id == b.id && a.form == b.form)
                        && new.iter().any(|b| a.id == b.id && a.form == b.form)
            })
        };
        if !(says(old) || says(new)) || (contents(old) && contents(new)) {
            return;
        }
        let by = new.iter().chain(old).find(|rule| rule.form.content().is_some());
        self.found.add(
            Seen {
                gained: true,
                kind: Kind::Request,
                witness: format!("what requests to {host}:{port} may say is not what it was"),
                by: by.map(|rule| Statement::Rule(rule.id.clone())),
                otherwise: "it says something else, or nothing, about what is in them".to_owned(),
                question: None,
            },
            "",
        );
    }

    /// Whether it may be made at all, and whether anybody looks inside.
    fn connections(&mut self, ask: &Connect<'_>, ways: &[Result<Way, Refusal>; 2]) {
        for kind in [Kind::Connect, Kind::Unseen, Kind::Raw, Kind::Route] {
            let [before, after] = ways.each_ref().map(|way| way.as_ref().is_ok_and(|way| way.is(kind)));
            if before == after {
                continue;
            }
            let (allows, other) = if after { (&ways[1], &ways[0]) } else { (&ways[0], &ways[1]) };
            let by = allows.as_ref().ok().map(Way::statement);
            let addr = if let Host::Addr(addr) = ask.host { Some(*addr) } else { None };
            self.found.question((after, kind), connection(ask, addr), by, otherwise(other));
        }
    }

    /// Where a name that both admit may lead.
    fn addresses(&mut self, ask: &Connect<'_>, ways: &[Result<Way, Refusal>; 2], rules: &[&Rule]) {
        let dialled = |way: &Result<Way, Refusal>| way.as_ref().is_ok_and(|w| w.handling != Handling::Model);
        if matches!(ask.host, Host::Addr(_)) || !ways.iter().all(dialled) {
            return;
        }
        let nets: BTreeSet<IpNet> = rules.iter().flat_map(|r| r.grants.iter().map(|g| g.net)).collect();
        if nets.is_empty() {
            return;
        }
        for addr in addresses(nets.into_iter()) {
            let led = [self.old, self.new]
                .map(|policy| policy.permit(&policy.connect(ask)?, addr).map(|p| p.rule().clone()));
            let (gained, rule, refusal) = match led {
                [Err(refusal), Ok(rule)] => (true, rule, refusal),
                [Ok(rule), Err(refusal)] => (false, rule, refusal),
                _ => continue,
            };
            let by = Some(Statement::Rule(rule));
            self.found.question(
                (gained, Kind::Address),
                connection(ask, Some(addr)),
                by,
                refusal.reason.to_string(),
            );
        }
    }

    fn requests(
        &mut self,
        ask: &Connect<'_>,
        ways: &[Result<Way, Refusal>; 2],
        rules: &[&Rule],
    ) -> Result<(), TooLarge> {
        let decided =
            |way: &Result<Way, Refusal>| !way.as_ref().is_ok_and(|w| w.handling != Handling::Inspect);
        let refused = ways.iter().all(Result::is_err);
        if refused || !ways.iter().any(decided) {
            return Ok(());
        }
        let patterns = || rules.iter().flat_map(|rule| rule.form.patterns());
        let methods = methods(patterns());
        for path in self.paths(&patterns().collect::<Vec<_>>())? {
            for method in &methods {
                let request = Request { connect: *ask, method, path: &path };
                self.credentials(&request);
                let said = [self.old, self.new].map(|policy| reach(policy, &request));
                let (gained, rule, refusal) = match said {
                    [Err(refusal), Ok(rule)] => (true, rule, refusal),
                    [Ok(rule), Err(refusal)] => (false, rule, refusal),
                    _ => continue,
                };
                let by = Some(Way::of(&rule));
                let kind = (gained, Kind::Request);
                self.found.question(kind, asked(&request), by, refusal.reason.to_string());
            }
        }
        Ok(())
    }

    /// Which of the operator's secrets go along.
    fn credentials(&mut self, request: &Request<'_>) {
        let [before, after] = [self.old, self.new].map(|policy| secrets(policy, request));
        for (gained, these, those) in [(true, &after, &before), (false, &before, &after)] {
            for secret in these.difference(those) {
                let witness = format!("{secret} into {}", asked(request));
                let otherwise = "it does not go along".to_owned();
                let seen =
                    Seen { gained, kind: Kind::Credential, witness, by: None, otherwise, question: None };
                self.found.add(seen, secret);
            }
        }
    }

    fn paths(&mut self, patterns: &[&HttpPattern]) -> Result<Vec<CanonicalPath>, TooLarge> {
        let mut key: Vec<String> = patterns.iter().map(|p| p.written.to_string()).collect();
        key.sort_unstable();
        key.dedup();
        if let Some(known) = self.paths.get(&key) {
            return Ok(known.clone());
        }
        let examples = paths(patterns.iter().copied())?;
        self.paths.insert(key, examples.clone());
        Ok(examples)
    }
}

/// The credentials that are put into a request that is allowed, each with where its secret is.
fn secrets(policy: &Policy, request: &Request<'_>) -> BTreeSet<String> {
    let allowed = reach(policy, request).is_ok();
    let bound = if allowed { policy.network.bound(request) } else { Vec::new() };
    let known = policy.credentials().iter().filter(|credential| bound.contains(&&*credential.name));
    known.map(|credential| format!("`{}` ({:?})", credential.name, credential.secret)).collect()
}

fn asked(request: &Request<'_>) -> Question {
    let Connect { host, port, caller } = request.connect;
    Question::Request {
        method: request.method.to_owned(),
        tls: port != 80,
        host: host.clone(),
        port,
        path: request.path.clone(),
        caller: caller.clone(),
    }
}

/// What allows a request, when its connection is admitted, too. An address that a program gives itself is also judged.
fn reach(policy: &Policy, request: &Request<'_>) -> Result<RuleId, Refusal> {
    way(policy, &request.connect)?;
    policy.at_most(request)
}

fn way(policy: &Policy, ask: &Connect<'_>) -> Result<Way, Refusal> {
    let admission = policy.connect(ask)?;
    if let (Host::Addr(addr), true) = (ask.host, admission.handling() != Handling::Model) {
        policy.permit(&admission, *addr)?;
    }
    Ok(Way { handling: admission.handling(), rule: admission.rule().clone() })
}

impl Way {
    fn is(&self, kind: Kind) -> bool {
        match kind {
            Kind::Connect => self.handling != Handling::Model,
            Kind::Unseen => matches!(self.handling, Handling::PassThrough | Handling::Raw),
            Kind::Raw => self.handling == Handling::Raw,
            Kind::Route => self.handling == Handling::Model,
            _ => false,
        }
    }

    fn statement(&self) -> Statement {
        Self::of(&self.rule)
    }

    fn of(rule: &RuleId) -> Statement {
        match rule.as_str() {
            "inference.local" => Statement::Models("default".to_owned()),
            _ => Statement::Rule(rule.clone()),
        }
    }
}

fn otherwise(way: &Result<Way, Refusal>) -> String {
    match way {
        Err(refusal) => refusal.reason.to_string(),
        Ok(Way { handling: Handling::Inspect, .. }) => "each request is looked at and decided".to_owned(),
        Ok(Way { handling: Handling::PassThrough, .. }) => {
            "TLS or HTTP, and nobody looks inside TLS".to_owned()
        }
        Ok(Way { handling: Handling::Raw, .. }) => "any bytes".to_owned(),
        Ok(Way { handling: Handling::Model, .. }) => "it ends at the model router".to_owned(),
    }
}

fn connection(ask: &Connect<'_>, addr: Option<std::net::IpAddr>) -> Question {
    let caller: Caller = ask.caller.clone();
    Question::Connect { host: ask.host.clone(), port: ask.port, addr, caller }
}

/// Whether two rules that lead to the same place say the same. Every part is named here, so that a new one is not
/// forgotten.
fn same(a: &Rule, b: &Rule) -> bool {
    let Rule { id: _, to: _, from, form, grants, credential } = a;
    let grants_of = |grants: &[AddressGrant]| grants.iter().map(|g| (g.net, g.ports)).collect::<Vec<_>>();
    let forms = match (form, &b.form) {
        (Form::Plain, Form::Plain) | (Form::Raw, Form::Raw) => true,
        (Form::Http { .. }, Form::Http { .. }) | (Form::Content(_), Form::Content(_)) => *form == b.form,
        _ => false,
    };
    forms && *credential == b.credential && *from == b.from && grants_of(grants) == grants_of(&b.grants)
}

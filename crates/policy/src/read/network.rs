//! The network layer.

use super::says;
use super::target::{address, program, report, target};
use crate::network::{AddressGrant, Content, Form, From, HOST_SERVICES, Ports, Rule, Target};
use crate::pattern::{HostPattern, HttpPattern};
use crate::problems::{Problems, Span};
use crate::yaml::Node;
use crate::{Operator, Statement};
use creel_types::RuleId;
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// Each is held against every rule when a policy is compiled.
const MOST_DENIES: usize = 4096;

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    pub rules: Vec<ReadRule>,
    pub deny: Vec<(Span, Target)>,
    /// The numbers of the documents that were included by others.
    pub included: HashSet<u32>,
    names: HashMap<String, Span>,
}

/// A rule with the places of its parts.
pub(super) struct ReadRule {
    pub rule: Rule,
    pub to: Vec<Span>,
    pub allow: Vec<Span>,
    pub deny: Vec<Span>,
    pub credential: Option<Span>,
    /// Of what it says about what is in requests.
    pub says: says::Places,
}

impl Draft {
    pub(super) fn add(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let denies = node.list("deny");
        if denies.len() > MOST_DENIES {
            problems.add(denies[MOST_DENIES].span, format!("more than {MOST_DENIES} denies"));
        }
        for item in denies.iter().take(MOST_DENIES) {
            self.deny.extend(target(item, problems).map(|t| (item.span, t)));
        }
        let rules = node.list("rules");
        self.rules.reserve(rules.len());
        self.names.reserve(rules.len());
        for item in rules {
            self.rule(item, operator, problems);
        }
    }

    /// Where each deny, each rule and each of its patterns stands.
    pub(super) fn each(&self, mut found: impl FnMut(Span, Statement)) {
        self.deny.iter().for_each(|(span, t)| found(*span, Statement::Deny(t.written.to_string())));
        for read in &self.rules {
            let id = &read.rule.id;
            self.names.get(id.as_str()).into_iter().for_each(|s| found(*s, Statement::Rule(id.clone())));
            for (pattern, span) in read.rule.form.heads().iter().zip(&read.allow) {
                found(*span, Statement::Allows(id.clone(), pattern.written.to_string()));
            }
            for (pattern, span) in read.rule.form.denials().iter().zip(&read.deny) {
                found(*span, Statement::Denies(id.clone(), pattern.written.to_string()));
            }
            let Some(says) = read.rule.form.content().map(|content| &content.says) else { continue };
            for (call, span) in says.allowances().iter().zip(&read.says.allow) {
                found(*span, Statement::Allows(id.clone(), call.written.to_string()));
            }
            for (call, span) in says.denials().iter().zip(&read.says.deny) {
                found(*span, Statement::Denies(id.clone(), call.written.to_string()));
            }
        }
    }

    fn rule(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let name = node.get("name").and_then(|n| self.name(n, problems));
        let (to, spans) = targets(node.list("to"), problems);
        let from = node.get("from").map(|from| programs(from, operator, problems));
        let http = node.get("http");
        let allow = requests(http, "allow", problems);
        let deny = requests(http, "deny", problems);
        let addresses = addresses(node, &to, problems);
        let raw = node.get("raw").filter(|r| r.text() == Some("true"));
        contradictions(raw, http, problems);
        let said = says::read(node, raw, problems);
        let Some(id) = name else { return };
        let (said, said_at) = said.unzip();
        let form = match (raw, http, said) {
            (Some(_), ..) => Form::Raw,
            (None, _, Some(says)) => {
                let narrowed = (!allow.is_empty()).then(|| patterns(&allow));
                Form::Content(Box::new(Content { allow: narrowed, deny: patterns(&deny), says }))
            }
            (None, None, None) => Form::Plain,
            (None, Some(_), None) => Form::Http { allow: patterns(&allow), deny: patterns(&deny) },
        };
        services(&to, &spans, problems);
        let grants = grants(&to, &addresses);
        let credential = node.get("credential").filter(|n| n.text().is_some_and(|t| !t.is_empty()));
        let bound = credential.and_then(Node::text).map(Into::into);
        let rule = Rule { id, to, from: From(from.map(Into::into)), form, credential: bound, grants };
        let places = |list: &[(Span, HttpPattern)]| list.iter().map(|(span, _)| *span).collect();
        let says = said_at.unwrap_or_default();
        self.rules.push(ReadRule {
            rule,
            to: spans,
            allow: places(&allow),
            deny: places(&deny),
            credential: credential.map(|n| n.span),
            says,
        });
    }

    fn name(&mut self, node: &Node, problems: &mut Problems) -> Option<RuleId> {
        let text = node.text().filter(|t| !t.is_empty())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if text.len() > 64 || !text.chars().all(plain) {
            problems
                .add(node.span, format!("`{text}` is not a name for a rule"))
                .hint("use 1 to 64 of A-Z, a-z, 0-9, '-', '_', '.', '/'");
            return None;
        }
        if text.starts_with("inference.") || text == "observe" {
            problems.add(node.span, format!("`{text}` is a name that Creel itself uses in records"));
            return None;
        }
        if let Some(first) = self.names.insert(text.to_owned(), node.span) {
            let place = problems.place(first);
            problems
                .add(node.span, format!("a second rule named `{text}`"))
                .hint(format!("the first is at {place}"));
        }
        Some(RuleId::new(text))
    }
}

/// Reads targets, each once.
pub(super) fn targets(items: &[Node], problems: &mut Problems) -> (Vec<Target>, Vec<Span>) {
    let mut seen: HashSet<(HostPattern, Ports)> = HashSet::new();
    let mut read = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        let Some(target) = target(item, problems) else { continue };
        // Most rules have one target, which is nobody's double.
        if items.len() > 1 && !seen.insert((target.host.clone(), target.ports)) {
            problems.add(item.span, format!("`{}` is given twice", target.written));
        }
        read.0.push(target);
        read.1.push(item.span);
    }
    read
}

fn programs(node: &Node, operator: &Operator, problems: &mut Problems) -> Vec<crate::network::Program> {
    node.items().iter().filter_map(|item| program(item, operator, problems)).collect()
}

fn requests(http: Option<&Node>, key: &str, problems: &mut Problems) -> Vec<(Span, HttpPattern)> {
    let items = http.map(|node| node.list(key)).unwrap_or_default();
    let mut read = Vec::new();
    for item in items {
        match item.text().filter(|t| !t.is_empty()).map(HttpPattern::new) {
            Some(Ok(pattern)) => read.push((item.span, pattern)),
            Some(Err(error)) => report(error, item.span, problems),
            None => {}
        }
    }
    read
}

fn patterns(read: &[(Span, HttpPattern)]) -> Box<[HttpPattern]> {
    read.iter().map(|(_, pattern)| pattern.clone()).collect()
}

fn addresses(rule: &Node, to: &[Target], problems: &mut Problems) -> Vec<IpNet> {
    let Some(node) = rule.get("addresses") else { return Vec::new() };
    let names = to.iter().any(|t| matches!(t.host, HostPattern::Name(_) | HostPattern::Wild(_)));
    if !names && !to.is_empty() {
        problems
            .add(
                node.span.first(),
                "`addresses` says where names may lead, and this rule has no name in `to`",
            )
            .hint("leave it out: an address in `to` is allowed by standing there");
    }
    node.items().iter().filter_map(|item| address(item, problems)).collect()
}

fn contradictions(raw: Option<&Node>, http: Option<&Node>, problems: &mut Problems) {
    if let (Some(raw), Some(_)) = (raw, http) {
        problems
            .add(raw.span, "`raw: true` and `http` contradict each other")
            .hint("raw lets any bytes through unseen; keep one of the two");
    }
    if let Some(http) = http
        && http.entries().is_empty()
    {
        problems
            .add(http.span, "`http` without `allow` or `deny`")
            .hint("write `allow: [\"* /**\"]` for all requests");
    }
}

/// The host's own services are named one by one.
fn services(to: &[Target], spans: &[Span], problems: &mut Problems) {
    for (target, span) in to.iter().zip(spans) {
        if is_host_services(&target.host) && target.ports == Ports::Any {
            problems
                .add(*span, "`host.internal` needs one port: all of the host's own services is never meant")
                .hint("as in `host.internal:11434`");
        }
    }
}

fn is_host_services(host: &HostPattern) -> bool {
    matches!(host, HostPattern::Name(name) if name.as_str() == HOST_SERVICES)
}

/// What the rule's names may lead to: its `addresses`, the addresses in its `to`, and the host's own services that it
/// names.
fn grants(to: &[Target], addresses: &[IpNet]) -> std::sync::Arc<[AddressGrant]> {
    let listed = addresses.iter().map(|net| AddressGrant { net: *net, ports: Ports::Any });
    let targets = to.iter().filter_map(|t| {
        let net = match t.host {
            HostPattern::Addr(addr) => addr.into(),
            HostPattern::Net(net) => net,
            HostPattern::Name(_) if is_host_services(&t.host) => IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            HostPattern::Name(_) | HostPattern::Wild(_) => return None,
        };
        Some(AddressGrant { net, ports: t.ports })
    });
    listed.chain(targets).collect()
}

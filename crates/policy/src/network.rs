//! The network layer: which program may go where, and what it may ask there.
//!
//! Rules are kept in the order of their names, so that neither the answer nor the rule that is named in it depends
//! on the order in which they were written (law 5). A lookup touches the rules for one host only.

mod content;
mod explain;
mod index;
mod near;
pub(crate) mod reach;
mod rule;
mod says;
mod special;

pub(crate) use index::{Index, Ports};
pub(crate) use reach::{AddressGrant, Grants};
pub(crate) use rule::{Form, From, Program, Rule, Target};
pub(crate) use says::{Content, GitSays, GraphqlSays, McpSays, PushPattern, RpcSays, Says, SocketSays};
pub(crate) use special::{is_undialable, special_blocks};

use crate::pattern::HostPattern;
use crate::{Admission, Connect, Contents, Handling, Head, Reads, Reason, Refusal, Request};
use creel_types::{Host, RuleId};

/// The compiled network and capture rules.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// In the order of their names.
    rules: Vec<Rule>,
    index: Index,
    deny: Vec<Target>,
    deny_index: Index,
    capture: Index,
    captures: Vec<Target>,
    /// Whether `inference.local` answers.
    serves_models: bool,
    names: Names,
}

/// The ids of the rules that are not in the list, made once.
#[derive(Debug)]
struct Names {
    local: RuleId,
    capture: RuleId,
}

impl Default for Names {
    fn default() -> Self {
        Self { local: RuleId::new("inference.local"), capture: RuleId::new("inference.capture") }
    }
}

/// What a network is made of.
pub(crate) struct Parts {
    pub rules: Vec<Rule>,
    pub deny: Vec<Target>,
    pub capture: Vec<Target>,
    pub serves_models: bool,
}

/// What the rules that match a connection say together.
#[derive(Default)]
struct Union {
    /// The first rule of each kind, by name.
    raw: Option<u32>,
    plain: Option<u32>,
    http: Option<u32>,
    /// Whether a deny could take a request, or a credential is put into one.
    looks_inside: bool,
    grants: Grants,
}

const LOCAL: &str = "inference.local";

/// The name by which rules mean services that listen on the host's own loopback address.
pub(crate) const HOST_SERVICES: &str = "host.internal";

impl Network {
    pub(crate) fn new(mut parts: Parts) -> Self {
        parts.rules.sort_by(|a, b| a.id.cmp(&b.id));
        parts.deny.sort_by(|a, b| a.written.cmp(&b.written));
        let index = Index::new(parts.rules.iter().map(|rule| rule.to.as_slice()));
        let deny_index = Index::new(parts.deny.iter().map(std::slice::from_ref));
        let capture = Index::new(std::iter::once(parts.capture.as_slice()));
        Self {
            rules: parts.rules,
            index,
            deny: parts.deny,
            deny_index,
            capture,
            captures: parts.capture,
            serves_models: parts.serves_models,
            names: Names::default(),
        }
    }

    pub(crate) fn connect(&self, ask: &Connect<'_>) -> Result<Admission, Refusal> {
        if let Some(denied) = self.denied(ask.host, ask.port) {
            return Err(self.refuse_connect(ask, Reason::Denied(denied.written.to_string())));
        }
        if let Some(rule) = self.model_rule(ask.host, ask.port) {
            return Ok(admit(ask, Handling::Model, rule.clone(), Grants::default()));
        }
        let union = self.union(ask);
        let Some((handling, at)) = union.handling() else {
            return Err(self.refuse_connect(ask, self.why_not(ask)));
        };
        Ok(admit(ask, handling, self.rules[at as usize].id.clone(), union.grants))
    }

    /// The request as its head alone says it: what depends on its content is refused.
    pub(crate) fn request(&self, ask: &Request<'_>) -> Result<RuleId, Refusal> {
        match self.head(ask)? {
            Head::Allowed(rule) => Ok(rule),
            Head::Reads(_) => self.content(ask, &Contents::default()),
        }
    }

    /// The rule that may allow the request, whatever it says: for who asks what is possible at most.
    pub(crate) fn at_most(&self, ask: &Request<'_>) -> Result<RuleId, Refusal> {
        let refusal = match self.head(ask) {
            Ok(Head::Allowed(rule)) => return Ok(rule),
            Ok(Head::Reads(_)) => None,
            Err(refusal) if refusal.reason == Reason::Request => Some(refusal),
            Err(refusal) => return Err(refusal),
        };
        let mut first = None;
        self.index.each(ask.connect.host, ask.connect.port, |at| {
            let rule = &self.rules[at as usize];
            let may =
                rule.form.content().is_some_and(|c| c.says.admits() && c.is_within(ask.method, ask.path));
            if rule.from.admits(ask.connect.caller) && (may || rule.form.allows(ask.method, ask.path)) {
                first = lowest(first, at);
            }
        });
        match first {
            Some(at) => Ok(self.rules[at as usize].id.clone()),
            None => Err(refusal.unwrap_or_else(|| self.refuse_request(ask))),
        }
    }

    pub(crate) fn head(&self, ask: &Request<'_>) -> Result<Head, Refusal> {
        let Connect { host, port, caller } = ask.connect;
        if let Some(denied) = self.denied(host, port) {
            return Err(self.refuse_connect(&ask.connect, Reason::Denied(denied.written.to_string())));
        }
        if let Some(rule) = self.model_rule(host, port) {
            return Ok(Head::Allowed(rule.clone()));
        }
        let (mut allowed, mut denied) = (None, None);
        let (mut asks, mut guards) = (Reads::default(), Reads::default());
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            if rule.from.may_be(caller) {
                if let Some(pattern) = rule.form.denies(ask.method, ask.path) {
                    denied = lowest(denied, (at, pattern));
                }
                if let Some(content) = rule.form.content() {
                    content.guards(&mut guards);
                }
            }
            if rule.from.admits(caller) {
                if rule.form.allows(ask.method, ask.path) {
                    allowed = lowest(allowed, (at, ""));
                }
                if let Some(content) = rule.form.content() {
                    content.asks(ask, &mut asks);
                }
            }
        });
        match (denied, allowed) {
            (Some((at, pattern)), _) => Err(self.refuse_denied_request(ask, at, pattern)),
            (None, Some(_)) if guards.any() => {
                Ok(Head::Reads(Reads { only_denies: true, answers: false, ..guards }))
            }
            (None, Some((at, _))) => Ok(Head::Allowed(self.rules[at as usize].id.clone())),
            (None, None) if asks.any() => Ok(Head::Reads(asks.and(guards))),
            (None, None) => Err(self.refuse_request(ask)),
        }
    }

    /// The rules, in the order of their names.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that lead to this host and port, in the order of their names.
    pub(crate) fn rules_at(&self, host: &Host, port: u16) -> Vec<&Rule> {
        let mut found = Vec::new();
        self.index.each(host, port, |at| found.push(at));
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|at| self.rules.get(at as usize)).collect()
    }

    /// What happens there whatever the rules say: `None` where they decide, else whether it ends at the model router.
    pub(crate) fn fate(&self, host: &Host, port: u16) -> Option<bool> {
        if self.denied(host, port).is_some() {
            return Some(false);
        }
        self.model_rule(host, port).map(|_| true)
    }

    /// Every target.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.rules.iter().flat_map(|rule| &rule.to).chain(&self.deny).chain(&self.captures)
    }

    /// Every pattern over hosts.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &HostPattern> {
        self.targets().map(|target| &target.host)
    }

    /// What is refused whatever the rules say.
    pub(crate) fn denies(&self) -> &[Target] {
        &self.deny
    }

    /// What ends at the model router.
    pub(crate) fn captures(&self) -> &[Target] {
        &self.captures
    }

    /// The credentials of the rules that allow this request.
    pub(crate) fn bound(&self, ask: &Request<'_>) -> Vec<&str> {
        let Connect { host, port, caller } = ask.connect;
        let mut names = Vec::new();
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            if let Some(name) = &rule.credential
                && rule.from.admits(caller)
                && (rule.form.allows(ask.method, ask.path)
                    || rule.form.content().is_some_and(|content| content.is_for(ask)))
            {
                names.push(&**name);
            }
        });
        names
    }

    pub(crate) fn wants_caller(&self, host: &Host, port: u16) -> bool {
        let mut wants = false;
        self.index.each(host, port, |at| wants |= self.rules[at as usize].from.is_said());
        wants
    }

    pub(crate) fn wants_callers(&self) -> bool {
        self.rules.iter().any(|rule| rule.from.is_said())
    }

    fn denied(&self, host: &Host, port: u16) -> Option<&Target> {
        let mut found = None;
        self.deny_index.each(host, port, |at| found = lowest(found, at));
        found.map(|at| &self.deny[at as usize])
    }

    fn model_rule(&self, host: &Host, port: u16) -> Option<&RuleId> {
        if self.serves_models
            && matches!(port, 80 | 443)
            && matches!(host, Host::Name(name) if name.as_str() == LOCAL)
        {
            return Some(&self.names.local);
        }
        let mut captured = false;
        self.capture.each(host, port, |_| captured = true);
        captured.then_some(&self.names.capture)
    }

    fn union(&self, ask: &Connect<'_>) -> Union {
        let mut union = Union::default();
        self.index.each(ask.host, ask.port, |at| {
            let rule = &self.rules[at as usize];
            union.looks_inside |= rule.form.has_deny() && rule.from.may_be(ask.caller);
            if rule.from.admits(ask.caller) {
                union.looks_inside |= rule.credential.is_some();
                union.add(at, rule);
            }
        });
        union
    }

    /// Which part of a rule kept every rule from matching.
    fn why_not(&self, ask: &Connect<'_>) -> Reason {
        let mut program = false;
        self.index.each(ask.host, ask.port, |_| program = true);
        let mut port = false;
        self.index.each_host(ask.host, |_| port = true);
        match (program, port) {
            (true, _) if !self.only_denies(ask) => Reason::Program,
            (true, _) => Reason::NoRule,
            (false, true) => Reason::Port,
            (false, false) => Reason::NoRule,
        }
    }

    fn only_denies(&self, ask: &Connect<'_>) -> bool {
        let mut only = true;
        self.index.each(ask.host, ask.port, |at| only &= !self.rules[at as usize].form.admits());
        only
    }
}

fn admit(ask: &Connect<'_>, handling: Handling, rule: RuleId, grants: Grants) -> Admission {
    Admission { host: ask.host.clone(), port: ask.port, handling, rule, grants }
}

fn lowest<T: Ord>(held: Option<T>, new: T) -> Option<T> {
    Some(match held {
        Some(held) => held.min(new),
        None => new,
    })
}

impl Union {
    fn add(&mut self, at: u32, rule: &Rule) {
        let kind = match &rule.form {
            Form::Plain => &mut self.plain,
            Form::Raw => &mut self.raw,
            Form::Http { allow, .. } if !allow.is_empty() => &mut self.http,
            Form::Content(content) if content.says.admits() => &mut self.http,
            Form::Http { .. } | Form::Content(_) => return,
        };
        *kind = lowest(*kind, at);
        self.grants.add(&rule.grants);
    }

    /// More rules only add up: the widest handling that a rule gives, unless a deny must look inside.
    fn handling(&self) -> Option<(Handling, u32)> {
        let widest = self.raw.or(self.plain);
        match (self.looks_inside, self.raw, widest) {
            (false, Some(at), _) => Some((Handling::Raw, at)),
            (false, None, Some(at)) => Some((Handling::PassThrough, at)),
            _ => widest.or(self.http).map(|at| (Handling::Inspect, at)),
        }
    }
}

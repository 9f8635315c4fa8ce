//! Which statements decide a connection or request, and which rules come near to it. For explanations: this path may
//! take its time, and looks at every rule.

use super::explain::{likeness, missed_program, missed_request};
use super::{LOCAL, Network, Rule};
use crate::{Connect, Request, Statement};
use creel_types::{Host, RuleId};

impl Network {
    /// The denies that take a connection.
    pub(crate) fn denying(&self, ask: &Connect<'_>) -> Vec<Statement> {
        let taken = self.deny.iter().filter(|t| t.host.matches(ask.host) && t.ports.contain(ask.port));
        taken.map(|t| Statement::Deny(t.written.to_string())).collect()
    }

    /// The `http.deny` patterns that take a request.
    pub(crate) fn denying_requests(&self, ask: Option<&Request<'_>>) -> Vec<Statement> {
        let Some(ask) = ask else { return Vec::new() };
        let rules =
            self.rules.iter().filter(|r| r.leads_to(&ask.connect) && r.from.may_be(ask.connect.caller));
        rules
            .flat_map(|rule| {
                let taken = rule.form.denying(ask.method, ask.path);
                taken.map(|pattern| Statement::Denies(rule.id.clone(), pattern.to_owned()))
            })
            .collect()
    }

    /// The rules, and their patterns, that allow a connection or a request.
    pub(crate) fn allowing(&self, ask: &Connect<'_>, request: Option<&Request<'_>>) -> Vec<Statement> {
        let mut found = Vec::new();
        let rules = self.rules.iter().filter(|r| r.leads_to(ask) && r.from.admits(ask.caller));
        for rule in rules {
            let allows = request.is_none_or(|r| rule.form.allows(r.method, r.path)) && rule.form.admits();
            if !allows {
                continue;
            }
            found.push(Statement::Rule(rule.id.clone()));
            if let Some(request) = request {
                let patterns = rule.form.allowing(request.method, request.path);
                found.extend(patterns.map(|p| Statement::Allows(rule.id.clone(), p.to_owned())));
            }
        }
        found
    }

    /// What leads a connection to the model router.
    pub(crate) fn capturing(&self, ask: &Connect<'_>) -> Vec<Statement> {
        let local = matches!(ask.host, Host::Name(name) if name.as_str() == LOCAL);
        if local { vec![Statement::Models("default".to_owned())] } else { self.captured(ask.host, ask.port) }
    }

    fn captured(&self, host: &Host, port: u16) -> Vec<Statement> {
        let taken = self.captures.iter().filter(|t| t.host.matches(host) && t.ports.contain(port));
        taken.map(|t| Statement::Capture(t.written.to_string())).collect()
    }

    /// The rules that miss by the least, the nearest first, and by what they miss.
    pub(crate) fn near(&self, ask: &Connect<'_>, request: Option<&Request<'_>>) -> Vec<(RuleId, String)> {
        let rules = self.rules.iter().filter(|rule| rule.form.admits());
        let mut found: Vec<(usize, &RuleId, String)> = rules
            .filter_map(|rule| {
                let (far, missed) = miss(rule, ask, request)?;
                Some((far, &rule.id, missed))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, rule, missed)| (rule.clone(), missed)).collect()
    }
}

/// How far a rule is from allowing this, and by what; `None` when it is about something else, or allows it.
fn miss(rule: &Rule, ask: &Connect<'_>, request: Option<&Request<'_>>) -> Option<(usize, String)> {
    let mut missed = Vec::new();
    let mut far = 0;
    let same_host: Vec<&str> =
        rule.to.iter().filter(|t| t.host.matches(ask.host)).map(|t| &*t.written).collect();
    if same_host.is_empty() {
        let Host::Name(name) = ask.host else { return None };
        let like = rule.to.iter().filter_map(|t| Some((likeness(name.as_str(), &t.host)?, &*t.written)));
        let (distance, written) = like.min()?;
        far += 4 + distance;
        missed.push(format!("the host: it admits {written}"));
    } else if !rule.leads_to(ask) {
        far += 2;
        missed.push(format!("port {}: it admits {}", ask.port, same_host.join(", ")));
    }
    if !rule.from.admits(ask.caller) {
        far += 2;
        missed.push(missed_program(ask.caller));
    }
    if let Some(request) = request.filter(|r| !rule.form.allows(r.method, r.path)) {
        far += 2;
        missed.push(missed_request(rule, request));
    }
    (!missed.is_empty()).then(|| (far, missed.join(", and ")))
}

impl Rule {
    /// Whether one of its targets is this host at this port.
    pub(crate) fn leads_to(&self, ask: &Connect<'_>) -> bool {
        self.to.iter().any(|t| t.host.matches(ask.host) && t.ports.contain(ask.port))
    }
}

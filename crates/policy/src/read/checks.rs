//! What only the whole policy shows: rules that can never match, denies that deny nothing (law 2).

use super::inference::Finished;
use super::network::{Draft, ReadRule};
use crate::network::{Form, Index, Ports, Target};
use crate::pattern::{HostPattern, HttpPattern};
use crate::problems::{Problems, Span};
use crate::process::ExecRules;
use creel_types::Host;

/// Reports rules and denies without effect.
pub(super) fn check(network: &Draft, inference: &Finished, problems: &mut Problems) {
    let rules = Index::new(network.rules.iter().map(|r| r.rule.to.as_slice()));
    for read in &network.rules {
        never_matches(read, network, problems);
        captured(read, inference, problems);
        swallowed(read, problems);
        denies_no_request(read, network, problems);
    }
    // A document that is included may deny as a guard, whatever the including one admits.
    for (span, deny) in network.deny.iter().filter(|(span, _)| !network.included.contains(&span.file)) {
        let captures = inference.targets.iter().any(|(_, t)| overlaps(deny, t));
        if !captures && !hits(deny, network, &rules) {
            problems
                .add(*span, format!("`{}` denies nothing: no rule admits it", deny.written))
                .hint("leave it out; what no rule admits is refused");
        }
    }
}

/// In a mount namespace of its own a process gives any file any name, and it may write the memory of others: who it is
/// means nothing then.
pub(super) fn nested(span: Span, network: &Draft, exec: &ExecRules, problems: &mut Problems) {
    if exec.allow.is_some() || !exec.deny.is_empty() {
        problems
            .add(span, "`nested: true` beside `exec`: what may make mounts can give a program any name")
            .hint("leave out one of the two");
    }
    if let Some(read) = network.rules.iter().find(|read| read.rule.from.0.is_some()) {
        problems
            .add(
                span,
                format!(
                    "`nested: true` beside `from` in rule `{}`: what may make mounts can be any program",
                    read.rule.id
                ),
            )
            .hint("leave out one of the two");
    }
}

fn covers(a: &Target, b: &Target) -> bool {
    a.ports.covers(b.ports) && a.host.covers(&b.host)
}

fn overlaps(a: &Target, b: &Target) -> bool {
    a.ports.overlaps(b.ports) && a.host.overlaps(&b.host)
}

/// The one host and port that a target is, so that an index can be asked for it.
fn exact(target: &Target) -> Option<(Host, u16)> {
    let Ports::One(port) = target.ports else { return None };
    match &target.host {
        HostPattern::Name(name) => Some((Host::Name(name.clone()), port)),
        HostPattern::Addr(addr) => Some((Host::Addr(*addr), port)),
        HostPattern::Wild(_) | HostPattern::Net(_) => None,
    }
}

fn asks(index: &Index, host: &Host, port: u16) -> bool {
    let mut found = false;
    index.each(host, port, |_| found = true);
    found
}

/// Whether a deny takes something from a rule.
fn hits(deny: &Target, network: &Draft, rules: &Index) -> bool {
    match exact(deny) {
        Some((host, port)) => asks(rules, &host, port),
        None => network.rules.iter().any(|r| r.rule.to.iter().any(|t| overlaps(deny, t))),
    }
}

/// A document that denies all of what it also admits means one of the two. What another document admits, it may
/// well deny whole: that is what a deny is for.
fn never_matches(read: &ReadRule, network: &Draft, problems: &mut Problems) {
    for (target, span) in read.rule.to.iter().zip(&read.to) {
        if network.deny.iter().any(|(s, d)| s.file == span.file && covers(d, target)) {
            problems
                .add(*span, format!("`{}` can never match: `network.deny` takes all of it", target.written))
                .hint("leave out one of the two");
        }
    }
}

/// A document that captures a host and also lets it be reached directly means one of the two.
fn captured(read: &ReadRule, inference: &Finished, problems: &mut Problems) {
    for (target, span) in read.rule.to.iter().zip(&read.to) {
        let capture = inference.targets.iter().find(|(s, c)| s.file == span.file && covers(c, target));
        if let Some((_, capture)) = capture {
            let message = format!(
                "`{}` can never match: `inference.capture` takes `{}`",
                target.written, capture.written
            );
            problems.add(*span, message).hint("leave out one of the two");
        }
    }
}

/// An allow that a deny of the same rule takes whole.
fn swallowed(read: &ReadRule, problems: &mut Problems) {
    let Form::Http { allow, deny } = &read.rule.form else { return };
    for (pattern, span) in allow.iter().zip(&read.allow) {
        if let Some(taker) = deny.iter().find(|d| d.denies_all(pattern)) {
            problems
                .add(
                    *span,
                    format!(
                        "`{}` can never match: `deny: {}` takes all of it",
                        pattern.written, taker.written
                    ),
                )
                .hint("leave out one of the two");
        }
    }
}

fn denies_no_request(read: &ReadRule, network: &Draft, problems: &mut Problems) {
    let Form::Http { deny, .. } = &read.rule.form else { return };
    for (pattern, span) in deny.iter().zip(&read.deny) {
        let own = has_effect(pattern, read, read);
        if !own && !network.rules.iter().any(|other| has_effect(pattern, read, other)) {
            problems
                .add(
                    *span,
                    format!("`{}` denies nothing: no rule allows such a request there", pattern.written),
                )
                .hint("leave it out; what no rule allows is refused");
        }
    }
}

fn has_effect(deny: &HttpPattern, rule: &ReadRule, other: &ReadRule) -> bool {
    let requests = match &other.rule.form {
        Form::Http { allow, .. } => allow.iter().any(|a| deny.may_deny(a)),
        Form::Plain | Form::Raw => true,
    };
    requests && rule.rule.to.iter().any(|t| other.rule.to.iter().any(|o| overlaps(t, o)))
}

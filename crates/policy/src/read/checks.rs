//! What only the whole policy shows: rules that can never match, denies that deny nothing (law 2).

use super::inference::Finished;
use super::network::{Draft, ReadRule};
use crate::network::{Form, Index, Ports, Says, Target};
use crate::pattern::{CallPattern, HostPattern, HttpPattern};
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
        says_nothing(read, network, problems);
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
    let (allow, deny) = (read.rule.form.heads(), read.rule.form.denials());
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
    let deny = read.rule.form.denials();
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
        Form::Content(content) => match &content.allow {
            Some(allow) => allow.iter().any(|a| deny.may_deny(a)),
            None => content.says.admits(),
        },
    };
    requests && meet(rule, other)
}

/// Whether two rules have a target in common.
fn meet(rule: &ReadRule, other: &ReadRule) -> bool {
    rule.rule.to.iter().any(|t| other.rule.to.iter().any(|o| overlaps(t, o)))
}

/// Heads that the protocol never has, calls that a deny of the same rule takes whole, denies that deny no call.
fn says_nothing(read: &ReadRule, network: &Draft, problems: &mut Problems) {
    let Some(content) = read.rule.form.content() else { return };
    let says = &content.says;
    for (pattern, span) in read.rule.form.heads().iter().zip(&read.allow) {
        if !says.methods().iter().any(|method| pattern.covers_method(method)) {
            let message =
                format!("`{}` can never match: `{}` has no such request", pattern.written, says.key());
            problems.add(*span, message).hint(format!("it has {}", says.methods().join(", ")));
        }
    }
    for (pattern, span) in says.allowances().iter().zip(&read.says.allow) {
        if let Some(taker) = says.denials().iter().find(|d| d.takes_all_of(pattern)) {
            let message =
                format!("`{}` can never match: `deny: {}` takes all of it", pattern.written, taker.written);
            problems.add(*span, message).hint("leave out one of the two");
        }
    }
    for (deny, span) in says.denials().iter().zip(&read.says.deny) {
        if !network.rules.iter().any(|other| meet(read, other) && lets_call(deny, says, &other.rule.form)) {
            problems
                .add(*span, format!("`{}` denies nothing: no rule allows such a call there", deny.written))
                .hint("leave it out; what no rule allows is refused");
        }
    }
}

/// Whether a deny may take something from what a rule allows.
fn lets_call(deny: &CallPattern, says: &Says, other: &Form) -> bool {
    match other {
        Form::Plain | Form::Raw => true,
        Form::Http { allow, .. } => !allow.is_empty(),
        Form::Content(content) if content.says.key() == says.key() => {
            content.says.allowances().iter().any(|allow| deny.may_take_from(allow))
        }
        Form::Content(content) => content.says.admits(),
    }
}

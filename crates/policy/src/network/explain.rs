//! Refusals: the nearest rule, what it missed by, and the smallest change. This path may take its time.

use super::{Form, Network, Rule};
use crate::pattern::HostPattern;
use crate::suggest::distance;
use crate::{Connect, Layer, NearMiss, Reason, Refusal, Request};
use creel_types::{Caller, Host};
use std::path::Path;

impl Network {
    pub(super) fn refuse_connect(&self, ask: &Connect<'_>, reason: Reason) -> Refusal {
        let (nearest, suggestion) = match &reason {
            Reason::Denied(entry) => {
                (None, format!("network:\n  deny: []   # leave out `{entry}`, which beats every rule"))
            }
            Reason::Program => self.other_program(ask),
            Reason::Port => self.other_port(ask),
            _ => (self.similar_host(ask), new_rule(ask)),
        };
        Refusal { layer: Layer::Network, rule: None, reason, compared: compared(ask), nearest, suggestion }
    }

    pub(super) fn refuse_request(&self, ask: &Request<'_>) -> Refusal {
        let mut candidates = Vec::new();
        self.index.each(ask.connect.host, ask.connect.port, |at| candidates.push(at));
        candidates.sort_unstable();
        let for_caller = candidates.iter().map(|at| &self.rules[*at as usize]);
        let Some(rule) = for_caller.into_iter().find(|r| r.from.admits(ask.connect.caller)) else {
            return self.refuse_connect(&ask.connect, self.why_not(&ask.connect));
        };
        let line = format!("{} {}", ask.method, ask.path.path());
        Refusal {
            layer: Layer::Network,
            rule: None,
            reason: Reason::Request,
            compared: format!("{line} at {}", compared(&ask.connect)),
            nearest: NearMiss::boxed(&rule.id, missed_request(rule, ask)),
            suggestion: match line.contains('*')
                || rule.form.content().is_some_and(|c| !c.is_narrowed_from(ask.method))
            {
                // In a policy it would be a pattern that allows more than was asked for; and a rule about what is in
                // requests would be narrowed by it.
                true => String::new(),
                false => add_to(rule, &format!("http: {{ allow: [{}] }}", quoted(&line))),
            },
        }
    }

    pub(super) fn refuse_denied_request(&self, ask: &Request<'_>, at: u32, pattern: &str) -> Refusal {
        let rule = &self.rules[at as usize];
        Refusal {
            layer: Layer::Network,
            rule: Some(rule.id.clone()),
            reason: Reason::RequestDenied(pattern.to_owned()),
            compared: format!("{} {} at {}", ask.method, ask.path.path(), compared(&ask.connect)),
            nearest: None,
            suggestion: format!(
                "network:\n  rules:\n    - name: {}\n      http: {{ deny: [] }}   # leave out {}, which beats every allow",
                rule.id,
                quoted(pattern)
            ),
        }
    }

    fn other_program(&self, ask: &Connect<'_>) -> (Option<Box<NearMiss>>, String) {
        let mut first: Option<u32> = None;
        self.index.each(ask.host, ask.port, |at| {
            if self.rules[at as usize].form.admits() {
                first = Some(first.map_or(at, |held| held.min(at)));
            }
        });
        let Some(rule) = first.map(|at| &self.rules[at as usize]) else { return (None, new_rule(ask)) };
        let near = NearMiss::boxed(&rule.id, missed_program(ask.caller));
        let fix = match ask.caller.program().map(|p| (p, p.path.to_string_lossy())) {
            // A `*` in the name of a file would be a pattern in the policy.
            Some((program, path)) if program.foreign_code.is_none() && !path.contains('*') => {
                add_to(rule, &format!("from: [{}]", quoted(&path)))
            }
            _ => String::new(),
        };
        (near, fix)
    }

    fn other_port(&self, ask: &Connect<'_>) -> (Option<Box<NearMiss>>, String) {
        let mut first: Option<u32> = None;
        self.index.each_host(ask.host, |at| first = Some(first.map_or(at, |held| held.min(at))));
        let Some(rule) = first.map(|at| &self.rules[at as usize]) else { return (None, new_rule(ask)) };
        let admitted: Vec<&str> =
            rule.to.iter().filter(|t| t.host.matches(ask.host)).map(|t| &*t.written).collect();
        let missed_by = format!("port {}: it admits {}", ask.port, admitted.join(", "));
        // To widen a rule that lets any bytes through is never the smallest change.
        let fix = match rule.form {
            Form::Raw => new_rule(ask),
            _ => add_to(rule, &format!("to: [{}]", quoted(&target(ask.host, ask.port)))),
        };
        (NearMiss::boxed(&rule.id, missed_by), fix)
    }

    /// The rule whose target reads most like the host.
    fn similar_host(&self, ask: &Connect<'_>) -> Option<Box<NearMiss>> {
        let Host::Name(name) = ask.host else { return None };
        let targets = self.rules.iter().flat_map(|rule| rule.to.iter().map(move |t| (rule, t)));
        let near = targets.filter_map(|(rule, t)| Some((likeness(name.as_str(), &t.host)?, rule, t)));
        let (_, rule, target) = near.min_by_key(|(score, ..)| *score)?;
        let missed_by = format!("the host: it admits {}", target.written);
        NearMiss::boxed(&rule.id, missed_by)
    }
}

/// How far `name` is from what the pattern matches: 0 is a wildcard of one label too few or too many.
pub(super) fn likeness(name: &str, pattern: &HostPattern) -> Option<usize> {
    match pattern {
        HostPattern::Wild(wild) => {
            let suffix = wild.suffix();
            let below = name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            (!suffix.is_empty() && below).then_some(0)
        }
        HostPattern::Name(known) => {
            let known = known.as_str();
            if name.ends_with(&format!(".{known}")) || known.ends_with(&format!(".{name}")) {
                return Some(1);
            }
            let far = distance(name, known, 2)?;
            Some(far + 1)
        }
        HostPattern::Addr(_) | HostPattern::Net(_) => None,
    }
}

pub(super) fn missed_program(caller: &Caller) -> String {
    match caller.program() {
        None => "the program, which could not be told".to_owned(),
        Some(program) => match &program.foreign_code {
            Some(code) => {
                format!("the program {}, which runs code from {}", shown(&program.path), shown(code))
            }
            None => format!("the program {}", shown(&program.path)),
        },
    }
}

pub(super) fn missed_request(rule: &Rule, ask: &Request<'_>) -> String {
    let allow = match &rule.form {
        Form::Http { allow, .. } => allow,
        Form::Content(content) => match &content.allow {
            Some(allow) => allow,
            None => return format!("the request: it allows what `{}` says", content.says.key()),
        },
        Form::Plain | Form::Raw => return "the request".to_owned(),
    };
    if let Some(near) = allow.iter().find(|p| p.path_matches(ask.path)) {
        return format!("the method {}: it allows {}", ask.method, near.written);
    }
    if let Some(near) = allow.iter().find(|p| p.covers_method(ask.method)) {
        return format!("the path {}: it allows {}", ask.path.path(), near.written);
    }
    "the method and the path".to_owned()
}

/// A path without what a terminal would obey: the agent names its files.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

pub(super) fn compared(ask: &Connect<'_>) -> String {
    match ask.caller.program() {
        Some(program) => format!("{}:{} from {}", ask.host, ask.port, shown(&program.path)),
        None => format!("{}:{} from an unknown program", ask.host, ask.port),
    }
}

fn target(host: &Host, port: u16) -> String {
    if port == 443 { host.to_string() } else { format!("{host}:{port}") }
}

fn new_rule(ask: &Connect<'_>) -> String {
    let name = ask.host.to_string().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let to = quoted(&target(ask.host, ask.port));
    format!("network:\n  rules:\n    - name: {}\n      to: [{to}]", name.trim_matches('-'))
}

pub(super) fn add_to(rule: &Rule, line: &str) -> String {
    format!("network:\n  rules:\n    - name: {}\n      {line}   # add to the rule", rule.id)
}

/// A text as it stands in a YAML flow sequence.
pub(super) fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && text.contains(|c: char| c.is_ascii_alphabetic());
    if plain { text.to_owned() } else { format!("{text:?}") }
}

//! What can be reached, and what can be carried there.

use super::Row;
use crate::network::{Form, From, Program, Rule};
use crate::{Places, Policy, Statement};

pub(super) fn reach(policy: &Policy, places: &Places) -> Vec<Row> {
    let mut rows: Vec<Row> = policy.network.rules().iter().map(|rule| reached(rule, places)).collect();
    for target in policy.network.captures() {
        let what = Statement::Capture(target.written.to_string());
        rows.push(Row::by(
            &*target.written,
            "ends at the model router, which calls the backend",
            &what,
            places,
        ));
    }
    if policy.inference.is_served() {
        rows.push(Row::always("inference.local", "the model router"));
    }
    for target in policy.network.denies() {
        let what = Statement::Deny(target.written.to_string());
        rows.push(Row::by(format!("not {}", target.written), "whatever the rules say", &what, places));
    }
    rows
}

fn reached(rule: &Rule, places: &Places) -> Row {
    let list = |patterns: &[crate::pattern::HttpPattern]| {
        patterns.iter().map(|p| p.written.to_string()).collect::<Vec<_>>().join(", ")
    };
    let what = rule.to.iter().map(|t| &*t.written).collect::<Vec<_>>().join(" ");
    let mut how = match &rule.form {
        Form::Plain if rule.credential.is_some() => "every HTTP request".to_owned(),
        Form::Plain => "TLS that nobody opens, and every HTTP request".to_owned(),
        Form::Raw => "any bytes, which nobody looks at".to_owned(),
        Form::Http { allow, deny } if allow.is_empty() => format!("refuses {}", list(deny)),
        Form::Http { allow, deny } if deny.is_empty() => list(allow),
        Form::Http { allow, deny } => format!("{}; never {}", list(allow), list(deny)),
        Form::Content(content) => content.in_words(),
    };
    if let Some(name) = &rule.credential {
        how += &format!("; with the credential {name}");
    }
    how += &format!("; {}", rule.from.in_words());
    let named: Vec<String> = rule.grants.iter().map(|grant| grant.net.to_string()).collect();
    if !named.is_empty() {
        how += &format!("; its names may also lead to {}", named.join(", "));
    }
    let what = if rule.form.admits() { what } else { format!("not all of {what}") };
    Row::by(what, how, &Statement::Rule(rule.id.clone()), places)
}

/// Methods whose requests carry little: what stands in the address and the headers.
const QUIET: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

pub(super) fn send(policy: &Policy, places: &Places) -> Vec<Row> {
    let rules = policy.network.rules().iter().filter(|rule| rule.form.admits());
    let mut rows: Vec<Row> = rules
        .map(|rule| {
            let what = rule.to.iter().map(|t| &*t.written).collect::<Vec<_>>().join(" ");
            Row::by(what, carried(rule), &Statement::Rule(rule.id.clone()), places)
        })
        .collect();
    for backend in policy.inference.backends().iter().filter(|_| policy.inference.is_served()) {
        let how = "whatever a model is asked";
        rows.push(Row::always(format!("{} ({})", backend.base_url, backend.name), how));
    }
    rows
}

fn carried(rule: &Rule) -> String {
    let Form::Http { allow, .. } = &rule.form else {
        return match &rule.form {
            Form::Plain if rule.credential.is_some() => "anything, in requests".to_owned(),
            Form::Raw => "anything, unseen".to_owned(),
            Form::Content(content) => format!("what its `{}` allows", content.says.key()),
            _ => "anything, within TLS that nobody opens".to_owned(),
        };
    };
    let loud = |p: &&crate::pattern::HttpPattern| {
        p.methods().is_none_or(|methods| methods.iter().any(|m| !QUIET.contains(&&**m)))
    };
    let bodies: Vec<&str> = allow.iter().filter(loud).map(|p| &*p.written).collect();
    match bodies.is_empty() {
        true => "what fits into the addresses and headers of its requests".to_owned(),
        false => format!("bodies of {}", bodies.join(", ")),
    }
}

impl From {
    /// For which programs.
    pub(crate) fn in_words(&self) -> String {
        let Some(programs) = &self.0 else { return "by any program".to_owned() };
        format!("by {}", programs.iter().map(Program::in_words).collect::<Vec<_>>().join(", "))
    }
}

impl Program {
    fn in_words(&self) -> String {
        match self {
            Self::Path(pattern) => pattern.to_string(),
            Self::Digest(digest) => format!("sha256:{digest}"),
            Self::Tree(inner) => format!("{} and what it starts", inner.in_words()),
        }
    }
}

//! Credentials: where secrets are, and which rules bind them.

use super::inference::key;
use super::network;
use crate::network::Form;
use crate::problems::{Problems, Span};
use crate::suggest;
use crate::yaml::Node;
use crate::{Credential, Key, Operator};
use std::collections::HashMap;

/// More than anybody has; each is looked for in every request that is opened.
const MOST: usize = 64;

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    read: Vec<(Credential, Span)>,
    names: HashMap<String, Span>,
    variables: HashMap<String, Span>,
}

impl Draft {
    pub(super) fn add(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        for item in node.items() {
            self.credential(item, operator, problems);
        }
    }

    fn credential(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let name = node.get("name").and_then(|n| self.name(n, problems));
        let secret = node.get("secret").and_then(|n| secret(n, operator, problems));
        let variable = self.variable(node, secret.as_ref(), problems);
        if self.read.len() >= MOST {
            problems.add(node.span, format!("more than {MOST} credentials"));
            return;
        }
        if let (Some(name), Some(secret), Some(variable)) = (name, secret, variable) {
            self.read.push((Credential { name, secret, variable }, node.span));
        }
    }

    fn name(&mut self, node: &Node, problems: &mut Problems) -> Option<String> {
        let text = node.text().filter(|t| !t.is_empty())?;
        if text.len() > 64 || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            problems
                .add(node.span, format!("`{text}` is not a name for a credential"))
                .hint("use 1 to 64 of A-Z, a-z, 0-9, '-', '_', '.'");
            return None;
        }
        once(&mut self.names, text, node.span, "credential named", problems);
        Some(text.to_owned())
    }

    /// The variable that is said, or the one that the secret comes from.
    fn variable(&mut self, node: &Node, secret: Option<&Key>, problems: &mut Problems) -> Option<String> {
        let (text, span) = match (node.get("env"), secret?) {
            (Some(said), _) => (said.text().filter(|t| !t.is_empty())?, said.span),
            (None, Key::Env(variable)) => (variable.as_str(), node.span),
            (None, _) => {
                problems
                    .add(
                        node.span,
                        "a credential from a file needs `env`: the variable with its placeholder inside",
                    )
                    .hint("as in `env: GITHUB_TOKEN`");
                return None;
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !text.chars().all(plain) {
            problems.add(span, format!("`{text}` is not a name for a variable"));
            return None;
        }
        once(&mut self.variables, text, span, "credential in the variable", problems);
        Some(text.to_owned())
    }

    /// Every credential that a rule names must exist, and every one must be bound by a rule.
    pub(super) fn finish(self, network: &network::Draft, problems: &mut Problems) -> Vec<Credential> {
        for read in &network.rules {
            let (Some(name), Some(span)) = (&read.rule.credential, read.credential) else { continue };
            if !self.names.contains_key(&**name) {
                let known = self.names.keys().map(String::as_str);
                let hint = suggest::nearest(name, known).map_or_else(
                    || format!("add it: `credentials: [{{ name: {name}, secret: \"env:VARIABLE\" }}]`"),
                    |meant| format!("did you mean `{meant}`?"),
                );
                problems.add(span, format!("no credential is named `{name}`")).hint(hint);
            }
            if matches!(read.rule.form, Form::Raw) {
                problems
                    .add(span, "`raw: true` and `credential` contradict each other")
                    .hint("a credential is put into HTTP requests, which `raw` lets through unseen");
            }
            if !read.rule.form.admits() {
                problems
                    .add(span, "a rule that only denies cannot bind a credential")
                    .hint("put it on the rule that allows");
            }
        }
        let bound = |name: &str| network.rules.iter().any(|r| r.rule.credential.as_deref() == Some(name));
        for (credential, span) in &self.read {
            if !bound(&credential.name) {
                problems
                    .add(*span, format!("no rule binds the credential `{}`", credential.name))
                    .hint(format!("add `credential: {}` to a rule, or leave it out", credential.name));
            }
        }
        self.read.into_iter().map(|(credential, _)| credential).collect()
    }
}

fn secret(node: &Node, operator: &Operator, problems: &mut Problems) -> Option<Key> {
    match key(node, operator, problems)? {
        Key::None => {
            problems
                .add(node.span, "a credential without a secret")
                .hint("say where it is: env:VARIABLE or file:PATH");
            None
        }
        found => Some(found),
    }
}

fn once(seen: &mut HashMap<String, Span>, text: &str, span: Span, what: &str, problems: &mut Problems) {
    if let Some(first) = seen.insert(text.to_owned(), span) {
        let place = problems.place(first);
        problems.add(span, format!("a second {what} `{text}`")).hint(format!("the first is at {place}"));
    }
}

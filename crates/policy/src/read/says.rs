//! What a rule says about what is in requests: `mcp`, `jsonrpc`, `websocket`, `graphql`, `git`.

use super::target::report;
use crate::network::{GitSays, GraphqlSays, McpSays, PushPattern, RpcSays, Says, SocketSays};
use crate::pattern::{CallPattern, NamePattern, RepositoryPattern};
use crate::problems::{Problems, Span};
use crate::yaml::Node;
use std::collections::HashSet;

/// Where its entries stand.
#[derive(Default)]
pub(super) struct Places {
    pub allow: Vec<Span>,
    pub deny: Vec<Span>,
}

const KEYS: [&str; 5] = ["mcp", "jsonrpc", "websocket", "graphql", "git"];

/// The one protocol of a rule, if it has one.
pub(super) fn read(rule: &Node, raw: Option<&Node>, problems: &mut Problems) -> Option<(Says, Places)> {
    let mut found = KEYS.iter().filter_map(|key| Some((*key, rule.get(key)?)));
    let (key, node) = found.next()?;
    for (other, second) in found {
        problems
            .add(second.span.first(), format!("`{key}` and `{other}` in one rule"))
            .hint("write a rule for each: rules for one target add up");
    }
    if raw.is_some() {
        problems
            .add(node.span.first(), format!("`raw: true` and `{key}` contradict each other"))
            .hint("raw lets any bytes through unseen; keep one of the two");
    }
    if node.entries().is_empty() {
        problems.add(node.span, format!("`{key}` says nothing")).hint("list what it allows or denies");
    }
    Some(match key {
        "mcp" => mcp(node, problems),
        "jsonrpc" => jsonrpc(node),
        "websocket" => websocket(node),
        "graphql" => graphql(node, problems),
        _ => (git(node, problems), Places::default()),
    })
}

fn mcp(node: &Node, problems: &mut Problems) -> (Says, Places) {
    let calls = |key, make| calls(node.list(key), ("tool", "arguments"), make);
    let (call, allow) = calls("call", CallPattern::exact);
    let (deny, denied) = calls("deny", CallPattern::wide);
    let methods = names(node.list("methods"), problems);
    let server = names(node.list("server"), problems);
    for item in node.list("methods").iter().filter(|item| item.text() == Some("tools/call")) {
        problems.add(item.span, "`tools/call` is what `call` is about").hint("name the tools in `call`");
    }
    (Says::Mcp(McpSays { call, deny, methods, server }), Places { allow, deny: denied })
}

fn jsonrpc(node: &Node) -> (Says, Places) {
    let calls = |key, make| calls(node.list(key), ("method", "params"), make);
    let (allow, allowed) = calls("allow", CallPattern::exact);
    let (deny, denied) = calls("deny", CallPattern::wide);
    (Says::Rpc(RpcSays { allow, deny }), Places { allow: allowed, deny: denied })
}

fn websocket(node: &Node) -> (Says, Places) {
    let texts = |key, make| calls(node.list(key), ("text", ""), make);
    let (allow, allowed) = texts("allow", CallPattern::exact);
    let (deny, denied) = texts("deny", CallPattern::wide);
    (Says::Socket(SocketSays { allow, deny }), Places { allow: allowed, deny: denied })
}

fn graphql(node: &Node, problems: &mut Problems) -> (Says, Places) {
    let mut fields = |key, make: Make| {
        let mut read = (Vec::new(), Vec::new());
        for item in node.list(key) {
            let named = if item.entries().is_empty() { Some(item) } else { item.get("run") };
            let Some((text, span)) = named.and_then(|n| Some((n.text()?, n.span))) else { continue };
            let Some(text) = field(text, span, problems) else { continue };
            let names: Vec<&str> = item.list("name").iter().filter_map(Node::text).collect();
            let conditions: &[_] = if names.is_empty() { &[] } else { &[("name", names)] };
            read.0.push(make(&text, conditions));
            read.1.push(item.span);
        }
        (read.0.into_boxed_slice(), read.1)
    };
    let (allow, allowed) = fields("allow", CallPattern::exact);
    let (deny, denied) = fields("deny", CallPattern::wide);
    (Says::Graphql(GraphqlSays { allow, deny }), Places { allow: allowed, deny: denied })
}

/// `TYPE FIELD`, in the one spelling that is compared.
fn field(text: &str, span: Span, problems: &mut Problems) -> Option<String> {
    let mut words = text.split_whitespace();
    let (kind, name) = (words.next(), words.next());
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '*'));
    match (kind, name, words.next()) {
        (Some(kind @ ("query" | "mutation" | "subscription" | "*")), Some(name), None) if is_name(name) => {
            Some(format!("{kind} {name}"))
        }
        _ => {
            problems.add(span, format!("`{text}` is not a root field of an operation")).hint(
                "write `query`, `mutation`, `subscription` or `*`, and a field, as in `mutation createIssue`",
            );
            None
        }
    }
}

fn git(node: &Node, problems: &mut Problems) -> Says {
    let mut repository = |node: &Node| {
        let text = node.text().filter(|t| !t.is_empty())?;
        RepositoryPattern::new(text).map_err(|error| report(error, node.span, problems)).ok()
    };
    let fetch = node.list("fetch").iter().filter_map(&mut repository).collect();
    let push = node.list("push").iter().filter_map(|item| {
        let repository = repository(if item.entries().is_empty() { item } else { item.get("repository")? })?;
        let refs = item.get("refs").map(|refs| {
            refs.items()
                .iter()
                .filter_map(|r| Some((r.text()?.into(), NamePattern::new(r.text()?))))
                .collect()
        });
        Some(PushPattern { repository, refs })
    });
    let says = GitSays { fetch, push: push.collect() };
    for reference in node.list("push").iter().flat_map(|item| item.list("refs")) {
        if reference.text().is_some_and(|text| !text.starts_with("refs/") && !text.starts_with('*')) {
            problems
                .add(reference.span, format!("`{}` can never match", reference.text().unwrap_or_default()))
                .hint("write the whole name, as in `refs/heads/main` or `refs/heads/agent/*`");
        }
    }
    Says::Git(says)
}

type Make = fn(&str, &[(&str, Vec<&str>)]) -> CallPattern;

/// Entries that are a name, or a name with conditions.
fn calls(items: &[Node], (name, conditions): (&str, &str), make: Make) -> (Box<[CallPattern]>, Vec<Span>) {
    let mut read = (Vec::new(), Vec::new());
    for item in items {
        let named = if item.entries().is_empty() { Some(item) } else { item.get(name) };
        let Some(text) = named.and_then(Node::text).filter(|t| !t.is_empty()) else { continue };
        let given = item.get(conditions).map(Node::entries).unwrap_or_default();
        let arguments: Vec<(&str, Vec<&str>)> = given
            .iter()
            .map(|(key, values)| (key.text.as_str(), values.items().iter().filter_map(Node::text).collect()))
            .collect();
        read.0.push(make(text, &arguments));
        read.1.push(item.span);
    }
    (read.0.into(), read.1)
}

/// Patterns over names, each once.
fn names(items: &[Node], problems: &mut Problems) -> Box<[NamePattern]> {
    let mut seen = HashSet::new();
    for item in items {
        if let Some(text) = item.text()
            && !seen.insert(text)
        {
            problems.add(item.span, format!("`{text}` is given twice"));
        }
    }
    items.iter().filter_map(Node::text).map(NamePattern::new).collect()
}

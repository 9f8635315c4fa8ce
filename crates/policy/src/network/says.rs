//! What a rule says about what is in a request: one protocol to a rule.

use crate::canonical::CanonicalPath;
use crate::content::TOOLS_CALL;
use crate::pattern::{CallPattern, GitAsk, HttpPattern, NamePattern, RepositoryPattern};
use crate::{Call, Family, Message, Reads, Request};

/// A rule's part about what is in a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Only in requests with such heads; `None` is any that the protocol has.
    pub allow: Option<Box<[HttpPattern]>>,
    pub deny: Box<[HttpPattern]>,
    pub says: Says,
}

/// The protocol, and what may be said in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Mcp(McpSays),
    Rpc(RpcSays),
    Socket(SocketSays),
    Graphql(GraphqlSays),
    Git(GitSays),
}

/// MCP over Streamable HTTP.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct McpSays {
    /// Tools that may be called.
    pub call: Box<[CallPattern]>,
    /// Tools that may not.
    pub deny: Box<[CallPattern]>,
    /// Methods beside those of every session.
    pub methods: Box<[NamePattern]>,
    /// What the server may ask of the client.
    pub server: Box<[NamePattern]>,
}

/// JSON-RPC 2.0 over HTTP.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RpcSays {
    pub allow: Box<[CallPattern]>,
    pub deny: Box<[CallPattern]>,
}

/// Texts over a WebSocket.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketSays {
    pub allow: Box<[CallPattern]>,
    pub deny: Box<[CallPattern]>,
}

/// Root fields of GraphQL operations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GraphqlSays {
    pub allow: Box<[CallPattern]>,
    pub deny: Box<[CallPattern]>,
}

/// Git over smart HTTP.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GitSays {
    pub fetch: Box<[RepositoryPattern]>,
    pub push: Box<[PushPattern]>,
}

/// Patterns of references, each as written and compiled.
pub(crate) type RefPatterns = Box<[(Box<str>, NamePattern)]>;

/// Repositories that may be pushed to, and which references there; `None` is any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PushPattern {
    pub repository: RepositoryPattern,
    pub refs: Option<RefPatterns>,
}

/// What every MCP session is made of: it begins, lists tools, reports and ends.
const SESSION: [&str; 8] = [
    "initialize",
    "ping",
    "tools/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "logging/setLevel",
];

impl Reads {
    pub(super) fn any(&self) -> bool {
        self.rpc || self.socket || self.graphql || self.git
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            rpc: self.rpc || other.rpc,
            socket: self.socket || other.socket,
            graphql: self.graphql || other.graphql,
            git: self.git || other.git,
            ..self
        }
    }
}

impl Content {
    /// Whether the rule's allow is for requests with this head.
    pub(super) fn is_for(&self, ask: &Request<'_>) -> bool {
        self.says.admits()
            && self.says.methods().contains(&ask.method)
            && self.is_within(ask.method, ask.path)
            && match &self.says {
                Says::Git(git) => git.limits(ask.method, ask.path),
                _ => true,
            }
    }

    pub(super) fn is_within(&self, method: &str, path: &CanonicalPath) -> bool {
        self.allow.as_deref().is_none_or(|allow| allow.iter().any(|p| p.allows(method, path)))
    }

    /// Whether the head alone says enough to allow the request.
    pub(super) fn allows_head(&self, method: &str, path: &CanonicalPath) -> bool {
        let Says::Git(git) = &self.says else { return false };
        git.allows_head(method, path) && self.is_within(method, path)
    }

    /// Whether one more head would allow such a request.
    pub(super) fn is_narrowed_from(&self, method: &str) -> bool {
        self.allow.is_some() && self.says.methods().contains(&method)
    }

    /// Adds what has to be read for the rule's allow.
    pub(super) fn asks(&self, ask: &Request<'_>, reads: &mut Reads) {
        if self.is_for(ask) {
            self.says.reads(reads);
        }
    }

    /// Adds what has to be read for the rule's deny, which holds for every head.
    pub(super) fn guards(&self, reads: &mut Reads) {
        if self.says.has_deny() {
            self.says.reads(reads);
        }
    }
}

impl Content {
    /// For a person: what it allows and never does.
    pub(crate) fn in_words(&self) -> String {
        let written =
            |list: &[CallPattern]| list.iter().map(|p| p.written.to_string()).collect::<Vec<_>>().join(", ");
        let key = self.says.key();
        let mut words = match &self.says {
            Says::Git(git) => format!("{key}: {}", git.in_words()),
            says if says.admits() => format!("{key}: {}", written(says.allowances())),
            _ => format!("{key}: only refuses"),
        };
        if self.says.has_deny() {
            words += &format!("; never {}", written(self.says.denials()));
        }
        if let Some(heads) = &self.allow {
            let heads: Vec<&str> = heads.iter().map(|p| &*p.written).collect();
            words += &format!("; in {}", heads.join(", "));
        }
        words
    }
}

impl Says {
    /// The methods of requests that the protocol has.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Mcp(_) => &["POST", "GET", "DELETE"],
            Self::Rpc(_) | Self::Graphql(_) => &["POST"],
            Self::Socket(_) => &["GET"],
            Self::Git(_) => &["GET", "POST"],
        }
    }

    /// What its messages are.
    pub(crate) fn family(&self) -> Family {
        match self {
            Self::Mcp(_) | Self::Rpc(_) => Family::Rpc,
            Self::Socket(_) => Family::Socket,
            Self::Graphql(_) => Family::Graphql,
            Self::Git(_) => Family::Git,
        }
    }

    /// Its key in a policy.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Mcp(_) => "mcp",
            Self::Rpc(_) => "jsonrpc",
            Self::Socket(_) => "websocket",
            Self::Graphql(_) => "graphql",
            Self::Git(_) => "git",
        }
    }

    /// The key of its list of calls.
    pub(crate) fn list(&self) -> &'static str {
        match self {
            Self::Mcp(_) => "call",
            Self::Rpc(_) | Self::Socket(_) | Self::Graphql(_) => "allow",
            Self::Git(_) => "push",
        }
    }

    fn reads(&self, reads: &mut Reads) {
        match self.family() {
            Family::Rpc => reads.rpc = true,
            Family::Socket => reads.socket = true,
            Family::Graphql => reads.graphql = true,
            Family::Git => reads.git = true,
        }
        reads.answers |= matches!(self, Self::Mcp(_));
    }

    /// Whether it allows anything, rather than only denying.
    pub(crate) fn admits(&self) -> bool {
        match self {
            Self::Mcp(mcp) => !mcp.call.is_empty() || !mcp.methods.is_empty() || !mcp.server.is_empty(),
            Self::Rpc(rpc) => !rpc.allow.is_empty(),
            Self::Socket(socket) => !socket.allow.is_empty(),
            Self::Graphql(graphql) => !graphql.allow.is_empty(),
            Self::Git(_) => true,
        }
    }

    pub(crate) fn has_deny(&self) -> bool {
        !self.denials().is_empty()
    }

    pub(crate) fn denials(&self) -> &[CallPattern] {
        match self {
            Self::Mcp(mcp) => &mcp.deny,
            Self::Rpc(rpc) => &rpc.deny,
            Self::Socket(socket) => &socket.deny,
            Self::Graphql(graphql) => &graphql.deny,
            Self::Git(_) => &[],
        }
    }

    pub(crate) fn allowances(&self) -> &[CallPattern] {
        match self {
            Self::Mcp(mcp) => &mcp.call,
            Self::Rpc(rpc) => &rpc.allow,
            Self::Socket(socket) => &socket.allow,
            Self::Graphql(graphql) => &graphql.allow,
            Self::Git(_) => &[],
        }
    }

    /// As an allow.
    pub(super) fn allows(&self, ask: &Request<'_>, message: &Message) -> bool {
        match (self, message) {
            (Self::Git(git), Message::Update(reference)) => git.lets_push(ask, reference),
            (Self::Graphql(graphql), Message::Field(call)) => {
                graphql.allow.iter().any(|p| p.matches(&call.method, &call.params))
            }
            (Self::Mcp(mcp), Message::Call(call)) => mcp.allows(call),
            (Self::Mcp(_), Message::Reply) => true,
            (Self::Rpc(rpc), Message::Call(call)) => {
                rpc.allow.iter().any(|p| p.matches(&call.method, &call.params))
            }
            (Self::Socket(socket), Message::Text(text)) => socket.allow.iter().any(|p| p.names(text)),
            _ => false,
        }
    }

    /// The deny that takes the message, as written.
    pub(super) fn denies(&self, message: &Message) -> Option<&str> {
        let found = match (self, message) {
            (Self::Mcp(mcp), Message::Call(call)) => {
                let (tool, arguments) = call.tool()?;
                mcp.deny.iter().find(|p| p.matches(tool, arguments))
            }
            (Self::Rpc(rpc), Message::Call(call)) => {
                rpc.deny.iter().find(|p| p.matches(&call.method, &call.params))
            }
            (Self::Socket(socket), Message::Text(text)) => socket.deny.iter().find(|p| p.names(text)),
            (Self::Graphql(graphql), Message::Field(call)) => {
                graphql.deny.iter().find(|p| p.matches(&call.method, &call.params))
            }
            // What a text in it would be cannot be told.
            (Self::Socket(socket), Message::Binary) => socket.deny.first(),
            _ => None,
        };
        found.map(|pattern| &*pattern.written)
    }
}

impl GitSays {
    /// Whether the head says enough: a fetch, the question before a push, or a push of any reference.
    fn allows_head(&self, method: &str, path: &CanonicalPath) -> bool {
        let Some(ask) = GitAsk::read(method, path) else { return false };
        if !ask.is_push {
            return self.fetch.iter().any(|p| p.matches(ask.repository));
        }
        let mut push = self.push.iter().filter(|p| p.repository.matches(ask.repository));
        push.any(|p| !ask.is_post || p.refs.is_none())
    }

    /// Whether it is a push of which only some references may go.
    fn limits(&self, method: &str, path: &CanonicalPath) -> bool {
        let ask = GitAsk::read(method, path).filter(|ask| ask.is_push && ask.is_post);
        ask.is_some_and(|ask| self.push.iter().any(|p| p.repository.matches(ask.repository)))
    }

    fn lets_push(&self, ask: &Request<'_>, reference: &str) -> bool {
        let Some(asked) = GitAsk::read(ask.method, ask.path) else { return false };
        self.push.iter().filter(|p| p.repository.matches(asked.repository)).any(|p| match &p.refs {
            Some(refs) => refs.iter().any(|(_, pattern)| pattern.matches(reference)),
            None => true,
        })
    }

    fn in_words(&self) -> String {
        let fetch = self.fetch.iter().map(|p| format!("fetch {}", p.written));
        let push = self.push.iter().map(|p| match &p.refs {
            None => format!("push {}", p.repository.written),
            Some(refs) => {
                let refs: Vec<&str> = refs.iter().map(|(written, _)| &**written).collect();
                format!("push {} ({})", p.repository.written, refs.join(", "))
            }
        });
        fetch.chain(push).collect::<Vec<_>>().join(", ")
    }

    /// The references that may be pushed there, as written.
    pub(super) fn listed(&self, ask: &Request<'_>) -> String {
        let Some(asked) = GitAsk::read(ask.method, ask.path) else { return String::new() };
        let patterns = self.push.iter().filter(|p| p.repository.matches(asked.repository));
        let refs = patterns.flat_map(|p| p.refs.iter().flatten()).map(|(written, _)| &**written);
        refs.collect::<Vec<_>>().join(", ")
    }
}

impl McpSays {
    fn allows(&self, call: &Call) -> bool {
        if call.method == TOOLS_CALL {
            return call.tool().is_some_and(|(name, given)| self.call.iter().any(|p| p.matches(name, given)));
        }
        SESSION.contains(&call.method.as_str()) || self.methods.iter().any(|p| p.matches(&call.method))
    }

    /// Whether the server may ask it: it may always ping and notify.
    pub(super) fn lets_ask(&self, call: &Call) -> bool {
        call.method == "ping"
            || call.method.starts_with("notifications/")
            || self.server.iter().any(|p| p.matches(&call.method))
    }
}

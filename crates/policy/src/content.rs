//! What a request says beneath its head, as far as rules ask for it: the messages in its body, put in one form.
//!
//! Whoever reads a body hands over what it found as [`Contents`]. A protocol that was not read, or that the body is not,
//! allows nothing; one whose reading is uncertain is taken by every deny of that protocol.

use creel_types::RuleId;
use serde_json::Value;

/// What the policy says to the head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// It may go, whatever is in it.
    Allowed(RuleId),
    /// It depends on what is in it: this has to be read, and [`Policy::content`](crate::Policy::content) asked.
    Reads(Reads),
}

/// What has to be read of a request before it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// JSON-RPC messages.
    pub rpc: bool,
    /// What is said over a WebSocket.
    pub socket: bool,
    /// Operations of GraphQL.
    pub graphql: bool,
    /// What a push to a git repository changes.
    pub git: bool,
    /// What the server answers is judged too: lists of tools, and its own requests of the client (MCP).
    pub answers: bool,
    /// Only denies ask for it: what is surely not of the protocol may go as it is.
    pub only_denies: bool,
}

/// A body as one protocol.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Reading<T> {
    /// Nobody looked.
    #[default]
    Unread,
    /// It is this.
    Is(T),
    /// It is surely something else; what it lacks.
    Not(String),
    /// It has no single reading; why.
    Untold(String),
}

/// What a request says, as each protocol that was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// As JSON-RPC.
    pub rpc: Reading<Vec<Message>>,
    /// As the opening of a WebSocket: what is said over it comes later.
    pub socket: Reading<Vec<Message>>,
    /// As GraphQL.
    pub graphql: Reading<Vec<Message>>,
    /// As a push of git.
    pub git: Reading<Vec<Message>>,
}

/// Protocols whose messages have one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// JSON-RPC 2.0, and MCP.
    Rpc,
    /// WebSocket.
    Socket,
    /// GraphQL.
    Graphql,
    /// Git's smart HTTP.
    Git,
}

impl Family {
    pub(crate) const ALL: [Self; 4] = [Self::Rpc, Self::Socket, Self::Graphql, Self::Git];
}

impl Contents {
    /// The reading as one of them.
    pub fn of(&self, family: Family) -> &Reading<Vec<Message>> {
        match family {
            Family::Rpc => &self.rpc,
            Family::Socket => &self.socket,
            Family::Graphql => &self.graphql,
            Family::Git => &self.git,
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A request, or a notification, of JSON-RPC.
    Call(Call),
    /// The answer to a request of the other side, in JSON-RPC.
    Reply,
    /// A text over a WebSocket.
    Text(String),
    /// Bytes over a WebSocket.
    Binary,
    /// A root field of a GraphQL operation: the method is `TYPE FIELD`, as in `mutation createIssue`, the parameter `name`
    /// the operation's name.
    Field(Call),
    /// A reference that a push changes, as in `refs/heads/main`.
    Update(String),
}

impl std::fmt::Display for Message {
    /// In short; without values, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(call) => call.fmt(f),
            Self::Reply => f.write_str("reply"),
            Self::Text(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Binary => f.write_str("a binary message"),
            Self::Field(call) => call.fmt(f),
            Self::Update(reference) => write!(f, "push {}", shown(reference)),
        }
    }
}

/// A JSON-RPC request or notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The parameters; `Null` when there are none.
    pub params: Value,
}

impl Call {
    /// The tool that is called and its arguments, when this is a call of a tool (MCP).
    pub fn tool(&self) -> Option<(&str, &Value)> {
        let is_call = self.method == TOOLS_CALL;
        let name = self.params.get("name").and_then(Value::as_str).filter(|_| is_call)?;
        Some((name, self.params.get("arguments").unwrap_or(&Value::Null)))
    }
}

pub(crate) const TOOLS_CALL: &str = "tools/call";

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tool() {
            Some((tool, _)) => write!(f, "{TOOLS_CALL} {}", shown(tool)),
            None => f.write_str(&shown(&self.method)),
        }
    }
}

impl std::fmt::Display for Contents {
    /// In short, without values: for the record.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MOST: usize = 8;
        let mut first = true;
        for family in Family::ALL {
            let Reading::Is(messages) = self.of(family) else { continue };
            for message in messages.iter().take(MOST) {
                write!(f, "{}{message}", if std::mem::take(&mut first) { "" } else { ", " })?;
            }
            if messages.len() > MOST {
                write!(f, ", {} more", messages.len() - MOST)?;
            }
        }
        Ok(())
    }
}

/// A name as it may be repeated: the agent chose it.
pub(crate) fn shown(name: &str) -> String {
    const LONGEST: usize = 120;
    let short: String = name.chars().take(LONGEST).collect();
    let dots = if short.len() < name.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

//! JSON-RPC 2.0, and the calls of tools in it (MCP).

use creel_policy::canonical::{self, fold_case};
use creel_policy::{Call, Message, Reading};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The most messages of one batch.
pub const MOST_MESSAGES: usize = 64;

/// A body as JSON-RPC.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rpc {
    /// What it says.
    pub reading: Reading<Vec<Message>>,
    /// The ids of its requests: what an answer of our own must repeat.
    pub ids: Vec<Value>,
    /// It is a batch.
    pub batch: bool,
}

/// Reads a whole body.
pub fn read(bytes: &[u8]) -> Rpc {
    if !may_be_json(bytes) {
        return Rpc { reading: Reading::Not("the body is not JSON".to_owned()), ..Rpc::default() };
    }
    let value = match canonical::json(bytes) {
        Ok(value) => value,
        Err(why) => return Rpc { reading: Reading::Untold(why.to_string()), ..Rpc::default() },
    };
    let batch = value.is_array();
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    let ids = items.iter().filter(|item| item.get("method").is_some());
    let ids = ids.filter_map(|item| item.get("id").cloned()).collect();
    Rpc { reading: messages(items), ids, batch }
}

/// Whether a reader could take the beginning of a body for JSON, in any encoding.
pub fn may_be_json(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    // A byte order mark, or the other half of a character of two or four bytes, can stand before it.
    matches!(first, Some(b'{' | b'[' | 0 | 0x0b | 0x0c | 0xef | 0xfe | 0xff | b'/' | b'#'))
}

fn messages(items: Vec<Value>) -> Reading<Vec<Message>> {
    if items.is_empty() {
        return Reading::Not("the batch is empty".to_owned());
    }
    if items.len() > MOST_MESSAGES {
        return Reading::Untold(format!("more than {MOST_MESSAGES} messages in one batch"));
    }
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        match message(item) {
            Ok(message) => read.push(message),
            Err(other) => return other,
        }
    }
    Reading::Is(read)
}

fn message(item: Value) -> Result<Message, Reading<Vec<Message>>> {
    let untold = |why: &str| Err(Reading::Untold(why.to_owned()));
    let Value::Object(mut fields) = item else {
        return Err(Reading::Not("a message is an object".to_owned()));
    };
    if misspelt(&fields, &["jsonrpc", "id", "method", "params", "result", "error"]) {
        return untold("a field of the message is written in another case");
    }
    let is_2 = fields.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    let ends = ["result", "error"].iter().filter(|key| fields.contains_key(**key)).count();
    let Some(method) = fields.remove("method") else {
        return match (is_2, fields.contains_key("id"), ends) {
            (true, true, 1) => Ok(Message::Reply),
            _ => Err(Reading::Not("neither a call nor a reply of JSON-RPC 2.0".to_owned())),
        };
    };
    if !is_2 || ends > 0 {
        return untold("`method` in what is not a call of JSON-RPC 2.0");
    }
    if fields.get("id").is_some_and(|id| id.is_object() || id.is_array() || id.is_boolean()) {
        return untold("`id` is neither text nor a number");
    }
    let params = fields.remove("params").unwrap_or(Value::Null);
    match (method, &params) {
        (Value::String(method), Value::Null | Value::Array(_) | Value::Object(_)) => call(method, params),
        _ => untold("`method` is not text, or `params` not a list or object"),
    }
}

fn call(method: String, params: Value) -> Result<Message, Reading<Vec<Message>>> {
    let untold = |why: &str| Err(Reading::Untold(why.to_owned()));
    if method.chars().any(char::is_control) {
        return untold("a control character in `method`");
    }
    let twice = "two parameters whose names differ only in case";
    if params.as_object().is_some_and(is_ambiguous) {
        return untold(twice);
    }
    let is_tool = method == "tools/call";
    if !is_tool && fold_case(method.trim()) == "tools/call" {
        return untold("`tools/call` in another spelling");
    }
    if is_tool {
        let Value::Object(fields) = &params else { return untold("a call of a tool without parameters") };
        if misspelt(fields, &["name", "arguments"]) {
            return untold("a parameter of `tools/call` is written in another case");
        }
        let named = fields.get("name").and_then(Value::as_str);
        if named.is_none_or(|name| name.is_empty() || name.chars().any(char::is_control)) {
            return untold("a call of a tool without the name of one");
        }
        match fields.get("arguments") {
            Some(Value::Object(given)) if is_ambiguous(given) => return untold(twice),
            None | Some(Value::Object(_) | Value::Null) => {}
            Some(_) => return untold("`arguments` is not an object"),
        }
    }
    Ok(Message::Call(Call { method, params }))
}

/// Whether a key is one of these in another case: some readers take it for that one.
fn misspelt(fields: &Map<String, Value>, known: &[&str]) -> bool {
    fields.keys().any(|key| {
        let plain = known.contains(&key.as_str());
        !plain && known.contains(&fold_case(key).as_str())
    })
}

/// Whether two keys differ only in case.
fn is_ambiguous(fields: &Map<String, Value>) -> bool {
    let mut seen = HashSet::new();
    !fields.keys().all(|key| seen.insert(fold_case(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `call:NAME`, `reply`, `not`, `untold`.
    fn check(body: &str, want: &str) {
        let told = match read(body.as_bytes()).reading {
            Reading::Is(messages) => messages.iter().map(told).collect::<Vec<_>>().join(" "),
            Reading::Not(_) => "not".to_owned(),
            Reading::Untold(_) => "untold".to_owned(),
            Reading::Unread => "unread".to_owned(),
        };
        assert_eq!(told, want, "{body}");
    }

    fn told(message: &Message) -> String {
        match message {
            Message::Call(call) => format!("call:{call}"),
            other => other.to_string(),
        }
    }

    #[test]
    fn messages_are_told_for_what_they_are() {
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "call:ping");
        check(r#"{"jsonrpc":"2.0","method":"m","params":[1]}"#, "call:m");
        check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "reply");
        check(
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}},{"jsonrpc":"2.0","id":2,"error":{}}]"#,
            "call:tools/call a reply",
        );
        for body in ["", "a=b", "\"x\"", "[]", "[1]", r#"{"a":1}"#, r#"{"id":1,"result":1}"#] {
            check(body, "not");
        }
    }

    #[test]
    fn what_another_reader_could_take_for_another_message_is_not_told() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","result":{}}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["a"]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"p":1,"P":2}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"p":1,"p":2}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","argument\u017f":{"p":1}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            "\u{feff}{}",
            "// c\n{}",
        ] {
            check(body, "untold");
        }
        let many = vec![r#"{"jsonrpc":"2.0","id":1,"result":1}"#; MOST_MESSAGES + 1].join(",");
        check(&format!("[{many}]"), "untold");
    }
}

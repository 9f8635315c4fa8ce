//! Lists of tools in answers of MCP, without the tools that may not be called.
//!
//! All else of an answer stays as it came: entries are cut out of the text, which is not written anew.

use serde_json::value::RawValue;
use std::collections::HashMap;

type Fields<'a> = HashMap<String, &'a RawValue>;

/// The text of one message, or of a batch, without the tools that are not `offered`; `None` when it has none to leave
/// out. The text is JSON without a key twice ([`creel_policy::canonical::json`]).
pub fn without(text: &str, offered: &dyn Fn(&str) -> bool) -> Option<String> {
    let batch: Option<Vec<&RawValue>> = serde_json::from_str(text).ok();
    let messages = batch.unwrap_or_default();
    let texts: Vec<&str> =
        if messages.is_empty() { vec![text] } else { messages.iter().map(|m| m.get()).collect() };
    let mut edited = String::new();
    let mut from = 0;
    for message in texts {
        let Some((list, left)) = edit(message, offered) else { continue };
        let at = offset(text, list)?;
        edited.push_str(text.get(from..at)?);
        edited.push_str(&left);
        from = at + list.len();
    }
    if from == 0 {
        return None;
    }
    edited.push_str(text.get(from..)?);
    Some(edited)
}

/// The list in one message, and what is left of it, where something is left out.
fn edit<'a>(message: &'a str, offered: &dyn Fn(&str) -> bool) -> Option<(&'a str, String)> {
    let fields: Fields<'_> = serde_json::from_str(message).ok()?;
    let result: Fields<'_> = serde_json::from_str(fields.get("result")?.get()).ok()?;
    let list = result.get("tools")?.get();
    let tools: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    let left: Vec<&str> =
        tools.iter().map(|tool| tool.get()).filter(|tool| is_offered(tool, offered)).collect();
    if left.len() == tools.len() {
        return None;
    }
    let at = offset(message, list)?;
    Some((message.get(at..at + list.len())?, format!("[{}]", left.join(","))))
}

fn is_offered(tool: &str, offered: &dyn Fn(&str) -> bool) -> bool {
    let fields: Fields<'_> = serde_json::from_str(tool).unwrap_or_default();
    let name = fields.get("name").and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    name.is_some_and(|name| offered(&name))
}

/// Where a part of a text stands in it.
fn offset(whole: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize).filter(|at| at + part.len() <= whole.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Option<&str>) {
        let offered = |name: &str| name.starts_with("read");
        assert_eq!(without(text, &offered).as_deref(), want, "{text}");
    }

    #[test]
    fn tools_that_are_not_offered_are_cut_out_and_nothing_else_changes() {
        check(
            r#"{ "id":1, "result": {"tools":[ {"name":"read_x", "n": 1.0}, {"name":"write"} ],"nextCursor":"c"}}"#,
            Some(r#"{ "id":1, "result": {"tools":[{"name":"read_x", "n": 1.0}],"nextCursor":"c"}}"#),
        );
        check(r#"{"id":1,"result":{"tools":[{"name":"read"}]}}"#, None);
        check(r#"{"id":1,"result":{"tools":[]}}"#, None);
        check(
            r#"{"id":1,"result":{"tools":[{"Name":"read"},{"name":7}]}}"#,
            Some(r#"{"id":1,"result":{"tools":[]}}"#),
        );
        check(r#"{"id":1,"result":{"content":[{"name":"write"}]}}"#, None);
        check(r#"{"id":1,"error":{"tools":[{"name":"write"}]}}"#, None);
        check(
            r#"[{"id":1,"result":{"tools":[{"name":"w"}]}}, {"id":2,"result":{"tools":[{"name":"w"},{"name":"read"}]}}]"#,
            Some(r#"[{"id":1,"result":{"tools":[]}}, {"id":2,"result":{"tools":[{"name":"read"}]}}]"#),
        );
        check("7", None);
    }
}

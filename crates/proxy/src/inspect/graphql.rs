//! GraphQL over HTTP POST: the root fields of every operation in a request, or in a batch of them.
//!
//! All operations of a document are told, whichever `operationName` picks: servers do not agree about that. Aliases are
//! seen through, fragments followed; what `@skip` and `@include` leave out is told all the same.

use super::rpc::may_be_json;
use apollo_parser::Parser;
use apollo_parser::cst::{Definition, FragmentDefinition, OperationDefinition, Selection, SelectionSet};
use creel_policy::{Call, Message, Reading, canonical};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The most operations of a batch, and of a document.
pub const MOST_OPERATIONS: usize = 32;
/// The most root fields of a request, through fragments too.
pub const MOST_FIELDS: usize = 512;
const DEEPEST: usize = 64;
const MOST_TOKENS: usize = 100_000;

type Told = Result<Vec<Message>, Reading<Vec<Message>>>;

/// Reads a whole body.
pub fn read(bytes: &[u8]) -> Reading<Vec<Message>> {
    if !may_be_json(bytes) {
        return not("the body is not JSON");
    }
    let value = match canonical::json(bytes) {
        Ok(value) => value,
        Err(why) => return Reading::Untold(why.to_string()),
    };
    let requests = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if requests.len() > MOST_OPERATIONS {
        return untold("too many operations in one batch");
    }
    let mut all = Vec::new();
    for request in &requests {
        match one(request) {
            Ok(fields) => all.extend(fields),
            Err(other) => return other,
        }
        if all.len() > MOST_FIELDS {
            return untold("too many fields");
        }
    }
    if all.is_empty() { not("no operation") } else { Reading::Is(all) }
}

fn not(why: &str) -> Reading<Vec<Message>> {
    Reading::Not(format!("not a request of GraphQL: {why}"))
}

fn untold(why: &str) -> Reading<Vec<Message>> {
    Reading::Untold(format!("GraphQL: {why}"))
}

fn one(request: &Value) -> Told {
    let Value::Object(fields) = request else { return Err(not("it is not an object")) };
    if is_misspelt(fields) {
        return Err(untold("a field of the request is written in another case"));
    }
    match (fields.get("query"), persisted(fields)) {
        (Some(Value::String(_)), true) => Err(untold("a document and the name of another in one request")),
        (Some(Value::String(text)), false) => document(text),
        (None, true) => Err(untold("the name of a document that the server keeps, and not its text")),
        (None, false) => Err(not("it has no `query`")),
        (Some(_), _) => Err(untold("`query` is not text")),
    }
}

/// Whether a field is one that is known, in another case than its own.
fn is_misspelt(fields: &Map<String, Value>) -> bool {
    let known = ["query", "operationName", "variables", "extensions", "id", "documentId"];
    fields.keys().any(|key| {
        let is = known.contains(&key.as_str());
        !is && known.iter().any(|known| canonical::fold_case(known) == canonical::fold_case(key))
    })
}

/// Whether the request names a document instead of bringing it.
fn persisted(fields: &Map<String, Value>) -> bool {
    let named = |key: &str| fields.get(key).is_some_and(|value| !value.is_null());
    named("id")
        || named("documentId")
        || fields.get("extensions").is_some_and(|e| e.get("persistedQuery").is_some())
}

fn document(text: &str) -> Told {
    let tree = Parser::new(text).recursion_limit(DEEPEST).token_limit(MOST_TOKENS).parse();
    if tree.errors().len() > 0 {
        return Err(untold("the document cannot be parsed"));
    }
    let (mut operations, mut fragments) = (Vec::new(), HashMap::new());
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => {
                let Some(name) = name_of(&fragment) else { return Err(untold("a fragment without a name")) };
                if fragments.insert(name, fragment).is_some() {
                    return Err(untold("two fragments of one name"));
                }
            }
            _ => return Err(untold("a document with definitions of types")),
        }
    }
    if operations.is_empty() || operations.len() > MOST_OPERATIONS {
        return Err(untold("no operation, or too many"));
    }
    let mut fields = Vec::new();
    for operation in operations {
        told(&operation, &fragments, &mut fields)?;
    }
    Ok(fields)
}

fn name_of(fragment: &FragmentDefinition) -> Option<String> {
    Some(fragment.fragment_name()?.name()?.text().to_string())
}

type Fragments = HashMap<String, FragmentDefinition>;

fn told(
    operation: &OperationDefinition,
    fragments: &Fragments,
    all: &mut Vec<Message>,
) -> Result<(), Reading<Vec<Message>>> {
    let kind = match operation.operation_type() {
        None => "query",
        Some(kind) if kind.mutation_token().is_some() => "mutation",
        Some(kind) if kind.subscription_token().is_some() => "subscription",
        Some(_) => "query",
    };
    let name = operation.name().map_or(Value::Null, |name| Value::String(name.text().to_string()));
    let mut names = Vec::new();
    let mut open = Vec::new();
    let set = operation.selection_set().ok_or_else(|| untold("an operation without fields"))?;
    root(&set, fragments, &mut open, &mut names)?;
    if names.is_empty() {
        return Err(untold("an operation without fields"));
    }
    all.extend(names.into_iter().map(|field| {
        Message::Field(Call { method: format!("{kind} {field}"), params: json!({ "name": name }) })
    }));
    Ok(())
}

/// The fields at the root, through inline fragments and spreads.
fn root(
    set: &SelectionSet,
    fragments: &Fragments,
    open: &mut Vec<String>,
    names: &mut Vec<String>,
) -> Result<(), Reading<Vec<Message>>> {
    for selection in set.selections() {
        if names.len() > MOST_FIELDS || open.len() > DEEPEST {
            return Err(untold("too many fields"));
        }
        match selection {
            Selection::Field(field) => {
                let name = field.name().ok_or_else(|| untold("a field without a name"))?;
                names.push(name.text().to_string());
            }
            Selection::InlineFragment(inline) => {
                let inner = inline.selection_set().ok_or_else(|| untold("a fragment without fields"))?;
                root(&inner, fragments, open, names)?;
            }
            Selection::FragmentSpread(spread) => {
                let name =
                    spread.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string());
                let name = name.ok_or_else(|| untold("a spread without a name"))?;
                let inner = fragments.get(&name).and_then(FragmentDefinition::selection_set);
                let inner = inner.ok_or_else(|| untold("a fragment that is not there"))?;
                if open.contains(&name) {
                    return Err(untold("a fragment within itself"));
                }
                open.push(name);
                root(&inner, fragments, open, names)?;
                open.pop();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, want: &str) {
        let told = match read(json!({ "query": query }).to_string().as_bytes()) {
            Reading::Is(messages) => messages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Reading::Not(_) => "not".to_owned(),
            Reading::Untold(_) => "untold".to_owned(),
            Reading::Unread => "unread".to_owned(),
        };
        assert_eq!(told, want, "{query}");
    }

    #[test]
    fn the_root_fields_of_all_operations_are_told() {
        check("{ viewer { login } }", "query viewer");
        check("query A { a: viewer b: node(id: 1) { x } }", "query viewer, query node");
        check("mutation { harmless: deleteRepo(id: 1) { ok } }", "mutation deleteRepo");
        check("query A { a } mutation B { b }", "query a, mutation b");
        check("subscription S { events }", "subscription events");
        check(
            "{ ...F ... on Query { c } ... { d @skip(if: true) } } fragment F on Query { a b { x } }",
            "query a, query b, query c, query d",
        );
        check("# { c }\n{ a(x: \"} mutation { b\") }", "query a");
    }

    #[test]
    fn what_is_not_clear_is_not_told() {
        for query in [
            "",
            "{",
            "{ }",
            "{ a } }",
            "{ ...F }",
            "{ ...F } fragment F on Query { ...F }",
            "{ ...F } fragment F on Query { a } fragment F on Query { b }",
            "type A { b: Int }",
            "fragment F on Query { a }",
            &format!("{{ a {} }}", "{ a ".repeat(100) + &"}".repeat(100)),
        ] {
            check(query, "untold");
        }
        let batch = format!("[{}]", vec![r#"{"query":"{a}"}"#; MOST_OPERATIONS + 1].join(","));
        for body in [
            r#"{"query":"{a}","query":"{b}"}"#,
            r#"{"query":"{a}","Query":"{b}"}"#,
            r#"{"query":"{a}","operationname":"b"}"#,
            r#"{"query":"{a}","extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#,
            r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#,
            r#"{"documentId":"x"}"#,
            r#"{"query":["{a}"]}"#,
            &batch,
        ] {
            assert!(matches!(read(body.as_bytes()), Reading::Untold(_)), "{body}");
        }
        for body in ["", "query=x", "{}", "[]", r#"{"a":1}"#] {
            assert!(matches!(read(body.as_bytes()), Reading::Not(_)), "{body}");
        }
    }

    #[test]
    fn a_batch_tells_the_fields_of_all() {
        let read = read(br#"[{"query":"{a}"},{"query":"mutation{b}","variables":{}}]"#);
        let Reading::Is(messages) = read else { panic!("{read:?}") };
        assert_eq!(messages.iter().map(ToString::to_string).collect::<Vec<_>>(), ["query a", "mutation b"]);
    }
}

//! The committed JSON Schema is the one that the table says. To renew it: `CREEL_WRITE=1 cargo test -p creel-policy`.
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::Value;
use std::path::PathBuf;

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.schema.json")
}

#[test]
fn the_committed_schema_is_the_one_that_the_parser_follows() {
    let schema = serde_json::to_string_pretty(&creel_policy::schema()).unwrap() + "\n";
    if std::env::var_os("CREEL_WRITE").is_some() {
        std::fs::write(committed(), &schema).unwrap();
    }
    let held = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(held == schema, "docs/policy.schema.json is old; renew it with CREEL_WRITE=1");
}

#[test]
fn every_field_says_what_a_live_change_does() {
    fn walk(value: &Value, path: &str) {
        for (name, field) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let said = field["description"].as_str().unwrap_or_default();
            assert!(said.contains(" Live change: "), "{path}.{name}");
            for inner in [field, &field["items"], &field["items"]["anyOf"][1]] {
                walk(inner, &format!("{path}.{name}"));
            }
        }
    }
    walk(&creel_policy::schema(), "");
}

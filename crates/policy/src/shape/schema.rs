//! The JSON Schema (2020-12) of the language, from the same table that the parser follows.

use super::{DOCUMENT, Field, Shape};
use serde_json::{Map, Value, json};

/// The JSON Schema of a policy document. Each description says what a live change does to what is running.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Creel policy",
    });
    if let (Value::Object(whole), Value::Object(document)) = (&mut schema, of(&DOCUMENT)) {
        whole.extend(document);
    }
    schema
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Word { now, .. } => json!({ "enum": now }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count => json!({ "type": "integer", "minimum": 1 }),
        Shape::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Size | Shape::SizeOrNone => {
            json!({ "type": ["string", "integer"], "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB)?$" })
        }
        Shape::Time => json!({ "type": "string", "pattern": "^([0-9]+(d|h|m|s))+$" }),
        Shape::Indexes => json!({ "anyOf": [
            { "enum": ["all", "none"] },
            { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "integer", "minimum": 0 } },
        ] }),
        Shape::List(item) => json!({ "type": "array", "minItems": 1, "items": of(item) }),
        Shape::Object(fields) => object(fields),
        Shape::Map(_, value) => {
            json!({ "type": "object", "minProperties": 1, "additionalProperties": of(value) })
        }
        Shape::TextOr(fields) => json!({ "anyOf": [of(&Shape::Text), object(fields)] }),
        Shape::Later => json!(false),
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|f| (f.name.to_owned(), property(f))).collect();
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(field: &Field) -> Value {
    let mut value = match &field.shape {
        Shape::Later => json!({ "not": {} }),
        shape => of(shape),
    };
    value["description"] = json!(format!("{} Live change: {}", field.about, field.live));
    value
}

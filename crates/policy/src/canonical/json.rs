//! JSON that every reader reads alike (RFC 8259 §4, RFC 7493).

use super::CanonicalError;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The value of a JSON text, when it has only one: UTF-8 without a mark, no key twice in an object, escapes that are
/// characters, nothing behind it, at most 128 deep.
///
/// # Errors
/// Anything else; what, and where.
pub fn json(bytes: &[u8]) -> Result<Value, CanonicalError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Once.deserialize(&mut reader).map_err(|e| CanonicalError::Json(e.to_string()))?;
    reader.end().map_err(|e| CanonicalError::Json(e.to_string()))?;
    Ok(value)
}

/// A text as a reader sees it to whom upper and lower case are the same, also beyond ASCII (`K` KELVIN SIGN is `k`).
pub fn fold_case(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Reads a value whose objects have each key once.
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if map.insert(key, value).is_some() {
                // Not which: it is the agent's word, and may be long.
                return Err(A::Error::custom("a key is given twice in one object"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], want: Option<&str>) {
        let read = json(bytes).ok().map(|value| value.to_string());
        assert_eq!(read.as_deref(), want, "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn a_text_with_one_reading_is_read() {
        check(
            br#" {"b": [1, -2, 0.5, "x\u0041"], "a": {"b": null}, "c": true} "#,
            Some(r#"{"a":{"b":null},"b":[1,-2,0.5,"xA"],"c":true}"#),
        );
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for bytes in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"[{"x":{"a":1,"a":1}}]"#,
            br#"{"a":1} {"a":2}"#,
            br#"{"a":1,}"#,
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\0\"\0a\0",
            br#"{"a":"\ud800"}"#,
            br#"{'a':1}"#,
            br#"{"a":01}"#,
            br#"{"a":NaN}"#,
            b"{\"a\":\"\n\"}",
            b"// x\n{}",
            b"",
        ] {
            check(bytes, None);
        }
        check(&[b'['; 4096], None);
    }
}

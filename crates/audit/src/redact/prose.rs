//! Masking what is said about an agent's act: a refusal repeats the path that was asked for, which may hold a token.

use super::{MASK, token};
use crate::text;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Writes a value whose texts are masked word by word and bounded.
pub(crate) fn masked<S: Serializer>(value: &Value, to: S) -> Result<S::Ok, S::Error> {
    of(value).serialize(to)
}

fn of(value: &Value) -> Value {
    match value {
        Value::String(said) => Value::String(words(said)),
        Value::Array(all) => all.iter().map(of).collect(),
        Value::Object(all) => {
            Value::Object(all.iter().map(|(name, value)| (name.clone(), of(value))).collect())
        }
        other => other.clone(),
    }
}

/// The same text; what is between the words is kept.
fn words(said: &str) -> String {
    let mut out = String::with_capacity(said.len());
    for piece in said.split_inclusive(|c: char| !in_word(c)) {
        let word = piece.trim_end_matches(|c: char| !in_word(c) || matches!(c, ':' | '.'));
        if token::is_token(word) {
            out.push_str(MASK);
        } else {
            let parts: Vec<_> = word.split(':').map(token::masked).collect();
            out.push_str(&parts.join(":"));
        }
        out.push_str(&piece[word.len()..]);
    }
    text::clipped(out, text::MAX_TEXT)
}

/// Whether a character may stand in a token, or between the two parts of one.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=' | '~' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_the_shape_of_a_token_is_masked_wherever_it_is_said() {
        let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
        let said = json!({
            "compared": format!("GET /bot123456:AAE_x-y/send at api.test:443, GET \"/x/{token}\""),
            "nearest": [format!("`/{token}/**`, the path /{token}: it allows x:{token}.")],
            "status": 403,
        });
        let expected = json!({
            "compared": "GET /[masked]/send at api.test:443, GET \"/x/[masked]\"",
            "nearest": ["`/[masked]/**`, the path /[masked]: it allows x:[masked]."],
            "status": 403,
        });
        assert_eq!(of(&said), expected);
    }

    #[test]
    fn other_words_stay_as_they_are_and_long_texts_are_cut() {
        let said =
            "refused: no rule allows this — GET /repos/acme/site; add `http: { allow: [\"GET /**\"] }`";
        assert_eq!(words(said), said);
        assert!(words(&"a ".repeat(10_000)).len() <= text::MAX_TEXT + '…'.len_utf8());
    }
}

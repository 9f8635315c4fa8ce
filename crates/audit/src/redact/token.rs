//! Which words have the shape of a token.

use super::MASK;
use creel_types::KEY_BEGINNINGS;
use std::borrow::Cow;

/// How many token characters must follow a known beginning.
const MIN_REST: usize = 12;

/// The shortest word of mixed case and digits that is taken for a token.
const MIN_MIXED: usize = 24;

/// `word`, or the mask when it has the shape of a token.
pub(super) fn masked(word: &str) -> Cow<'_, str> {
    if is_token(word) { Cow::Borrowed(MASK) } else { Cow::Borrowed(word) }
}

/// Whether a word has the shape of a token.
pub(super) fn is_token(word: &str) -> bool {
    let known = KEY_BEGINNINGS.iter().any(|prefix| {
        word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= MIN_REST && rest.bytes().all(in_token))
    });
    known || is_bot_token(word) || is_mixed(word)
}

fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'=' | b'~')
}

/// `bot<number>:<token>`, as Telegram has it in its paths.
fn is_bot_token(word: &str) -> bool {
    word.strip_prefix("bot").and_then(|rest| rest.split_once(':')).is_some_and(|(number, token)| {
        !number.is_empty() && !token.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// A long word with upper case, lower case and digits and nothing that separates words.
fn is_mixed(word: &str) -> bool {
    let bytes = word.as_bytes();
    let has = |what: fn(&u8) -> bool| bytes.iter().any(what);
    bytes.len() >= MIN_MIXED
        && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=' | b'_' | b'-'))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}

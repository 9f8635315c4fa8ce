//! Methods: tokens, compared exactly as they are sent.

use super::CanonicalError;

const STANDARD: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const LIMIT: usize = 64;

/// Checks a method: a token (RFC 9110 §5.6.2) of at most 64 bytes. Methods are case-sensitive (RFC 9110 §9.1), yet
/// some servers take `get` for `GET`: a standard method in another case has two readings and is refused. So is `*`, which
/// the RFC would take and which stands for every method in a policy.
///
/// # Errors
/// What is not a token, or a standard method that is not in upper case.
pub fn method(text: &str) -> Result<&str, CanonicalError> {
    if text.is_empty() {
        return Err(CanonicalError::Empty("method"));
    }
    if text.len() > LIMIT {
        return Err(CanonicalError::TooLong { what: "method", len: text.len(), limit: LIMIT });
    }
    if let Some(found) = text.chars().find(|c| !token(*c)) {
        return Err(CanonicalError::BadChar { what: "method", found });
    }
    if STANDARD.iter().any(|m| m.eq_ignore_ascii_case(text) && *m != text) {
        return Err(CanonicalError::MethodCase(text.to_owned()));
    }
    Ok(text)
}

fn token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_token_in_its_own_case() {
        for good in ["GET", "PROPFIND", "M-SEARCH", "query"] {
            assert_eq!(method(good), Ok(good));
        }
        for bad in ["", "get", "Post", "GE T", "GET\r", "G\u{e9}T", "A:B", "*", &"A".repeat(65)] {
            assert!(method(bad).is_err(), "{bad}");
        }
    }
}

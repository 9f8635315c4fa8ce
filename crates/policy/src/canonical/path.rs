//! Request paths (RFC 3986 §3.3, §6.2.2): one spelling, which is compared and then sent.

use super::CanonicalError;

const LIMIT: usize = 32 * 1024;

/// A request target in origin form, canonical: `/path` or `/path?query`.
///
/// The path has its unreserved characters decoded, other escapes in upper case, characters that must be escaped
/// escaped, doubled slashes collapsed and dot segments resolved. The query is as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: Box<str>,
    path_len: usize,
    folded: Option<Box<str>>,
}

impl CanonicalPath {
    /// Path and query: what is sent upstream.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path alone: what a rule compares.
    pub fn path(&self) -> &str {
        &self.text[..self.path_len]
    }

    /// The query without its `?`, as it came.
    pub fn query(&self) -> Option<&str> {
        self.text[self.path_len..].strip_prefix('?')
    }

    /// What a `deny` compares: the path as a lenient server could read it, so that no spelling slips past a deny.
    /// Escapes are decoded, ASCII is lower case, `;params` and a trailing slash are gone.
    pub(crate) fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(self.path())
    }
}

impl std::fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The canonical form of a request target in origin form (`/path?query`).
///
/// # Errors
/// Encoded slashes, backslashes, control bytes and encoded escapes (servers disagree about them), invalid escapes,
/// bytes that are not UTF-8 once decoded, `..` above the root or with `;params`, fragments, spaces, raw non-ASCII.
pub fn path(target: &str) -> Result<CanonicalPath, CanonicalError> {
    if target.len() > LIMIT {
        return Err(CanonicalError::TooLong { what: "path", len: target.len(), limit: LIMIT });
    }
    if !target.starts_with('/') {
        return Err(CanonicalError::NotAbsolute);
    }
    let (raw, query) = match target.split_once('?') {
        Some((raw, query)) => (raw, Some(query)),
        None => (target, None),
    };
    let mut text = resolve(raw)?;
    let path_len = text.len();
    let folded = fold(&text);
    if let Some(query) = query {
        check_query(query)?;
        text.push('?');
        text.push_str(query);
    }
    Ok(CanonicalPath {
        folded: (folded != text[..path_len]).then(|| folded.into()),
        text: text.into(),
        path_len,
    })
}

/// Encodes each segment in its one way, then removes empty and dot segments.
fn resolve(raw: &str) -> Result<String, CanonicalError> {
    let mut kept: Vec<String> = Vec::new();
    let mut open = true;
    for segment in raw.split('/') {
        let segment = encode_segment(segment)?;
        open = matches!(segment.as_str(), "" | "." | "..");
        match segment.as_str() {
            "" | "." => {}
            ".." => drop(kept.pop().ok_or(CanonicalError::AboveRoot)?),
            // Some servers strip `;params` first and then see a dot segment.
            dots if matches!(fold_segment(dots).split(';').next(), Some("" | "." | "..")) => {
                return Err(CanonicalError::Ambiguous("or parameterised dot segment"));
            }
            _ => kept.push(segment),
        }
    }
    let mut text = String::with_capacity(raw.len());
    for segment in &kept {
        text.push('/');
        text.push_str(segment);
    }
    if open {
        text.push('/');
    }
    Ok(text)
}

/// One segment in its one spelling.
pub(crate) fn encode_segment(segment: &str) -> Result<String, CanonicalError> {
    let mut out = String::with_capacity(segment.len());
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = match byte {
            b'%' => (unescape(bytes.next(), bytes.next())?, true),
            raw => (check_raw(raw)?, false),
        };
        decoded.push(byte);
        if unreserved(byte) || (!escaped && sub_delim(byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    match std::str::from_utf8(&decoded) {
        Ok(text) if !doubly_escaped(text) => Ok(out),
        Ok(_) => Err(CanonicalError::Ambiguous("`%`")),
        Err(_) => Err(CanonicalError::NotUtf8),
    }
}

fn doubly_escaped(decoded: &str) -> bool {
    let bytes = decoded.as_bytes();
    bytes.windows(3).any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit())
}

fn check_raw(byte: u8) -> Result<u8, CanonicalError> {
    match byte {
        b' ' | b'\\' | b'#' | 0..=0x1f | 0x7f.. => {
            Err(CanonicalError::BadChar { what: "path", found: char::from(byte) })
        }
        byte => Ok(byte),
    }
}

fn unescape(high: Option<u8>, low: Option<u8>) -> Result<u8, CanonicalError> {
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).ok_or(CanonicalError::BadPercent);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).map_err(|_| CanonicalError::BadPercent)?;
    match byte {
        b'/' => Err(CanonicalError::Ambiguous("`/`")),
        b'\\' => Err(CanonicalError::Ambiguous("`\\`")),
        0..=0x1f | 0x7f => Err(CanonicalError::Ambiguous("control byte")),
        byte => Ok(byte),
    }
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=:@".contains(&byte)
}

fn check_query(query: &str) -> Result<(), CanonicalError> {
    let mut bytes = query.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next(), bytes.next()) {
                (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {}
                _ => return Err(CanonicalError::BadPercent),
            },
            b' ' | b'#' | 0..=0x1f | 0x7f.. => {
                return Err(CanonicalError::BadChar { what: "query", found: char::from(byte) });
            }
            _ => {}
        }
    }
    Ok(())
}

fn fold(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        out.push('/');
        out.push_str(&fold_segment(segment.split(';').next().unwrap_or(segment)));
    }
    if out.len() > 1 && out.ends_with('/') {
        out.pop();
    }
    out
}

/// A canonical segment as a lenient server could read it.
pub(crate) fn fold_segment(segment: &str) -> String {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => decoded.extend(unescape(bytes.next(), bytes.next())),
            raw => decoded.push(raw),
        }
    }
    let mut text = String::from_utf8_lossy(&decoded).into_owned();
    text.make_ascii_lowercase();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for (text, canonical) in [
            ("/", "/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/b/..", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/%61%7e", "/a~"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a|b[c]", "/a%7Cb%5Bc%5D"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/%40scope/x", "/%40scope/x"),
            ("/a?b=%2F../..//&c", "/a?b=%2F../..//&c"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(path(text).unwrap().as_str(), canonical, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "a",
            "*",
            "http://h/",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%0d%0a",
            "/a b",
            "/a#f",
            "/%zz",
            "/%4",
            "/%c0%ae",
            "/%ff",
            "/\u{e9}",
            "/../a",
            "/a/../../b",
            "/a/..;/b",
            "/;x/b",
            "/%252e",
            "/a?b%",
            "/a?b c",
        ] {
            assert!(path(text).is_err(), "{text}: {:?}", path(text));
        }
    }

    #[test]
    fn a_deny_sees_what_a_lenient_server_would() {
        for (text, folded) in [("/A/b/", "/a/b"), ("/%40x", "/@x"), ("/a;p=1/b", "/a/b"), ("/", "/")] {
            assert_eq!(path(text).unwrap().folded(), folded, "{text}");
        }
    }
}

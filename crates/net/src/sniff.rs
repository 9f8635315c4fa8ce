//! Tells from the first bytes what a client speaks.

use crate::clienthello::{self, ClientHello, HelloError};

/// The preface of HTTP/2 without TLS (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest method that is taken for HTTP/1.
const METHOD_MAX: usize = 32;

/// What a client speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// TLS, with its first message.
    Tls(ClientHello),
    /// TLS, with a first message that cannot be judged.
    BadTls(HelloError),
    /// HTTP/1: a method and a space.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
    /// Anything else.
    Other,
}

/// Looks at the first bytes; `None` when more are needed to tell.
pub fn look(bytes: &[u8]) -> Option<Spoken> {
    let first = bytes.first()?;
    if *first == 22 {
        return match clienthello::parse(bytes) {
            Ok(hello) => hello.map(Spoken::Tls),
            Err(HelloError::NotTls) => Some(Spoken::Other),
            Err(why) => Some(Spoken::BadTls(why)),
        };
    }
    if bytes.starts_with(PREFACE) {
        return Some(Spoken::Http2);
    }
    if PREFACE.starts_with(bytes) {
        return None;
    }
    http1(bytes)
}

/// A token, a space and the beginning of a target; empty lines before it are tolerated (RFC 9112 section 2.2).
fn http1(bytes: &[u8]) -> Option<Spoken> {
    let blank = bytes.iter().take(4).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let line = &bytes[blank..];
    let method = line.iter().take_while(|b| is_token(**b)).count();
    match line.get(method) {
        None if method <= METHOD_MAX => None,
        Some(b' ') if (1..=METHOD_MAX).contains(&method) => match line.get(method + 1) {
            None => None,
            Some(target) if target.is_ascii_graphic() && !is_banner(line) => Some(Spoken::Http1),
            Some(_) => Some(Spoken::Other),
        },
        _ => Some(Spoken::Other),
    }
}

/// Mail and file-transfer clients also begin with a word and a space.
fn is_banner(line: &[u8]) -> bool {
    [&b"EHLO "[..], b"HELO ", b"USER "].iter().any(|word| line.starts_with(word))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_is_spoken() {
        for (bytes, spoken) in [
            (&b""[..], None),
            (b"G", None),
            (b"GET ", None),
            (b"GET /", Some(Spoken::Http1)),
            (b"get /", Some(Spoken::Http1)),
            (b"\r\nPOST http://x", Some(Spoken::Http1)),
            (b"OPTIONS *", Some(Spoken::Http1)),
            (b"PRI * HTTP/2.0\r\n", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0", Some(Spoken::Http2)),
            (b"PRI *x", Some(Spoken::Http1)),
            (b"SSH-2.0-OpenSSH_9\r\n", Some(Spoken::Other)),
            (b"EHLO me\r\n", Some(Spoken::Other)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(Spoken::Other)),
            (b"\x16\x03", None),
            (b"\x16\x05", Some(Spoken::Other)),
            (b"\x16\x03\x01\x00\x00", Some(Spoken::BadTls(HelloError::Malformed))),
            (&[b'A'; 33], Some(Spoken::Other)),
        ] {
            assert_eq!(look(bytes), spoken, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}

//! Reads what a TLS client says first, without answering: where it wants to go and what it will speak.
//!
//! A connection that is passed through is never decrypted, so its first message has to be judged as bytes and then
//! forwarded as the same bytes. rustls' `Acceptor` reads it too but does not say whether encrypted hello is present
//! and refuses what it cannot speak; a pass-through must be able to forward what this program could not speak.
//! RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301, RFC 9849.

/// The most bytes of records that a first message may take (a hello with post-quantum shares takes about 2 KiB).
pub const MAX: usize = 64 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;
const ENCRYPTED_HELLO: u16 = 0xfe0d;

/// What a client said first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name asked for, as sent (not canonical yet); absent when none was sent.
    pub server_name: Option<String>,
    /// Protocols offered, in the client's order.
    pub protocols: Vec<Vec<u8>>,
    /// An encrypted hello is present, or the decoy that some clients always send: the two cannot be told apart.
    pub encrypted_hello: bool,
}

impl ClientHello {
    /// Whether `protocol` was offered.
    pub fn offers(&self, protocol: &[u8]) -> bool {
        self.protocols.iter().any(|p| p == protocol)
    }
}

/// Why bytes are not a first message that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Something other than a TLS handshake record.
    #[error("not a TLS handshake")]
    NotTls,
    /// A handshake message other than a client's first.
    #[error("the first TLS message is not a client hello")]
    NotHello,
    /// A length that runs past its surroundings, or bytes left over.
    #[error("malformed client hello")]
    Malformed,
    /// An extension that appears twice, or two names where one is allowed.
    #[error("the client hello says the same thing twice")]
    Twice,
    /// Longer than [`MAX`].
    #[error("client hello longer than 64 KiB")]
    TooLong,
}

/// Reads the message from the connection's first bytes; `None` when more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    let Some(message) = unframe(bytes)? else { return Ok(None) };
    hello(&message).map(Some)
}

/// Joins the handshake message out of its records. `None` when it is not whole yet.
fn unframe(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, HelloError> {
    if bytes.len() > MAX {
        return Err(HelloError::TooLong);
    }
    let mut message = Vec::new();
    loop {
        match bytes {
            [] => return Ok(None),
            [HANDSHAKE] | [HANDSHAKE, 3] => return Ok(None),
            [HANDSHAKE, 3, ..] => {}
            _ => return Err(HelloError::NotTls),
        }
        let [_, _, _, high, low, rest @ ..] = bytes else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len == 0 || len > 1 << 14 {
            return Err(HelloError::Malformed);
        }
        let Some((record, after)) = rest.split_at_checked(len) else {
            return early(message.first().or(rest.first()));
        };
        message.extend_from_slice(record);
        bytes = after;
        if let Some(whole) = whole(&message)? {
            message.truncate(whole);
            return Ok(Some(message));
        }
    }
}

/// Says at the first byte, not after a whole record, that this is no client hello.
fn early(first: Option<&u8>) -> Result<Option<Vec<u8>>, HelloError> {
    match first {
        Some(&kind) if kind != CLIENT_HELLO => Err(HelloError::NotHello),
        _ => Ok(None),
    }
}

/// The whole message's length, once it is all there.
fn whole(message: &[u8]) -> Result<Option<usize>, HelloError> {
    let [kind, a, b, c, rest @ ..] = message else { return Ok(None) };
    if *kind != CLIENT_HELLO {
        return Err(HelloError::NotHello);
    }
    let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    if len > MAX {
        return Err(HelloError::TooLong);
    }
    Ok((rest.len() >= len).then_some(4 + len))
}

fn hello(message: &[u8]) -> Result<ClientHello, HelloError> {
    let mut read = Reader(&message[4..]);
    read.take(2 + 32)?; // Version and random.
    read.vec8()?; // Session id.
    read.vec16()?; // Cipher suites.
    read.vec8()?; // Compression methods.
    let mut found = ClientHello::default();
    if read.0.is_empty() {
        return Ok(found);
    }
    let mut extensions = Reader(read.vec16()?);
    if !read.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    let mut seen = Seen::default();
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vec16()?;
        match kind {
            SERVER_NAME => {
                once(&mut seen.name)?;
                found.server_name = server_name(data)?;
            }
            APPLICATION_PROTOCOLS => {
                once(&mut seen.protocols)?;
                found.protocols = protocols(data)?;
            }
            ENCRYPTED_HELLO => found.encrypted_hello = true,
            _ => {}
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Seen {
    name: bool,
    protocols: bool,
}

fn once(seen: &mut bool) -> Result<(), HelloError> {
    if std::mem::replace(seen, true) { Err(HelloError::Twice) } else { Ok(()) }
}

fn server_name(data: &[u8]) -> Result<Option<String>, HelloError> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vec16()?);
    if !outer.0.is_empty() || list.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    let kind = list.take(1)?[0];
    let name = list.vec16()?;
    if !list.0.is_empty() {
        return Err(HelloError::Twice);
    }
    if kind != 0 || !name.is_ascii() || name.is_empty() {
        return Err(HelloError::Malformed);
    }
    Ok(String::from_utf8(name.to_vec()).ok())
}

fn protocols(data: &[u8]) -> Result<Vec<Vec<u8>>, HelloError> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vec16()?);
    if !outer.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    let mut found = Vec::new();
    while !list.0.is_empty() {
        found.push(list.vec8()?.to_vec());
    }
    Ok(found)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        let two = self.take(2)?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    }

    fn vec8(&mut self) -> Result<&'a [u8], HelloError> {
        let len = self.take(1)?[0];
        self.take(usize::from(len))
    }

    fn vec16(&mut self) -> Result<&'a [u8], HelloError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn real_hello(name: &str, protocols: &[&str]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_real_hello_is_read_whole_and_not_before() {
        let bytes = real_hello("api.example.com", &["h2", "http/1.1"]);
        let hello = parse(&bytes).unwrap().unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("api.example.com"));
        assert!(hello.offers(b"h2") && hello.offers(b"http/1.1") && !hello.offers(b"h3"));
        assert!(!hello.encrypted_hello);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn an_address_sends_no_name() {
        assert_eq!(parse(&real_hello("192.0.2.1", &[])).unwrap().unwrap().server_name, None);
    }

    #[test]
    fn a_hello_cut_into_one_byte_records_is_the_same_hello() {
        let bytes = real_hello("a.example", &["h2"]);
        let message = &bytes[5..];
        let tiny: Vec<u8> = message.iter().flat_map(|b| [22, 3, 1, 0, 1, *b]).collect();
        assert_eq!(parse(&tiny), parse(&bytes));
    }

    #[test]
    fn what_is_not_a_hello_is_refused_at_once() {
        for (bytes, why) in [
            (&b"GET / HTTP/1.1"[..], HelloError::NotTls),
            (b"\x16\x02", HelloError::NotTls),
            (b"\x16\x03\x01\x00\x00", HelloError::Malformed),
            (b"\x16\x03\x01\xff\xff", HelloError::Malformed),
            (b"\x16\x03\x01\x00\x05\x02", HelloError::NotHello),
            (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", HelloError::TooLong),
            (b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", HelloError::Malformed),
        ] {
            assert_eq!(parse(bytes), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn two_names_are_refused() {
        assert_eq!(server_name(b"\x00\x08\x00\x00\x01a\x00\x00\x01b"), Err(HelloError::Twice));
        assert_eq!(server_name(b"\x00\x05\x00\x00\x02a\x80"), Err(HelloError::Malformed));
        assert_eq!(server_name(b"\x00\x04\x00\x00\x01a"), Ok(Some("a".to_owned())));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let mut framed = vec![22, 3, 1, (bytes.len() >> 8) as u8, bytes.len() as u8];
            framed.extend(&bytes);
            let _ = parse(&framed);
        }
    }
}

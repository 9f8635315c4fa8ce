//! A proxy for clients that were told to use one: `proxy.internal`, any port.
//!
//! Nobody needs it, since every connection is captured; but there are clients that refuse to work without a proxy. It
//! speaks HTTP (CONNECT and absolute form, RFC 9110 sections 7.1 and 9.3.6) and SOCKS 5 (RFC 1928, CONNECT without
//! authentication), only learns from it where the client wants to go, and hands the connection to the same decisions
//! as if the client had connected there itself.

use bytes::{Bytes, BytesMut};
use creel_net::Socket;
use creel_policy::canonical;
use creel_types::Host;
use http::Uri;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The name that the proxy answers to inside.
const NAME: &str = "proxy.internal";

/// The longest head of a request to the proxy.
const HEAD: usize = 16 * 1024;
/// Fields of a head; more is nobody's.
const FIELDS: usize = 128;

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

const SOCKS: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_NOT_SUPPORTED: u8 = 8;

/// Where a client wants to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub host: Host,
    pub port: u16,
    /// Requests come in absolute form, each with a host of its own: the connection is for the first one alone.
    pub once: bool,
}

/// Whether a connection is to the proxy.
pub(crate) fn is_meant(host: &Host) -> bool {
    matches!(host, Host::Name(name) if name.as_str() == NAME)
}

/// Learns where the client wants to go, and answers it as a proxy would; what is for the other end is put back. `None`
/// when it did not say so in time, or nothing that can be understood.
pub(crate) async fn ask(socket: &mut Socket, within: Duration) -> Option<Asked> {
    tokio::time::timeout(within, heard(socket)).await.ok()?.ok()?
}

async fn heard(socket: &mut Socket) -> std::io::Result<Option<Asked>> {
    let mut said = BytesMut::with_capacity(1024);
    if socket.read_buf(&mut said).await? == 0 {
        return Ok(None);
    }
    if said[0] == SOCKS { socks(socket, said).await } else { http(socket, said).await }
}

async fn http(socket: &mut Socket, mut said: BytesMut) -> std::io::Result<Option<Asked>> {
    loop {
        match read_head(&said) {
            Ok(Some((asked, length))) => {
                if asked.once {
                    socket.unread(said.freeze());
                } else {
                    socket.write_all(ESTABLISHED).await?;
                    socket.unread(said.split_off(length).freeze());
                }
                return Ok(Some(asked));
            }
            Ok(None) if said.len() < HEAD && socket.read_buf(&mut said).await? > 0 => {}
            _ => {
                socket.write_all(BAD_REQUEST).await?;
                return Ok(None);
            }
        }
    }
}

/// Where a request's head leads, and how long the head is; `None` while it is not whole.
fn read_head(said: &[u8]) -> Result<Option<(Asked, usize)>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = request.parse(said).map_err(drop)? else { return Ok(None) };
    let (method, target) = (request.method.ok_or(())?, request.path.ok_or(())?);
    let uri: Uri = target.parse().map_err(drop)?;
    let authority = uri.authority().ok_or(())?;
    let connect = method == "CONNECT";
    let port = match (authority.port_u16(), connect, uri.scheme_str()) {
        (Some(port), true, None) | (Some(port), false, Some("http")) if port > 0 => port,
        (None, false, Some("http")) if authority.as_str() == authority.host() => 80,
        _ => return Err(()),
    };
    if authority.as_str().contains('@') {
        return Err(());
    }
    let host = canonical::host(authority.host()).map_err(drop)?;
    Ok(Some((Asked { host, port, once: !connect }, length)))
}

async fn socks(socket: &mut Socket, mut said: BytesMut) -> std::io::Result<Option<Asked>> {
    fill(socket, &mut said, 2).await?;
    let methods = usize::from(said[1]);
    fill(socket, &mut said, 2 + methods).await?;
    if !said[2..2 + methods].contains(&NO_AUTHENTICATION) {
        socket.write_all(&[SOCKS, NONE_ACCEPTABLE]).await?;
        return Ok(None);
    }
    let mut said = said.split_off(2 + methods);
    socket.write_all(&[SOCKS, NO_AUTHENTICATION]).await?;
    fill(socket, &mut said, 5).await?;
    if said[0] != SOCKS || said[1] != CONNECT {
        return refuse(socket, COMMAND_NOT_SUPPORTED).await;
    }
    let length = match said[3] {
        1 => 4,
        3 => 1 + usize::from(said[4]),
        4 => 16,
        _ => return refuse(socket, ADDRESS_NOT_SUPPORTED).await,
    };
    fill(socket, &mut said, 4 + length + 2).await?;
    let Some(host) = address(said[3], &said[4..4 + length]) else {
        return refuse(socket, ADDRESS_NOT_SUPPORTED).await;
    };
    let port = u16::from_be_bytes([said[4 + length], said[5 + length]]);
    if port == 0 {
        return refuse(socket, ADDRESS_NOT_SUPPORTED).await;
    }
    socket.write_all(&answer(0)).await?;
    socket.unread(Bytes::from(said.split_off(4 + length + 2)));
    Ok(Some(Asked { host, port, once: false }))
}

/// The host in a request's address field of this type.
fn address(kind: u8, field: &[u8]) -> Option<Host> {
    match kind {
        1 => Some(Host::from_addr(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(field).ok()?)))),
        4 => Some(Host::from_addr(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(field).ok()?)))),
        _ => canonical::host(str::from_utf8(field.get(1..)?).ok()?).ok(),
    }
}

async fn refuse(socket: &mut Socket, why: u8) -> std::io::Result<Option<Asked>> {
    socket.write_all(&answer(why)).await?;
    Ok(None)
}

/// An answer to a request; the address that it names means nothing to anybody.
fn answer(code: u8) -> [u8; 10] {
    [SOCKS, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// Reads until there are `many` bytes.
async fn fill(socket: &mut Socket, said: &mut BytesMut, many: usize) -> std::io::Result<()> {
    while said.len() < many {
        if socket.read_buf(said).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<(String, u16, bool)> {
        let (asked, length) = read_head(text.as_bytes()).ok()??;
        assert_eq!(length, text.len());
        Some((asked.host.to_string(), asked.port, asked.once))
    }

    #[test]
    fn a_head_says_where_to_go_in_one_way_only() {
        for (line, leads) in [
            ("CONNECT a.com:443", Some(("a.com", 443, false))),
            ("CONNECT [2001:db8::1]:443", Some(("[2001:db8::1]", 443, false))),
            ("CONNECT A.COM.:8443", Some(("a.com", 8443, false))),
            ("GET http://a.com/x?y", Some(("a.com", 80, true))),
            ("POST http://a.com:8080/", Some(("a.com", 8080, true))),
            ("CONNECT a.com", None),
            ("CONNECT a.com:0", None),
            ("CONNECT u@a.com:443", None),
            ("CONNECT http://a.com:443/", None),
            ("GET https://a.com/", None),
            ("GET ftp://a.com/", None),
            ("GET http://u:p@a.com/", None),
            ("GET http://a.com:99999/", None),
            ("GET /x", None),
            ("OPTIONS *", None),
        ] {
            let leads = leads.map(|(host, port, once)| (host.to_owned(), port, once));
            assert_eq!(head(&format!("{line} HTTP/1.1\r\nHost: other.com\r\n\r\n")), leads, "{line}");
        }
        assert_eq!(read_head(b"CONNECT a.com:443 HTTP/1.1\r\nHost: a"), Ok(None));
        assert_eq!(read_head(b"\x16\x03\x01"), Err(()));
    }

    #[test]
    fn an_address_of_any_type_is_a_host() {
        assert_eq!(address(1, &[192, 0, 2, 1]).unwrap().to_string(), "192.0.2.1");
        assert_eq!(address(3, b"\x05A.com").unwrap().to_string(), "a.com");
        assert_eq!(address(3, b"\x09127.0.0.1").unwrap().to_string(), "127.0.0.1");
        assert!(address(3, b"\x03a b").is_none() && address(3, b"\x02\xff\xfe").is_none());
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
        assert_eq!(address(4, &mapped).unwrap().to_string(), "127.0.0.1");
    }
}

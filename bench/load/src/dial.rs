//! Connections of the client: plain or TLS, directly or through a proxy's CONNECT.

use crate::Failure;
use crate::arguments::Arguments;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A byte stream, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where to connect, and what to ask there.
pub struct Target {
    host: String,
    /// What `Host` says: the name, and the port where the URL has one.
    authority: String,
    path: String,
    port: u16,
    /// Connect here instead of asking the resolver for `host`.
    addr: Option<String>,
    proxy: Option<String>,
    tls: Option<TlsConnector>,
    body: Option<String>,
    token: String,
}

impl Target {
    /// From `--url`, and optionally `--addr`, `--proxy`, `--ca`, `--body` and `--token`.
    pub fn read(arguments: &Arguments) -> Result<Self, Failure> {
        let url: hyper::Uri = arguments.text("url")?.parse()?;
        let tls = url.scheme_str() == Some("https");
        Ok(Self {
            host: url.host().ok_or("the URL has no host")?.to_owned(),
            authority: url.authority().map(ToString::to_string).unwrap_or_default(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            port: url.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            addr: arguments.maybe("addr").map(str::to_owned),
            proxy: arguments.maybe("proxy").map(str::to_owned),
            tls: if tls { Some(connector(arguments)?) } else { None },
            body: arguments.maybe("body").map(str::to_owned),
            token: arguments.maybe("token").unwrap_or("measured").to_owned(),
        })
    }

    /// A new connection, ready for its first byte.
    pub async fn open(&self) -> Result<Box<dyn Stream>, Failure> {
        let named = format!("{}:{}", self.host, self.port);
        let mut tcp =
            TcpStream::connect(self.proxy.as_ref().or(self.addr.as_ref()).unwrap_or(&named)).await?;
        tcp.set_nodelay(true)?;
        if self.proxy.is_some() {
            tunnel(&mut tcp, self.addr.as_ref().unwrap_or(&named)).await?;
        }
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.host.clone())?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }

    /// A new HTTP connection.
    pub async fn http(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.open().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request to this target.
    pub fn request(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let body = self.body.clone().unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token));
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }
}

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6).
async fn tunnel(tcp: &mut TcpStream, to: &str) -> Result<(), Failure> {
    tcp.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tcp.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("the proxy said: {line}").into()) }
}

/// Every handshake is a full one: resumption would measure the peers' caches.
fn connector(arguments: &Arguments) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    let file = arguments.maybe("ca").unwrap_or("/etc/ssl/certs/ca-certificates.crt");
    for cert in rustls_pemfile::certs(&mut std::io::BufReader::new(std::fs::File::open(file)?)) {
        let _ = roots.add(cert?);
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

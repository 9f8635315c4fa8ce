//! A real HTTPS server on loopback, with its own authority, that remembers what reached it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request that reached the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET /path?query` as it came on the wire.
    pub line: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// Header lines, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Length of the body.
    pub body: usize,
    /// The body itself.
    pub text: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
}

/// The server. It lives until the test's process ends.
pub struct Upstream {
    /// Where it answers HTTPS (HTTP/1.1 and HTTP/2).
    pub tls: SocketAddr,
    /// Where it answers plain HTTP.
    pub plain: SocketAddr,
    /// Where it greets first and echoes bytes: no HTTP, no TLS.
    pub raw: SocketAddr,
    ca_pem: String,
    log: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts it for these names.
    pub fn start(names: &[&str]) -> Self {
        let (ca_pem, config) = certificates(names);
        let (log, accepted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (send, receive) = std::sync::mpsc::channel();
        let shared = (Arc::clone(&log), Arc::clone(&accepted));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let bind = || TcpListener::bind("127.0.0.1:0");
                let (tls, plain, raw) = (bind().await.unwrap(), bind().await.unwrap(), bind().await.unwrap());
                let addresses = [&tls, &plain, &raw].map(|l| l.local_addr().unwrap());
                send.send(addresses).unwrap();
                let (log, accepted) = shared;
                tokio::join!(
                    serve_tls(tls, config, Arc::clone(&log), Arc::clone(&accepted)),
                    serve_plain(plain, log, Arc::clone(&accepted)),
                    serve_raw(raw, accepted)
                );
            });
        });
        let [tls, plain, raw] = receive.recv().unwrap();
        Self { tls, plain, raw, ca_pem, log, accepted }
    }

    /// Writes the authority's certificate into `dir` and returns its path.
    pub fn ca_file(&self, dir: &Path) -> PathBuf {
        let path = dir.join("upstream-ca.pem");
        std::fs::write(&path, &self.ca_pem).unwrap();
        path
    }

    /// Everything that reached it as a request.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The request lines only.
    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// How many connections it accepted, on all of its ports.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub(crate) fn certificates(names: &[&str]) -> (String, Arc<rustls::ServerConfig>) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "upstream test authority");
    let authority_key = KeyPair::generate().unwrap();
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (authority_cert.pem(), Arc::new(config))
}

type Log = Arc<Mutex<Vec<Seen>>>;

async fn serve_tls(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    log: Log,
    accepted: Arc<AtomicUsize>,
) {
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request| answer(request, Arc::clone(&log)));
            let io = TokioIo::new(stream);
            if h2 {
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service)
                    .await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .with_upgrades()
                    .await;
            }
        });
    }
}

async fn serve_plain(listener: TcpListener, log: Log, accepted: Arc<AtomicUsize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&log)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve_raw(listener: TcpListener, accepted: Arc<AtomicUsize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 hello\r\n").await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

/// Repeats what it was sent, in a field and in the body.
fn echoed(seen: &Seen) -> Response<BoxBody> {
    let authorization =
        seen.headers.iter().find(|(name, _)| name == "authorization").map_or("", |(_, value)| value);
    let text = format!("{}\nauthorization: {authorization}\n{}\n", seen.line, seen.text);
    Response::builder().header("x-echo", authorization).body(body_for("", text)).unwrap()
}

/// An answer's head with which the protocol is switched.
fn upgraded(answer: Response<BoxBody>) -> Response<BoxBody> {
    let mut answer = answer.map(|_| body_for("", String::new()));
    *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    answer
}

/// `/echo` repeats the request, `/upgrade` its fields while it switches protocols; `/gzip` says that it is compressed; `/bytes/N` answers N bytes; `/slow/N` answers N numbered lines, one each 20 ms; anything else says what it saw.
async fn answer(request: Request<Incoming>, log: Log) -> Result<Response<BoxBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let header = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let host = parts.uri.authority().map(|a| a.to_string()).or_else(|| parts.headers.get("host").map(header));
    let seen = Seen {
        line: format!("{} {}", parts.method, parts.uri.path_and_query().map_or("*", |p| p.as_str())),
        host: host.unwrap_or_default(),
        headers: parts.headers.iter().map(|(k, v)| (k.to_string(), header(v))).collect(),
        body: body.len(),
        text: String::from_utf8_lossy(&body).into_owned(),
        version: format!("{:?}", parts.version),
    };
    let text = format!("upstream saw {} {}\n", seen.version, seen.line);
    let response = match parts.uri.path() {
        "/echo" => echoed(&seen),
        "/upgrade" => upgraded(echoed(&seen)),
        "/gzip" => Response::builder().header("content-encoding", "gzip").body(body_for("", text)).unwrap(),
        path => Response::new(body_for(path, text)),
    };
    log.lock().unwrap().push(seen);
    Ok(response)
}

type BoxBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

fn body_for(path: &str, text: String) -> BoxBody {
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
    if let Some(n) = number("/bytes/") {
        return Full::new(Bytes::from(vec![b'x'; n])).boxed_unsync();
    }
    let Some(lines) = number("/slow/") else { return Full::new(Bytes::from(text)).boxed_unsync() };
    let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        for i in 0..lines {
            if send.send(Bytes::from(format!("line {i}\n"))).await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    Lines(receive).boxed_unsync()
}

struct Lines(tokio::sync::mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}

//! The tour's outside world: an HTTPS upstream with its own authority, and a model backend, both on loopback.

use crate::failure::Failure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsAcceptor;

const COMPLETION: &str = r#"{"id":"demo","object":"chat.completion","model":"demo-model","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;

/// What reached the outside.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    keys: Vec<String>,
}

/// The servers; they end with the process.
pub struct Upstream {
    https: SocketAddr,
    backend: SocketAddr,
    authority: String,
    log: Arc<Mutex<Log>>,
}

impl Upstream {
    /// Starts both.
    pub fn start() -> Result<Self, Failure> {
        let (authority, acceptor) = certificates()?;
        let (https, backend) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let log = Arc::new(Mutex::new(Log::default()));
        let this = Self {
            https: https.local_addr()?,
            backend: backend.local_addr()?,
            authority,
            log: Arc::clone(&log),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("demo-upstream".into()).spawn(move || {
            runtime.block_on(async {
                tokio::join!(serve(https, Some(acceptor), Arc::clone(&log)), serve(backend, None, log));
            });
        })?;
        Ok(this)
    }

    /// Where the HTTPS upstream answers.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// Where the model backend answers.
    pub fn backend(&self) -> SocketAddr {
        self.backend
    }

    /// The upstream's authority, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What reached either, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Whether the backend was called with this key.
    pub fn saw_key(&self, key: &str) -> bool {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.keys.iter().any(|seen| seen.strip_prefix("Bearer ") == Some(key))
    }
}

fn certificates() -> Result<(String, TlsAcceptor), Failure> {
    let mut authority = CertificateParams::new(vec![])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Creel demo upstream");
    let key = KeyPair::generate()?;
    let certificate = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);
    let names = ["api.demo.test", "docs.demo.test", "paste.demo.test"].map(str::to_owned);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok((certificate.pem(), TlsAcceptor::from(Arc::new(config))))
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, log: Arc<Mutex<Log>>) {
    let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
    let Ok(listener) = listener else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, log) = (tls.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&log)));
            let http = hyper::server::conn::http1::Builder::new();
            match tls {
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        drop(http.serve_connection(TokioIo::new(stream), service).await);
                    }
                }
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Log>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .unwrap_or_default()
    };
    let (host, key, path) = (text("host"), text("authorization"), request.uri().path().to_owned());
    let line = format!("{} {host}{path}", request.method());
    let _ = request.into_body().collect().await;
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.lines.push(line);
    if key.is_empty() {
        return Ok(Response::new(Full::from("hello from the outside\n")));
    }
    log.keys.push(key);
    let mut response = Response::new(Full::from(COMPLETION));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

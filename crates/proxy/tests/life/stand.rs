//! An exit with a policy, and agents that connect through it.

use bytes::Bytes;
use creel_net::authority::Authority;
use creel_net::trust::Trust;
use creel_policy::{Document, Operator, Policy, Resolution, compile};
use creel_proxy::{
    Alarm, ConnectionAdmitted, ConnectionEnded, DnsAsked, Exit, InForce, Journal, JournalError, Limits,
    Models, PolicyCell, Refused, RequestAdmitted, RequestEnded, Setting, Witness,
};
use creel_types::{Caller, Generation, HostName, Program};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What an agent sends in these tests.
pub type Sent = Full<Bytes>;

pub struct Stand {
    pub exit: Arc<Exit>,
    pub cell: Arc<PolicyCell>,
    pub notes: Arc<Notes>,
    pub inside: Arc<Authority>,
    pub outside: Arc<Authority>,
    pub resolve: Vec<Resolution>,
    program: Arc<Mutex<Option<PathBuf>>>,
}

/// A record in memory.
#[derive(Default)]
pub struct Notes {
    pub lines: Mutex<Vec<String>>,
    pub full: AtomicBool,
}

impl Notes {
    fn note(&self, line: String) -> Result<(), JournalError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(JournalError("disk full".to_owned()));
        }
        self.lines.lock().unwrap().push(line);
        Ok(())
    }

    pub fn count(&self, beginning: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(beginning)).count()
    }
}

impl Journal for Notes {
    fn connection(&self, e: &ConnectionAdmitted<'_>) -> Result<(), JournalError> {
        self.note(format!("connection {}:{} {} {}", e.who.host, e.who.port, e.rule, e.handling))
    }

    fn ended(&self, e: &ConnectionEnded<'_>) -> Result<(), JournalError> {
        self.note(format!("ended {}:{} {} {} {}", e.who.host, e.who.port, e.sent, e.received, e.cut))
    }

    fn request(&self, e: &RequestAdmitted<'_>) -> Result<(), JournalError> {
        let said = e.said.map(|said| format!(" [{said}]")).unwrap_or_default();
        self.note(format!("request {} {}{} {}{said}", e.method, e.who.host, e.path, e.rule))
    }

    fn answered(&self, e: &RequestEnded<'_>) -> Result<(), JournalError> {
        self.note(format!("answered {} {:?} {} {}", e.admitted.path, e.status, e.sent, e.received))
    }

    fn refused(&self, e: &Refused<'_>) -> Result<(), JournalError> {
        let asked = e.request.map(|asked| (asked.method, asked.target));
        self.note(format!("refused {}:{} {asked:?} {}", e.who.host, e.who.port, e.refusal.reason))
    }

    fn alarm(&self, e: &Alarm<'_>) -> Result<(), JournalError> {
        self.note(format!("alarm {}:{} {}", e.who.host, e.who.port, e.what))
    }

    fn question(&self, e: &DnsAsked<'_>) -> Result<(), JournalError> {
        self.note(format!("question {} {} {:?}", e.kind, e.name, e.answered))
    }
}

/// Everybody is this program.
struct Everybody(Arc<Mutex<Option<PathBuf>>>);

impl Witness for Everybody {
    fn who(&self, _: SocketAddr, _: SocketAddr) -> Option<Arc<Caller>> {
        let path = self.0.lock().unwrap().clone()?;
        Some(Arc::new(Caller { chain: vec![Program { pid: 7, path, digest: None, foreign_code: None }] }))
    }

    fn who_asked(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<Caller>> {
        self.who(source, destination)
    }
}

pub fn policy(rules: &str, resolve: &[Resolution]) -> Arc<Policy> {
    let text = format!("version: 1\nname: test\nnetwork:\n  rules:\n{rules}");
    let document = Document { name: "test.yaml".into(), text, base: "/".into() };
    let operator = Operator {
        home: "/home/agent".into(),
        workspace: "/work".into(),
        resolve: resolve.to_vec(),
        base: "/".into(),
        links: creel_policy::Links::default(),
    };
    let load = |name: &str, _: &std::path::Path| Err(format!("no {name} here"));
    Arc::new(compile(&[document], &operator, &load).unwrap_or_else(|errors| panic!("{errors}")))
}

impl Stand {
    pub fn new(rules: &str, resolve: &[(&str, SocketAddr)], outside: Arc<Authority>) -> Self {
        Self::with(rules, resolve, outside, Some("/usr/bin/agent".into()), Arc::new(creel_proxy::NoModels))
    }

    pub fn with(
        rules: &str,
        resolve: &[(&str, SocketAddr)],
        outside: Arc<Authority>,
        program: Option<PathBuf>,
        models: Arc<dyn Models>,
    ) -> Self {
        Self::within(Limits::default(), rules, resolve, outside, (program, models))
    }

    /// The same with other bounds.
    pub fn within(
        limits: Limits,
        rules: &str,
        resolve: &[(&str, SocketAddr)],
        outside: Arc<Authority>,
        (program, models): (Option<PathBuf>, Arc<dyn Models>),
    ) -> Self {
        let resolve: Vec<_> = resolve
            .iter()
            .map(|(name, addr)| Resolution {
                host: HostName::new(name).unwrap(),
                addr: addr.ip(),
                port: Some(addr.port()),
            })
            .collect();
        let cell = Arc::new(PolicyCell::new(Generation::FIRST, policy(rules, &resolve)));
        let notes = Arc::new(Notes::default());
        let inside = Arc::new(Authority::new("inside").unwrap());
        let pem = ("outside".to_owned(), outside.pem().as_bytes().to_vec());
        let program = Arc::new(Mutex::new(program));
        let exit = Exit::new(Setting {
            policy: Arc::clone(&cell),
            record: Arc::<Notes>::clone(&notes),
            witness: Arc::new(Everybody(Arc::clone(&program))),
            authority: Arc::clone(&inside),
            trust: Arc::new(Trust::only(&[pem]).unwrap()),
            models,
            limits,
        });
        Self { exit, cell, notes, inside, outside, resolve, program }
    }

    /// Puts other rules in force, and asks about what is live.
    pub fn swap(&self, rules: &str) -> creel_proxy::Rejudged {
        let InForce { generation, .. } = **self.cell.load();
        self.cell.swap(generation.next(), policy(rules, &self.resolve));
        self.exit.rejudge()
    }

    /// Who connects from now on.
    pub fn becomes(&self, program: &str) {
        *self.program.lock().unwrap() = Some(program.into());
    }

    /// From now on the kernel cannot say who connects.
    pub fn is_unknown(&mut self) {
        *self.program.lock().unwrap() = None;
    }

    /// Where the sandbox's resolver sends `host`; an address is itself.
    pub fn address(&self, host: &str) -> IpAddr {
        host.parse()
            .unwrap_or_else(|_| self.exit.names().of(&HostName::new(host).unwrap()).unwrap().v4.into())
    }

    /// An agent's connection to `host:port`.
    pub async fn connect(&self, host: &str, port: u16) -> TcpStream {
        let (agent, accepted) = pair().await;
        let source = agent.local_addr().unwrap();
        let destination = SocketAddr::new(self.address(host), port);
        tokio::spawn(Arc::clone(&self.exit).connection(accepted, source, destination));
        agent
    }

    /// The same with TLS, for the name `sni`.
    pub async fn secure(
        &self,
        (host, port): (&str, u16),
        sni: &str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.connect(host, port).await;
        secure(stream, sni, protocols, &[&self.inside, &self.outside]).await
    }

    /// A new HTTP/1.1 connection over TLS.
    pub async fn https1(&self, host: &str) -> http1::SendRequest<Sent> {
        speak1(self.secure((host, 443), host, &["http/1.1"]).await.unwrap()).await
    }

    /// A new HTTP/2 connection over TLS.
    pub async fn https2(&self, host: &str) -> http2::SendRequest<Sent> {
        speak2(self.secure((host, 443), host, &["h2"]).await.unwrap()).await
    }
}

pub async fn secure(
    stream: TcpStream,
    sni: &str,
    protocols: &[&str],
    trusted: &[&Authority],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in trusted {
        roots.add(authority.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = sni.to_owned().try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[expect(clippy::disallowed_methods, reason = "the agent's own dial, on loopback")]
pub async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = TcpStream::connect(listener.local_addr().unwrap());
    let (agent, accepted) = tokio::join!(agent, listener.accept());
    (agent.unwrap(), accepted.unwrap().0)
}

pub async fn speak1<S>(stream: S) -> http1::SendRequest<Sent>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) =
        http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver.with_upgrades());
    sender
}

pub async fn speak2<S>(stream: S) -> http2::SendRequest<Sent>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    sender
}

/// A request as an HTTP/1.1 client makes it.
pub fn ask(method: &str, host: &str, path: &str) -> Request<Sent> {
    Request::builder().method(method).uri(path).header("host", host).body(Sent::default()).unwrap()
}

/// A request as an HTTP/2 client makes it.
pub fn ask2(method: &str, url: &str, body: &'static [u8]) -> Request<Sent> {
    Request::builder().method(method).uri(url).body(Sent::from(body)).unwrap()
}

/// Status, headers, body and trailers.
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Whole {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub async fn whole(response: Response<hyper::body::Incoming>) -> Whole {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Whole { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers }
}

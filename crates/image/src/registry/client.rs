//! Requests to a registry: a connection each, redirects followed, a login where one is asked for.

use super::RegistryError;
use super::auth::{self, Challenge};
use super::credentials::Credentials;
use crate::Reference;
use bytes::Bytes;
use creel_types::Secret;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connecting with TLS.
const CONNECT: Duration = Duration::from_secs(15);
/// Until an answer begins, and between two parts of it.
const SILENCE: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 5;
/// Of an error, to be shown.
const MOST_WORDS: usize = 300;
const MOST_TOKEN: u64 = 256 << 10;

/// A repository of a registry, with what opens it.
pub(super) struct Client {
    tls: Arc<rustls::ClientConfig>,
    base: String,
    server: String,
    path: String,
    credentials: Option<Credentials>,
    login: Option<Secret>,
}

impl Client {
    pub fn new(
        reference: &Reference,
        tls: Arc<rustls::ClientConfig>,
        credentials: Option<Credentials>,
    ) -> Self {
        let server = reference.server().to_owned();
        let base = format!("https://{server}/v2/{}", reference.path);
        Self { tls, base, server, path: reference.path.clone(), credentials, login: None }
    }

    /// Gets `what` of the repository in parts, at most so many bytes.
    pub async fn fetch(
        &mut self,
        what: &str,
        accept: &str,
        most: u64,
        part: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), RegistryError> {
        let uri = self.uri(&format!("{}/{what}", self.base), what)?;
        let mut answer = self.send(&uri, what, accept).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.login.is_none() {
            let challenges: Vec<_> = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
            let challenge = auth::challenge(challenges.iter().filter_map(|v| v.to_str().ok()));
            self.login = Some(self.log_in(challenge).await?);
            answer = self.send(&uri, what, accept).await?;
        }
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(what, answer).await);
        }
        self.body(answer, what, most, part).await
    }

    async fn log_in(&self, challenge: Option<Challenge>) -> Result<Secret, RegistryError> {
        let cannot = |why: String| RegistryError::Login { server: self.server.clone(), why };
        match (challenge, &self.credentials) {
            (Some(Challenge::Basic), Some(credentials)) => Ok(credentials.basic()),
            (Some(Challenge::Basic), None) => Err(cannot("no credentials for it are known".into())),
            (Some(Challenge::Bearer { realm, service }), credentials) => {
                let uri = auth::token_uri(&realm, service.as_deref(), &self.path).map_err(cannot)?;
                let uri = self.uri(&uri, "a token")?;
                let basic = credentials.as_ref().map(Credentials::basic);
                let answer = self.once(&uri, "a token", "application/json", basic.as_ref()).await?;
                if answer.status() != StatusCode::OK {
                    return Err(self.refusal("a token", answer).await);
                }
                let mut bytes = Vec::new();
                let mut keep = |part: &[u8]| {
                    bytes.extend_from_slice(part);
                    Ok(())
                };
                self.body(answer, "a token", MOST_TOKEN, &mut keep).await?;
                auth::bearer(&bytes).map_err(cannot)
            }
            (None, _) => Err(cannot("it asks for one in a way that is not known".into())),
        }
    }

    fn uri(&self, text: &str, what: &str) -> Result<Uri, RegistryError> {
        text.parse().map_err(|error| self.failed(what, format!("`{text}` is no address: {error}")))
    }

    /// Follows redirects. The login stays with the server that asked for it.
    async fn send(&self, uri: &Uri, what: &str, accept: &str) -> Result<Response<Incoming>, RegistryError> {
        let mut at = uri.clone();
        for _ in 0..=MOST_REDIRECTS {
            let same = at.authority() == uri.authority();
            let answer = self.once(&at, what, accept, self.login.as_ref().filter(|_| same)).await?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let to = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
            let to = to.ok_or_else(|| self.failed(what, "a redirect leads nowhere".into()))?;
            at = match to.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
                Some(_) => {
                    self.uri(&format!("https://{}{to}", at.authority().map_or("", |a| a.as_str())), what)?
                }
                None => self.uri(to, what)?,
            };
        }
        Err(self.failed(what, format!("it is redirected more than {MOST_REDIRECTS} times")))
    }

    async fn once(
        &self,
        uri: &Uri,
        what: &str,
        accept: &str,
        login: Option<&Secret>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let failed = |why: String| self.failed(what, why);
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(failed(format!("{uri} is not https")));
        };
        let host = host.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(443);
        let stream = timeout(CONNECT, self.connect(host, port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| RegistryError::Connect { server: format!("{host}:{port}"), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed(e.to_string()))?;
        tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = Request::get(path)
            .header(header::HOST, uri.authority().map_or(host, |a| a.as_str()))
            .header(header::USER_AGENT, concat!("creel/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, accept);
        if let Some(login) = login {
            // The server that asked for it is the one that gets it.
            request = request.header(header::AUTHORIZATION, login.expose());
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| failed(e.to_string()))?;
        match timeout(SILENCE, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(|e| failed(e.to_string())),
            Err(_) => Err(failed("nothing comes".into())),
        }
    }

    /// The operator's own connection: no agent and no policy is behind it.
    #[expect(clippy::disallowed_methods, reason = "no sandbox exists; the operator asks for an image")]
    async fn connect(&self, host: &str, port: u16) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        tokio_rustls::TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await
    }

    async fn body(
        &self,
        answer: Response<Incoming>,
        what: &str,
        most: u64,
        part: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), RegistryError> {
        let mut body = answer.into_body();
        let mut count = 0u64;
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| self.failed(what, "nothing more comes".into()))?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|e| self.failed(what, e.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            count += data.len() as u64;
            if count > most {
                return Err(RegistryError::TooLong {
                    server: self.server.clone(),
                    what: what.to_owned(),
                    most,
                });
            }
            part(data).map_err(RegistryError::Own)?;
        }
    }

    async fn refusal(&self, what: &str, answer: Response<Incoming>) -> RegistryError {
        let status = answer.status().as_u16();
        let mut words = Vec::new();
        let mut keep = |part: &[u8]| {
            words.extend_from_slice(part);
            Ok(())
        };
        // The beginning is enough, and a body that breaks off or is too long has one.
        let _ = self.body(answer, what, 64 << 10, &mut keep).await;
        let words = auth::words(&words);
        let shown: String = words.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
        let why = if shown.is_empty() { String::new() } else { format!(": {shown}") };
        RegistryError::Refused {
            server: self.server.clone(),
            what: format!("{} of {}", what, self.path),
            status,
            why,
        }
    }

    fn failed(&self, what: &str, why: String) -> RegistryError {
        RegistryError::Exchange { what: what.to_owned(), server: self.server.clone(), why }
    }
}

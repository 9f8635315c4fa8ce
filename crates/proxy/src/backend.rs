//! The way to the operator's own model backends: the same dial, with the operator's leave.

use crate::answer::Answer;
use crate::cell::PolicyCell;
use crate::limits::Limits;
use crate::line::Line;
use crate::lines::{Berth, Lines};
use arc_swap::Guard;
use creel_net::resolve::Resolver;
use creel_net::trust::{self, Trust};
use creel_net::{Body, Socket, dial};
use creel_policy::{Backend, BaseUrl, Refusal};
use creel_types::Host;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// A call that did not reach its backend, or was not answered. No byte of an answer had come.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The policy in force has no such backend.
    #[error("no inference backend is called `{0}`")]
    Unknown(String),
    /// The backend of this name is another place by now than the one that the call was made for.
    #[error("backend `{0}` is another place since the policy changed; call again")]
    Moved(String),
    /// The address is not one that a backend may have.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// It could not be reached.
    #[error("reaching backend `{backend}`: {why}")]
    Unreachable {
        /// Its name.
        backend: String,
        /// What went wrong.
        why: String,
    },
    /// It was reached and did not answer the call. The call may have been begun there.
    #[error("backend `{backend}` did not answer: {why}")]
    NoAnswer {
        /// Its name.
        backend: String,
        /// What went wrong.
        why: String,
    },
}

/// Calls backends, over connections that are kept for the next call.
pub struct Outward {
    policy: Arc<PolicyCell>,
    trust: Arc<Trust>,
    resolver: Arc<Resolver>,
    limits: Limits,
    lines: Arc<Lines>,
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outward")
    }
}

impl Outward {
    /// No connection yet.
    pub fn new(policy: Arc<PolicyCell>, trust: Arc<Trust>, resolver: Arc<Resolver>, limits: Limits) -> Self {
        Self { policy, trust, resolver, limits, lines: Arc::default() }
    }

    /// Sends `request` to the backend of this name. Its URI is the whole path and query to ask for (the base URL's
    /// path included); `Host` is set here, and fields of one hop must be gone.
    ///
    /// `place` is where the backend was when the request was made for it. The request has the key of that place, and
    /// goes nowhere else, whatever the policy calls by that name by now.
    pub async fn call(
        &self,
        (backend, place): (&str, &BaseUrl),
        mut request: Request<Body>,
    ) -> Result<Response<Body>, BackendError> {
        let now = Guard::into_inner(self.policy.load());
        let Some(found) = now.policy.backend(backend) else {
            return Err(BackendError::Unknown(backend.to_owned()));
        };
        if found.base_url != *place {
            return Err(BackendError::Moved(backend.to_owned()));
        }
        address(&mut request, &found.base_url);
        let berth =
            Berth { lines: Arc::clone(&self.lines), backend: found.name.clone(), generation: now.generation };
        if let Some(mut line) = self.lines.take(backend, now.generation) {
            match line.send(request).await {
                Ok(response) => return Ok(answered(response, line, berth)),
                Err(mut e) => match e.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(no_answer(backend, e)),
                },
            }
        }
        let mut line = self.open(found).await?;
        let sent = line.send(request).await;
        sent.map(|response| answered(response, line, berth)).map_err(|e| no_answer(backend, e))
    }

    async fn open(&self, backend: &Backend) -> Result<Line, BackendError> {
        let unreachable = |why: String| BackendError::Unreachable { backend: backend.name.clone(), why };
        let url = &backend.base_url;
        let stream = self.reach(backend).await?;
        if !url.tls {
            return Line::agree(stream).await.map_err(|e| unreachable(e.to_string()));
        }
        let name =
            trust::server_name(&url.host).ok_or_else(|| unreachable("not a TLS server name".into()))?;
        let config = self.trust.client(false).map_err(|e| unreachable(e.to_string()))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match tokio::time::timeout(self.limits.dial, handshake).await {
            Ok(Ok(stream)) => Line::agree(stream).await.map_err(|e| unreachable(e.to_string())),
            Ok(Err(e)) => Err(unreachable(format!("TLS: {e}"))),
            Err(_) => Err(unreachable("TLS: no answer in time".into())),
        }
    }

    async fn reach(&self, backend: &Backend) -> Result<Socket, BackendError> {
        let unreachable = |why: String| BackendError::Unreachable { backend: backend.name.clone(), why };
        let mut failed = unreachable(format!("{} has no address", backend.base_url.host));
        for addr in self.addresses(&backend.base_url).await.map_err(unreachable)? {
            let permit = self.policy.load().policy.permit_backend(backend, addr.ip(), addr.port());
            let permit = match permit {
                Ok(permit) => permit,
                Err(refusal) => {
                    failed = BackendError::Refused(refusal.into());
                    continue;
                }
            };
            match dial(permit, self.limits.dial).await {
                Ok(stream) => return Ok(Socket::new(stream)),
                Err(e) => failed = unreachable(e.to_string()),
            }
        }
        Err(failed)
    }

    async fn addresses(&self, url: &BaseUrl) -> Result<Vec<SocketAddr>, String> {
        let with_port = |addr: IpAddr| SocketAddr::new(addr, url.port);
        let name = match &url.host {
            Host::Addr(addr) => return Ok(vec![with_port(*addr)]),
            Host::Name(name) => name,
        };
        if let Some(known) = self.policy.load().policy.resolution(name, url.port) {
            return Ok(vec![known]);
        }
        let found = self.resolver.addresses(name).await.map_err(|e| e.to_string())?;
        Ok(found.into_iter().map(with_port).collect())
    }
}

fn address(request: &mut Request<Body>, url: &BaseUrl) {
    let authority = crate::target::wire_authority(&url.host, url.port, url.tls);
    if let Ok(value) = HeaderValue::from_str(&authority) {
        request.headers_mut().insert(HOST, value);
    }
    *request.version_mut() = Version::HTTP_11;
}

fn answered(response: Response<Incoming>, line: Line, berth: Berth) -> Response<Body> {
    response.map(|body| Body::new(Answer::new(body, line, berth)))
}

fn no_answer(backend: &str, error: TrySendError<Request<Body>>) -> BackendError {
    BackendError::NoAnswer { backend: backend.to_owned(), why: error.into_error().to_string() }
}

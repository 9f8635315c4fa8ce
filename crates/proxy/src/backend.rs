//! The way to the operator's own model backends: the same dial, with the operator's leave.

use crate::cell::PolicyCell;
use crate::limits::Limits;
use creel_net::resolve::Resolver;
use creel_net::trust::{self, Trust};
use creel_net::{Body, Socket, body, dial};
use creel_policy::{Backend, BaseUrl, Refusal};
use creel_types::{Generation, Host};
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Version};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_rustls::TlsConnector;

/// Idle connections kept to one backend.
const IDLE_MOST: usize = 32;
/// An idle connection older than this is not used again: servers close theirs, and a call must not be lost to that.
const IDLE_FOR: Duration = Duration::from_secs(15);

/// A call that did not reach its backend, or was not answered. No byte of an answer had come.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The policy in force has no such backend.
    #[error("no inference backend is called `{0}`")]
    Unknown(String),
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
    idle: Mutex<HashMap<String, Vec<Idle>>>,
}

struct Idle {
    sender: http1::SendRequest<Body>,
    since: Instant,
    generation: Generation,
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outward")
    }
}

impl Outward {
    /// No connection yet.
    pub fn new(policy: Arc<PolicyCell>, trust: Arc<Trust>, resolver: Arc<Resolver>, limits: Limits) -> Self {
        Self { policy, trust, resolver, limits, idle: Mutex::default() }
    }

    /// Sends `request` to the backend of this name. Its URI is the whole path and query to ask for (the base URL's
    /// path included); `Host` is set here, and fields of one hop must be gone.
    pub async fn call(&self, backend: &str, request: Request<Body>) -> Result<Response<Body>, BackendError> {
        let now = self.policy.load();
        let Some(found) = now.policy.backend(backend).cloned() else {
            return Err(BackendError::Unknown(backend.to_owned()));
        };
        let generation = now.generation;
        drop(now);
        let mut request = request;
        address(&mut request, &found.base_url);
        if let Some(sender) = self.kept(backend, generation) {
            match self.send(&found, generation, sender, request).await {
                Ok(response) => return Ok(response),
                Err((_, Some(unsent))) => request = *unsent,
                Err((error, None)) => return Err(error),
            }
        }
        let sender = self.open(&found).await?;
        self.send(&found, generation, sender, request).await.map_err(|(error, _)| error)
    }

    async fn send(
        &self,
        backend: &Backend,
        generation: Generation,
        mut sender: http1::SendRequest<Body>,
        request: Request<Body>,
    ) -> Result<Response<Body>, (BackendError, Option<Box<Request<Body>>>)> {
        match sender.try_send_request(request).await {
            Ok(response) => {
                self.keep(&backend.name, Idle { sender, since: Instant::now(), generation });
                Ok(response.map(body::boxed))
            }
            Err(mut e) => {
                let unsent = e.take_message().map(Box::new);
                let why = e.into_error().to_string();
                Err((BackendError::NoAnswer { backend: backend.name.clone(), why }, unsent))
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free connection that was opened under the policy in force.
    fn kept(&self, backend: &str, generation: Generation) -> Option<http1::SendRequest<Body>> {
        let mut idle = self.idle();
        let known = idle.get_mut(backend)?;
        known.retain(|kept| {
            kept.generation == generation && !kept.sender.is_closed() && kept.since.elapsed() < IDLE_FOR
                || (!kept.sender.is_ready() && !kept.sender.is_closed())
        });
        let free = known.iter().rposition(|kept| kept.generation == generation && kept.sender.is_ready())?;
        Some(known.swap_remove(free).sender)
    }

    fn keep(&self, backend: &str, kept: Idle) {
        let mut idle = self.idle();
        let known = idle.entry(backend.to_owned()).or_default();
        known.retain(|kept| !kept.sender.is_closed());
        if known.len() < IDLE_MOST {
            known.push(kept);
        }
    }

    async fn open(&self, backend: &Backend) -> Result<http1::SendRequest<Body>, BackendError> {
        let unreachable = |why: String| BackendError::Unreachable { backend: backend.name.clone(), why };
        let url = &backend.base_url;
        let stream = self.reach(backend).await?;
        if !url.tls {
            return agree(stream).await.map_err(unreachable);
        }
        let name =
            trust::server_name(&url.host).ok_or_else(|| unreachable("not a TLS server name".into()))?;
        let config = self.trust.client(false).map_err(|e| unreachable(e.to_string()))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match tokio::time::timeout(self.limits.dial, handshake).await {
            Ok(Ok(stream)) => agree(stream).await.map_err(unreachable),
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

async fn agree<S>(stream: S) -> Result<http1::SendRequest<Body>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await;
    let (sender, driver) = handshake.map_err(|e| e.to_string())?;
    // Ends with the last of its senders and answers.
    tokio::spawn(async { drop(driver.await) });
    Ok(sender)
}

//! Model calls: the proxy hands them over, `inference` lives them, and backends are reached through the proxy's one
//! dial.

use crate::journal::Scribe;
use arc_swap::ArcSwap;
use creel_inference::{
    Backend, BackendError, BackendRef, Body, Call, Routes, Speaks, Upstream, UpstreamError,
};
use creel_policy::{Api, BaseUrl, Key, Policy};
use creel_proxy::{self as proxy, CallContext, Called, Outward};
use creel_types::{Generation, Host, Secret};
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why the policy's models cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// A variable that should hold a key is not set.
    #[error("backend `{backend}` takes its key from the variable {variable}, which is not set here")]
    NoVariable {
        /// The backend.
        backend: String,
        /// The variable.
        variable: String,
    },
    /// A file that should hold a key cannot be read.
    #[error("backend `{backend}` takes its key from {}", path.display())]
    NoFile {
        /// The backend.
        backend: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The backend itself is not usable.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The models of the policy in force, exchanged with it.
pub struct Switch {
    now: ArcSwap<Option<creel_inference::Models>>,
    outward: Arc<Outward>,
    scribe: Arc<Scribe>,
}

/// Models that are ready to be put in force.
#[derive(Default)]
pub struct Ready {
    models: Option<creel_inference::Models>,
    /// The number of the policy that they are of, once it is in force. Calls under way end on the models that they began
    /// on, and are recorded with it.
    generation: Arc<AtomicU64>,
}

impl Switch {
    /// Serves no model yet.
    pub fn new(outward: Arc<Outward>, scribe: Arc<Scribe>) -> Self {
        Self { now: ArcSwap::from_pointee(None), outward, scribe }
    }

    /// Makes the models of `policy` ready, with the key from [`find_key`].
    pub fn prepare(&self, policy: &Policy, key: Option<Secret>) -> Result<Ready, ModelsError> {
        let Some((found, asked)) = served(policy) else { return Ok(Ready::default()) };
        let base = found.base_url.to_string().parse()?;
        let speaks = match found.api {
            Api::OpenAi => Speaks::OpenAi,
            Api::Anthropic => Speaks::Anthropic,
            Api::Auto => Speaks::Both,
        };
        let backend = Backend::new(&found.name, base, speaks, key.as_ref())?;
        let (generation, scribe) = (Arc::<AtomicU64>::default(), Arc::clone(&self.scribe));
        let made = Arc::clone(&generation);
        let told = move |call: &Call| {
            let event = call.record(made.load(Ordering::Relaxed), None);
            let _ = scribe.called(event); // a broken record stops the next admission
        };
        let (outward, place) = (Arc::clone(&self.outward), found.base_url.clone());
        let upstream = Arc::new(ThroughTheExit { outward, place });
        let routes = Routes::to(Arc::new(backend), asked);
        let models = Some(creel_inference::Models::new(routes, upstream, Arc::new(told)));
        Ok(Ready { models, generation })
    }

    /// Puts them in force, with the policy of this number.
    pub fn put(&self, ready: Ready, of: Generation) {
        ready.generation.store(of.0, Ordering::Relaxed);
        self.now.store(Arc::new(ready.models));
    }
}

/// The backend that answers model calls, and the model that it is asked for.
fn served(policy: &Policy) -> Option<(&creel_policy::Backend, Option<String>)> {
    let model = policy.inference().route("default")?.models.first()?;
    Some((policy.backend(&model.backend)?, model.model.clone()))
}

/// Reads the key that `policy` asks for, before whoever uses it can read no file any more.
pub fn find_key(policy: &Policy) -> Result<Option<Secret>, ModelsError> {
    served(policy).map_or(Ok(None), |(backend, _)| key(backend))
}

/// Reads a key where the policy says it is. The policy never holds one.
fn key(backend: &creel_policy::Backend) -> Result<Option<Secret>, ModelsError> {
    let name = || backend.name.clone();
    match &backend.key {
        Key::None => Ok(None),
        Key::Env(name_of) => variable(name_of)
            .map(Some)
            .ok_or_else(|| ModelsError::NoVariable { backend: name(), variable: name_of.clone() }),
        Key::File(path) => read_key(path).map(Some).map_err(|source| ModelsError::NoFile {
            backend: name(),
            path: path.clone(),
            source,
        }),
    }
}

/// A secret in the operator's environment.
pub fn variable(name: &str) -> Option<Secret> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Secret::new(value.into_bytes()))
}

/// A secret in a file.
pub fn read_key(path: &Path) -> io::Result<Secret> {
    const LONGEST: u64 = 64 * 1024;
    if std::fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "over 64 KiB: not a key"));
    }
    Ok(Secret::new(std::fs::read(path)?))
}

impl proxy::Models for Switch {
    fn call<'a>(&'a self, request: Request<Body>, from: CallContext) -> Called<'a> {
        Box::pin(async move {
            let now = self.now.load_full();
            let (Some(models), Host::Name(host)) = (now.as_ref(), &from.host) else {
                let mut response = Response::new(creel_net::body::full("no model is configured\n"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return response;
            };
            models.call(host, &from.caller, request).await
        })
    }
}

/// Reaches the backend of one policy through the proxy, which asks the policy in force for a permit and dials.
struct ThroughTheExit {
    outward: Arc<Outward>,
    /// Where that policy has it: its key is for there.
    place: BaseUrl,
}

impl Upstream for ThroughTheExit {
    fn send<'a>(
        &'a self,
        backend: &'a BackendRef,
        request: Request<Body>,
    ) -> BoxFuture<'a, Result<Response<Body>, UpstreamError>> {
        Box::pin(async move {
            self.outward.call((backend.name(), &self.place), request).await.map_err(|error| match error {
                proxy::BackendError::Refused(refusal) => {
                    UpstreamError::Refused { reason: refusal.to_string() }
                }
                other => UpstreamError::Unreachable { reason: other.to_string() },
            })
        })
    }
}

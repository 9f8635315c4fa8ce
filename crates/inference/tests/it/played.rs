//! A backend that is played: what it received, and what it answers.

use crate::{Told, host};
use bytes::Bytes;
use creel_inference::{Backend, BackendRef, Body, Models, Routes, Speaks, Upstream, UpstreamError};
use creel_types::Secret;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::{Arc, Mutex};

/// The operator's key.
pub(crate) const KEY: &str = "sk-operator";

type Answer = dyn Fn() -> Result<Response<Body>, UpstreamError> + Send + Sync;

/// Answers every request alike, and remembers the last one.
pub(crate) struct Played {
    answer: Box<Answer>,
    pub(crate) received: Mutex<Option<(Parts, Bytes)>>,
}

impl Played {
    pub(crate) fn new(
        answer: impl Fn() -> Result<Response<Body>, UpstreamError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), received: Mutex::new(None) })
    }

    pub(crate) fn take(&self) -> (Parts, Bytes) {
        self.received.lock().unwrap().take().expect("nothing went upstream")
    }

    pub(crate) fn untouched(&self) -> bool {
        self.received.lock().unwrap().is_none()
    }
}

impl Upstream for Played {
    fn send<'a>(
        &'a self,
        _backend: &'a BackendRef,
        req: Request<Body>,
    ) -> BoxFuture<'a, Result<Response<Body>, UpstreamError>> {
        Box::pin(async {
            let (parts, body) = req.into_parts();
            let broken =
                |error| UpstreamError::Unreachable { reason: format!("the request broke off: {error}") };
            let bytes = body.collect().await.map_err(broken)?.to_bytes();
            *self.received.lock().unwrap() = Some((parts, bytes));
            (self.answer)()
        })
    }
}

pub(crate) fn backend(base: &str, speaks: Speaks) -> BackendRef {
    let key = Secret::new(KEY.as_bytes());
    Arc::new(Backend::new("local", base.parse().unwrap(), speaks, Some(&key)).unwrap())
}

/// Models on a played backend that speaks everything.
pub(crate) fn models(upstream: &Arc<Played>, told: &Told) -> Models {
    asking_for(None, upstream, told)
}

/// The same, where the policy names this model.
pub(crate) fn asking_for(model: Option<&str>, upstream: &Arc<Played>, told: &Told) -> Models {
    let routes = Routes::to(backend("http://backend:8000/v1", Speaks::Both), model.map(str::to_owned));
    Models::new(routes, Arc::<Played>::clone(upstream), told.hook())
}

/// The host that agents are told of.
pub(crate) fn inference() -> creel_types::HostName {
    host("inference.local")
}

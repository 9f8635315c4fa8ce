//! Where model calls are handed over.

use creel_net::Body;
use creel_types::{Caller, Generation, Host};
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A model call being answered.
pub type Called<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// What is known of a model call beyond the request.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The connection's number within the sandbox's life.
    pub connection: u64,
    /// The host that was called: `inference.local` or a captured provider.
    pub host: Host,
    /// The port there.
    pub port: u16,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The policy that admitted the call.
    pub generation: Generation,
}

/// Answers model calls: routes, meters and forwards them.
pub trait Models: Send + Sync {
    /// Answers one call. The request's URI is in origin form with a canonical path; hop-by-hop fields are gone.
    fn call<'a>(&'a self, request: Request<Body>, from: CallContext) -> Called<'a>;
}

/// No models: every call is answered 503.
#[derive(Debug, Clone, Copy)]
pub struct NoModels;

impl Models for NoModels {
    fn call<'a>(&'a self, _: Request<Body>, _: CallContext) -> Called<'a> {
        Box::pin(async {
            crate::refusal::trouble(http::StatusCode::SERVICE_UNAVAILABLE, "no model is configured")
        })
    }
}

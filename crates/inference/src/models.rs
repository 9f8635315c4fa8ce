//! One model call from its head to its last byte.

use crate::account::{Account, Call, Metered, Told, Watched};
use crate::api::{self, Api, Asked, Family};
use crate::backend::BackendRef;
use crate::meter::Meter;
use crate::named::{self, Room, Stop};
use crate::refuse::{self, Refused};
use crate::routes::Routes;
use crate::{headers, target};
use creel_audit::Target;
use creel_net::swap::{Swapped, Swaps};
use creel_net::{Body, BoxError};
use creel_types::{Caller, HostName, Secret};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use std::sync::Arc;

/// Sends a request to a backend. The integrator's: it asks the policy for a permit, and dials.
pub trait Upstream: Send + Sync {
    /// Sends `req` to `backend` and returns the head of the response with its body still coming.
    ///
    /// The request's URI is a path and a query, and its `host` header is set, as HTTP/1.1 wants them. Its
    /// version is HTTP/1.1; scheme, host and port are the backend's [`BaseUrl`](crate::BaseUrl). Redirects are not
    /// to be followed: the key must go nowhere else.
    fn send<'a>(
        &'a self,
        backend: &'a BackendRef,
        req: Request<Body>,
    ) -> BoxFuture<'a, Result<Response<Body>, UpstreamError>>;
}

/// Why a backend gave no response. The words reach the agent and the record, and must hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The policy does not permit the backend's address.
    #[error("the model backend is not permitted: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It could not be reached, or broke off before its response.
    #[error("the model backend could not be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the model backend did not answer in time: {reason}")]
    TimedOut {
        /// What took too long.
        reason: String,
    },
}

impl UpstreamError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Refused { .. } => StatusCode::FORBIDDEN,
            Self::Unreachable { .. } => StatusCode::BAD_GATEWAY,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// The models of one sandbox. Cheap to make: a policy change makes another, and calls under way end on the old one.
pub struct Models {
    routes: Routes,
    upstream: Arc<dyn Upstream>,
    on_call: Told,
    room: Room,
}

impl Models {
    /// Answers calls by these routes, and tells `on_call` of each once it is over: answered, refused, or dropped
    /// half-way. `on_call` runs where the last byte is handed over and must not block for long.
    pub fn new(
        routes: Routes,
        upstream: Arc<dyn Upstream>,
        on_call: Arc<dyn Fn(&Call) + Send + Sync>,
    ) -> Self {
        Self { routes, upstream, on_call, room: Room::default() }
    }

    /// Answers one request. Always a response: what cannot be passed on is answered with an error in the shape that
    /// the caller's client expects.
    ///
    /// That `host` leads here at all, and for this caller, is the policy's decision and was made before.
    pub async fn call(&self, host: &HostName, caller: &Arc<Caller>, req: Request<Body>) -> Response<Body> {
        let guess = family_of(host, req.headers());
        let open = |api| Account::open(host, caller, api, Arc::clone(&self.on_call));
        let asked = api::classify(req.method(), req.uri().path(), guess);
        match asked {
            Asked::Probe => refuse::probe(),
            Asked::Unknown => {
                let (method, path) = shown(&req);
                refused(open(None), guess, Refused::NotAModelCall { method, path })
            }
            _ if wants_upgrade(&req) => refused(open(None), guess, Refused::Upgrade),
            Asked::WrongMethod => {
                let (method, path) = shown(&req);
                refused(open(None), guess, Refused::WrongMethod { method, path })
            }
            Asked::Call { api, rest } => {
                let rest = rest.to_owned();
                self.forward(open(Some(api)), api, &rest, req).await
            }
        }
    }

    /// Routes the call and sends it. The account goes with it, and is settled wherever the call ends: a future that
    /// is dropped here tells of the call too.
    async fn forward(
        &self,
        mut account: Account,
        api: Api,
        rest: &str,
        req: Request<Body>,
    ) -> Response<Body> {
        let family = api.family();
        let Some(backend) = self.routes.route(api) else {
            return refused(account, family, Refused::NoBackend { family });
        };
        // What the record says if one of the waits below is as far as it gets.
        account.call.failure = Some("the caller hung up before there was an answer".to_owned());
        let req = match self.routes.model(api) {
            None => req,
            Some(model) => match named::ask_for((model, &self.room), req, &account.asked).await {
                Ok(req) => req,
                Err(Stop::Refused(why)) => return refused(account, family, why),
                Err(Stop::Broken(error)) => return broken(account, family, &error),
            },
        };
        account.call.backend = Some(backend.name().to_owned());
        let Some(outgoing) = outgoing(backend, api, rest, req, &account) else {
            return refused(account, family, Refused::BadTarget);
        };
        let sent = self.upstream.send(backend, outgoing).await;
        account.call.failure = None;
        match (account.withheld(), sent) {
            (Some(why), _) => refused(account, family, why),
            (None, Ok(response)) => answered(response, backend, account),
            (None, Err(error)) => failed(account, family, &error),
        }
    }
}

/// The request to the backend: other path, other headers, the body as it is.
fn outgoing(
    backend: &BackendRef,
    api: Api,
    rest: &str,
    req: Request<Body>,
    account: &Account,
) -> Option<Request<Body>> {
    let (mut parts, body) = req.into_parts();
    let path = backend.base().join(api.family(), rest);
    parts.uri = Uri::from(target::path_and_query(&path, parts.uri.query())?);
    parts.headers = headers::to_backend(&parts.headers, backend, api);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let body = UnsyncBoxBody::new(Watched::new(body, Arc::clone(&account.asked)));
    Some(Request::from_parts(parts, body))
}

/// The backend's response, on its way to the caller.
fn answered(response: Response<Body>, backend: &BackendRef, mut account: Account) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    headers::to_caller(&mut parts.headers, backend.key());
    let meter = Meter::of(
        text(&parts.headers, &header::CONTENT_TYPE),
        text(&parts.headers, &header::CONTENT_ENCODING),
    );
    account.call.status = Some(parts.status.as_u16());
    account.call.streamed = text(&parts.headers, &header::CONTENT_TYPE).starts_with("text/event-stream");
    parts.extensions.clear();
    let is_error = parts.status.is_client_error() || parts.status.is_server_error();
    let body = match backend.key().filter(|_| is_error) {
        Some(key) => UnsyncBoxBody::new(Swapped::new(body, masking(key), Box::new(|_| ()))),
        None => body,
    };
    Response::from_parts(parts, UnsyncBoxBody::new(Metered::new(body, meter, backend, account)))
}

/// There are backends that repeat the key that they do not like: its exact bytes become as many asterisks. A backend that
/// means to give its key away can spell it otherwise; this is against carelessness.
fn masking(key: &Secret) -> Arc<Swaps> {
    let mut swaps = Swaps::default();
    // Exposed to be found.
    swaps.put(key.expose(), &vec![b'*'; key.expose().len()], 0);
    Arc::new(swaps)
}

fn refused(mut account: Account, family: Family, why: Refused) -> Response<Body> {
    let response = why.response(family);
    account.call.status = Some(response.status().as_u16());
    account.call.complete = true;
    account.call.failure = None;
    account.call.refused = Some(why);
    response
}

fn failed(mut account: Account, family: Family, error: &UpstreamError) -> Response<Body> {
    let response = refuse::error(family, error.status(), "backend_failed", &error.to_string());
    account.call.status = Some(response.status().as_u16());
    account.call.failure = Some(error.to_string());
    response
}

/// The caller's own request broke off before it could be sent.
fn broken(mut account: Account, family: Family, error: &BoxError) -> Response<Body> {
    let reason = format!("the request broke off: {error}");
    let response = refuse::error(family, StatusCode::BAD_REQUEST, "request_broken", &reason);
    account.call.status = Some(response.status().as_u16());
    account.call.failure = Some(reason);
    response
}

/// Whose client is calling, where the path does not say.
fn family_of(host: &HostName, headers: &HeaderMap) -> Family {
    let anthropic = headers.contains_key("anthropic-version")
        || host.as_str() == "anthropic.com"
        || host.as_str().ends_with(".anthropic.com");
    if anthropic { Family::Anthropic } else { Family::OpenAi }
}

/// Method and path as a refusal and the record may repeat them.
fn shown(req: &Request<Body>) -> (String, String) {
    (req.method().to_string(), Target::new(req.uri().path()).path().to_owned())
}

/// Whether a WebSocket is wanted: by `upgrade` (RFC 6455), or by an extended `CONNECT` (RFC 8441). The fields of the
/// handshake count too, because `upgrade` belongs to one hop and may be gone by now. Any other upgrade is an offer that
/// the server may ignore, and is.
fn wants_upgrade(req: &Request<Body>) -> bool {
    let upgrade = text(req.headers(), &header::UPGRADE);
    upgrade.split(',').any(|to| to.trim().eq_ignore_ascii_case("websocket"))
        || req.headers().contains_key(header::SEC_WEBSOCKET_KEY)
        || req.headers().contains_key(header::SEC_WEBSOCKET_VERSION)
        || req.method() == http::Method::CONNECT
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

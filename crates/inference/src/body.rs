//! The body type that requests and responses have here: the same type as `creel_net::Body`.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Any error, as bodies hand it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streamed body: read frame by frame, never held whole.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Nothing.
pub(crate) fn empty() -> Body {
    UnsyncBoxBody::new(Empty::new().map_err(|never| match never {}))
}

/// These bytes and the end.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

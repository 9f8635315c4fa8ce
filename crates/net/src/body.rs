//! One body type for everything that is streamed.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};

/// Any error, as bodies and services hand it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streamed body: read frame by frame, never held whole.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Nothing. Costs no allocation.
pub fn empty() -> Body {
    UnsyncBoxBody::new(Empty::new().map_err(|never| match never {}))
}

/// These bytes and the end.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// Any body, boxed.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    UnsyncBoxBody::new(body.map_err(Into::into))
}

/// The frames of a stream.
pub fn stream<S, E>(frames: S) -> Body
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, E>> + Send + 'static,
    E: Into<BoxError>,
{
    boxed(StreamBody::new(frames))
}

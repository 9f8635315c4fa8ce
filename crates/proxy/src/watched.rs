//! Bodies that stop at once when their request is no longer allowed.

use bytes::Bytes;
use creel_net::{Body, BoxError, body};
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Cuts one request: its body on the way up, the wait for its answer, the answer's body.
#[derive(Debug, Default)]
pub(crate) struct Knife {
    cut: AtomicBool,
    up: AtomicWaker,
    wait: AtomicWaker,
    down: AtomicWaker,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Knife {
    /// Bytes of the request's body and of the answer's that went through so far.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        for waker in [&self.up, &self.wait, &self.down] {
            waker.wake();
        }
    }

    fn is_cut(&self, waker: &AtomicWaker, cx: &Context<'_>) -> bool {
        waker.register(cx.waker());
        self.cut.load(Ordering::Acquire)
    }

    /// Ends when the request is cut.
    pub(crate) async fn waits(&self) {
        poll_fn(|cx| if self.is_cut(&self.wait, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// The policy changed while the body was on its way.
#[derive(Debug, thiserror::Error)]
#[error("the policy no longer allows this request")]
pub(crate) struct NoLongerAllowed;

enum Way {
    Up,
    Down,
}

/// `_kept` lives as long as the body: the request's place among the live ones, or its turn upstream.
struct Watched<B, G> {
    inner: B,
    knife: Arc<Knife>,
    way: Way,
    _kept: G,
}

impl<B, G> http_body::Body for Watched<B, G>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    G: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let waker = match self.way {
            Way::Up => &self.knife.up,
            Way::Down => &self.knife.down,
        };
        if self.knife.is_cut(waker, cx) {
            return Poll::Ready(Some(Err(NoLongerAllowed.into())));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx).map_err(Into::into);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            let count = match self.way {
                Way::Up => &self.knife.sent,
                Way::Down => &self.knife.received,
            };
            count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A request's body on its way up. None costs nothing.
pub(crate) fn up<B>(inner: B, knife: &Arc<Knife>) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    if inner.is_end_stream() {
        return body::empty();
    }
    Body::new(Watched { inner, knife: Arc::clone(knife), way: Way::Up, _kept: () })
}

/// An answer's body on its way down; `kept` is dropped with it.
pub(crate) fn down<B, G>(inner: B, knife: &Arc<Knife>, kept: G) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    G: Send + Unpin + 'static,
{
    if inner.is_end_stream() && inner.size_hint().exact() == Some(0) {
        return body::empty();
    }
    Body::new(Watched { inner, knife: Arc::clone(knife), way: Way::Down, _kept: kept })
}

//! One connection to a backend, driven by the call that uses it.
//!
//! The HTTP engine wants its connection driven beside the calls on it, and hands an answer over piece by piece. With a
//! task of its own for each connection every piece of a stream costs two changes of task and a write to the agent. A
//! call that drives its connection itself sees everything that has come at once. While nobody calls, nobody drives: a
//! server that closes meanwhile is noticed when the line is asked whether it is free.

use bytes::Bytes;
use creel_net::{Body, BoxError};
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite};

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection that has agreed on HTTP/1.1.
pub(crate) struct Line {
    sender: http1::SendRequest<Body>,
    /// Gone when the connection is over, or is driven by a task of its own.
    driver: Option<Driver>,
}

impl Line {
    /// Agrees with the other end of `stream`.
    pub(crate) async fn agree<S>(stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Does what can be done on the connection now.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.driver = None;
        }
    }

    /// Whether another call can be made.
    pub(crate) fn is_free(&mut self) -> bool {
        // Nobody waits for this connection: its events need to wake nobody.
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer. The request comes back when nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let whole = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let going = |body| Body::new(Going { body, whole: Arc::clone(&whole) });
        let mut answer = pin!(self.sender.try_send_request(request.map(going)));
        let answer = poll_fn(|cx| {
            if self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
                self.driver = None;
            }
            answer.as_mut().poll(cx)
        })
        .await?;
        if !whole.load(Ordering::Relaxed) {
            self.detach();
        }
        Ok(answer)
    }

    /// Lets the connection live by itself: a request that is still going up must not wait for a caller that does not
    /// read the answer yet.
    fn detach(&mut self) {
        if let Some(driver) = self.driver.take() {
            tokio::spawn(async { drop(driver.await) });
        }
    }
}

/// A request's body that says when all of it has gone.
struct Going {
    body: Body,
    whole: Arc<AtomicBool>,
}

impl http_body::Body for Going {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.whole.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! A stream whose reader must finish each request's head in time.
//!
//! The engine's own header timeout also runs while a kept-alive connection is idle, where minutes are fine; between a
//! head's first byte and its last only seconds are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How often a request has begun, and how many are running.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// One running request.
pub(crate) struct Running(Arc<Pace>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pace {
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn idle(&self) -> bool {
        self.ended.load(Ordering::Relaxed) == self.begun()
    }
}

/// Reads fail when a head is begun and not finished `within`.
pub(crate) struct Paced<S> {
    inner: S,
    pace: Arc<Pace>,
    within: Duration,
    /// When the head's first byte came, and how many requests had begun by then.
    head: Option<(Instant, u64)>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, pace: &Arc<Pace>, within: Duration) -> Self {
        Self { inner, pace: Arc::clone(pace), within, head: None, alarm: None }
    }

    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((since, begun)) = self.head else { return false };
        if self.pace.begun() != begun {
            (self.head, self.alarm) = (None, None);
            return false;
        }
        let until = since + self.within;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        alarm.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() {
            return if self.late(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { read };
        }
        if buf.filled().len() > before
            && self.pace.idle()
            && self.head.is_none_or(|(_, n)| n != self.pace.begun())
        {
            self.head = Some((Instant::now(), self.pace.begun()));
            self.alarm = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_head_has_seconds_and_an_idle_connection_has_not() {
        let (mut agent, ours) = duplex(64);
        let pace = Arc::<Pace>::default();
        let mut paced = Paced::new(ours, &pace, Duration::from_secs(10));
        let mut byte = [0];
        let idle = tokio::time::timeout(Duration::from_secs(300), paced.read(&mut byte)).await;
        assert!(idle.is_err(), "nothing was said, nothing is late");
        agent.write_all(b"G").await.unwrap();
        paced.read_exact(&mut byte).await.unwrap();
        let running = pace.begin();
        let body = tokio::time::timeout(Duration::from_secs(300), paced.read(&mut byte)).await;
        assert!(body.is_err(), "a body may be slow");
        drop(running);
        agent.write_all(b"G").await.unwrap();
        paced.read_exact(&mut byte).await.unwrap();
        let late = tokio::time::timeout(Duration::from_secs(300), paced.read(&mut byte)).await.unwrap();
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

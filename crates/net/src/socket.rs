//! A connected socket that several hands can hold: one reads and writes, another may cut it.

use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection, with bytes that were read ahead of time and will be read again first.
///
/// Sharing the socket instead of duplicating its descriptor keeps a connection at one descriptor, and lets
/// [`Cutter`] reset it while HTTP and TLS layers own this value.
#[derive(Debug)]
pub struct Socket {
    stream: Arc<TcpStream>,
    ahead: Bytes,
}

/// Resets a connection from outside.
#[derive(Debug, Clone)]
pub struct Cutter(Arc<TcpStream>);

impl Cutter {
    /// Ends the connection at once with a reset: nothing that is queued goes out any more.
    pub fn cut(&self) {
        // Both can only fail on a socket that is gone already, and then there is nothing to cut.
        let _ = rustix::net::sockopt::set_socket_linger(&*self.0, Some(Duration::ZERO));
        let _ = rustix::net::connect_unspec(&*self.0);
    }
}

impl Socket {
    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Arc::new(stream), ahead: Bytes::new() }
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Puts back `bytes`, to be read before anything else.
    pub fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.ahead.is_empty());
        self.ahead = bytes;
    }

    /// A handle that can reset this connection.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.stream))
    }

    /// Closing will reset instead of finishing politely.
    pub fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&*self.stream, Some(Duration::ZERO));
    }

    /// The bare connection and what was read ahead of it.
    pub fn into_parts(self) -> (Arc<TcpStream>, Bytes) {
        (self.stream, self.ahead)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let n = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..n]);
            self.ahead.advance(n);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl Socket {
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |s| s.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |s| s.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown_write(&self.stream))
    }
}

/// Says that nothing more will be written; the other direction stays open.
pub(crate) fn shutdown_write(stream: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(stream, rustix::net::Shutdown::Write) {
        // The other end has gone: it needs no telling.
        Err(rustix::io::Errno::NOTCONN) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

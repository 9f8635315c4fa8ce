//! A connected socket that several hands can hold: one reads and writes, another may cut it.

use bytes::{Buf, BufMut, Bytes};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection, with bytes that were read ahead of time and will be read again first.
///
/// Sharing the socket instead of duplicating its descriptor keeps a connection at one descriptor, and lets
/// [`Cutter`] reset it while HTTP and TLS layers own this value.
#[derive(Debug)]
pub struct Socket {
    wire: Arc<Wire>,
    ahead: Bytes,
    bulk: Bulk,
}

/// What one system call brought beyond what the reader had room for. rustls asks for 4 KiB at a time, which would be
/// four calls for each record of a large body; a connection that is quiet holds no buffer.
#[derive(Debug, Default)]
struct Bulk {
    bytes: Vec<u8>,
    taken: usize,
    /// The last read filled its buffer, so there is probably more.
    more: bool,
}

/// Read at once from a connection that has more than its reader asks for.
const BULK: usize = 64 * 1024;

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    read: AtomicU64,
    written: AtomicU64,
}

/// Resets a connection from outside, and knows how much went through it.
#[derive(Debug, Clone)]
pub struct Cutter(Arc<Wire>);

/// The bare connection, shared.
#[derive(Debug, Clone)]
pub struct Bare(Arc<Wire>);

impl std::ops::Deref for Bare {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0.stream
    }
}

impl Cutter {
    /// Bytes read from and written to the connection through [`Socket`]'s own reading and writing.
    pub fn moved(&self) -> (u64, u64) {
        (self.0.read.load(Ordering::Relaxed), self.0.written.load(Ordering::Relaxed))
    }

    /// Whether both are of the same connection.
    pub fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Ends the connection at once with a reset: nothing that is queued goes out any more.
    pub fn cut(&self) {
        // Both can only fail on a socket that is gone already, and then there is nothing to cut.
        let _ = rustix::net::sockopt::set_socket_linger(&self.0.stream, Some(Duration::ZERO));
        let _ = rustix::net::connect_unspec(&self.0.stream);
    }
}

impl Socket {
    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> Self {
        let (read, written) = (AtomicU64::new(0), AtomicU64::new(0));
        let wire = Arc::new(Wire { stream, read, written });
        Self { wire, ahead: Bytes::new(), bulk: Bulk::default() }
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.stream.peer_addr()
    }

    /// Puts back `bytes`, to be read before anything else.
    pub fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.ahead.is_empty());
        self.ahead = bytes;
    }

    /// A handle that can reset this connection.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.wire))
    }

    /// Closing will reset instead of finishing politely.
    pub fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.wire.stream, Some(Duration::ZERO));
    }

    /// The bare connection and what was read ahead of it.
    pub fn into_parts(self) -> (Bare, Bytes) {
        (Bare(self.wire), self.ahead)
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
        if self.bulk.take(buf) {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let room = buf.remaining();
        if this.bulk.more && room < BULK {
            this.bulk.bytes.reserve_exact(BULK);
            ready!(this.wire.poll_read_into(cx, &mut this.bulk.bytes, BULK))?;
            this.bulk.more = this.bulk.bytes.len() > room;
            this.bulk.take(buf);
        } else {
            let n = ready!(this.wire.poll_read_into(cx, buf, room))?;
            this.bulk.more = n == room;
        }
        Poll::Ready(Ok(()))
    }
}

impl Bulk {
    /// Gives what is left; when nothing was left and no more is expected, the buffer goes.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let left = &self.bytes[self.taken..];
        let n = left.len().min(buf.remaining());
        buf.put_slice(&left[..n]);
        self.taken += n;
        if self.taken == self.bytes.len() {
            self.taken = 0;
            if self.more { self.bytes.clear() } else { self.bytes = Vec::new() }
        }
        n > 0
    }
}

impl Wire {
    /// Reads once into `buf`, which has room for `room` bytes or more.
    fn poll_read_into(
        &self,
        cx: &mut Context<'_>,
        buf: &mut impl BufMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.read_once(buf, room) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.read.fetch_add(*done.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// A read that leaves room has emptied the socket. To say so to the runtime at once, as if the read had found
    /// nothing, saves a further read that would only be told `EAGAIN`. It is said within the same `try_io`, so that what
    /// arrives after the read still wakes the reader; an end that came with the bytes is remembered by the runtime.
    fn read_once(&self, buf: &mut impl BufMut, room: usize) -> io::Result<usize> {
        let mut got = None;
        let tried = self.stream.try_io(Interest::READABLE, || {
            let n = self.stream.try_read_buf(buf)?;
            got = Some(n);
            if 0 < n && n < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match got {
            Some(n) => Ok(n),
            None => tried.map(|()| 0),
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
            ready!(self.wire.stream.poll_write_ready(cx))?;
            match write(&self.wire.stream) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.wire.written.fetch_add(*done.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return Poll::Ready(done);
                }
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
        Poll::Ready(shutdown_write(&self.wire.stream))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[expect(clippy::disallowed_methods, reason = "a test on loopback")]
    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (agent, ours) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (agent.unwrap(), Socket::new(ours.unwrap().0))
    }

    #[tokio::test]
    async fn small_reads_of_a_large_body_give_every_byte_in_order_and_keep_no_buffer() {
        let (mut agent, mut socket) = pair().await;
        socket.unread(Bytes::from_static(&[0, 1, 2]));
        let sent: Vec<u8> = (3..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let write = async {
            agent.write_all(&sent).await.unwrap();
            agent.shutdown().await.unwrap();
        };
        let read = async {
            let (mut got, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                match socket.read(&mut piece).await.unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&piece[..n]),
                }
            }
        };
        let ((), got) = tokio::join!(write, read);
        assert!(got.iter().enumerate().all(|(n, b)| *b == (n % 251) as u8) && got.len() == 1_000_000);
        assert_eq!((socket.bulk.bytes.capacity(), socket.cutter().moved().0), (0, 999_997));
    }

    /// Several pieces, each read before the next is sent, then the end: the first read of each may leave room or not.
    async fn check_pieces(room: usize, together_with_end: bool) {
        let (mut agent, mut socket) = pair().await;
        let mut buf = vec![0; room];
        for round in 0..3_u8 {
            let last = round == 2;
            agent.write_all(&[round; 100]).await.unwrap();
            if last && together_with_end {
                agent.shutdown().await.unwrap();
            }
            let mut got = 0;
            while got < 100 {
                let n = socket.read(&mut buf[..room.min(100 - got + 28)]).await.unwrap();
                assert!(n > 0 && buf[..n].iter().all(|b| *b == round), "room {room}, round {round}");
                got += n;
            }
        }
        agent.shutdown().await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut buf)).await;
        assert_eq!(end.expect("the end is seen").unwrap(), 0, "room {room}, together {together_with_end}");
    }

    #[tokio::test]
    async fn a_read_that_leaves_room_hides_neither_what_comes_after_it_nor_the_end() {
        for room in [1, 99, 100, 101, 128] {
            check_pieces(room, false).await;
            check_pieces(room, true).await;
        }
    }

    #[tokio::test]
    async fn a_cut_is_a_reset_that_does_not_wait_for_the_owner() {
        let (mut agent, socket) = pair().await;
        socket.cutter().cut();
        let end = agent.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        drop(socket);
    }
}

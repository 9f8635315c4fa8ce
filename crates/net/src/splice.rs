//! Moves bytes between two sockets without looking at them.
//!
//! The kernel moves them through a pipe (`splice(2)`), so a passed-through connection costs no copy in this
//! process. Where a pipe cannot be had (descriptor or pipe-memory limits) the bytes are copied through one buffer:
//! slower, never refused. Each direction ends by itself: one end may finish sending and still receive.

use crate::socket::shutdown_write;
use bytes::Bytes;
use rustix::pipe::{PipeFlags, SpliceFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What is moved at a time until a direction turns out to be a large body: the size of a pipe as the kernel makes it.
const QUIET_BYTES: usize = 64 * 1024;

/// Asked of the kernel for the pipe of a large body; it may give less. Linux lets an ordinary user have 1 MiB a pipe
/// and 64 MiB in all, so quiet connections must not take the most; and more than this is slower, because what waits
/// in the pipe leaves the processor's cache.
const LARGE_BYTES: usize = 512 * 1024;

/// The copying fallback's buffer.
const COPY_BYTES: usize = 64 * 1024;

/// Bytes moved so far, readable while the copy runs.
#[derive(Debug, Default)]
pub struct Moved {
    /// From the first socket to the second.
    pub forth: AtomicU64,
    /// From the second to the first.
    pub back: AtomicU64,
}

/// Copies both ways until both ends have finished, or one breaks. `ahead` was read from `a` already and goes to
/// `b` first.
pub async fn both_ways(a: &TcpStream, ahead: Bytes, b: &TcpStream, moved: &Moved) -> io::Result<()> {
    let forth = async {
        write_all(b, &ahead).await?;
        moved.forth.fetch_add(ahead.len() as u64, Ordering::Relaxed);
        drop(ahead);
        one_way(a, b, &moved.forth).await
    };
    tokio::try_join!(forth, one_way(b, a, &moved.back)).map(|_| ())
}

async fn one_way(from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> io::Result<()> {
    match pipe() {
        Ok(mut pipe) => through_pipe(from, to, &mut pipe, moved).await?,
        Err(_) => through_buffer(from, to, moved).await?,
    }
    shutdown_write(to)
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    /// The most that is asked to go in at once.
    size: usize,
    large: bool,
}

fn pipe() -> rustix::io::Result<Pipe> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok(Pipe { read, write, size: QUIET_BYTES, large: false })
}

impl Pipe {
    /// Takes more at a time, once. Over the user's pipe memory the pipe keeps the size that it has.
    fn grow(&mut self) {
        if !std::mem::replace(&mut self.large, true) {
            self.size = rustix::pipe::fcntl_setpipe_size(&self.write, LARGE_BYTES).unwrap_or(QUIET_BYTES);
        }
    }
}

async fn through_pipe(
    from: &TcpStream,
    to: &TcpStream,
    pipe: &mut Pipe,
    moved: &AtomicU64,
) -> io::Result<()> {
    loop {
        let filled = ready_then(from, Interest::READABLE, || {
            rustix::pipe::splice(from, None, &pipe.write, None, pipe.size, flags())
        })
        .await?;
        if filled == 0 {
            return Ok(());
        }
        let mut left = filled;
        while left > 0 {
            left -= ready_then(to, Interest::WRITABLE, || {
                rustix::pipe::splice(&pipe.read, None, to, None, left, flags())
            })
            .await?;
        }
        moved.fetch_add(filled as u64, Ordering::Relaxed);
        if filled >= pipe.size {
            pipe.grow();
        }
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

async fn through_buffer(from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        from.readable().await?;
        match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                write_all(to, &buffer[..n]).await?;
                moved.fetch_add(n as u64, Ordering::Relaxed);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Runs `act` when the socket is ready, again while the kernel says that it was not.
async fn ready_then(
    socket: &TcpStream,
    interest: Interest,
    act: impl Fn() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    loop {
        socket.ready(interest).await?;
        match socket.try_io(interest, || act().map_err(io::Error::from)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[expect(clippy::disallowed_methods, reason = "a test on loopback")]
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    #[tokio::test]
    async fn each_direction_ends_by_itself_and_every_byte_is_counted() {
        let (mut client, inner) = pair().await;
        let (outer, mut server) = pair().await;
        let moved = Moved::default();
        let relay = both_ways(&inner, Bytes::from_static(b"ahead "), &outer, &moved);
        let ends = async {
            client.write_all(b"of time").await.unwrap();
            client.shutdown().await.unwrap();
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"ahead of time");
            let large = vec![7; 3 << 20];
            let write = async {
                server.write_all(&large).await.unwrap();
                server.shutdown().await.unwrap();
            };
            let mut back = Vec::new();
            let read = client.read_to_end(&mut back);
            let ((), n) = tokio::join!(write, read);
            assert_eq!(n.unwrap(), 3 << 20);
        };
        let (done, ()) = tokio::join!(relay, ends);
        done.unwrap();
        assert_eq!(moved.forth.load(Ordering::Relaxed), 13);
        assert_eq!(moved.back.load(Ordering::Relaxed), 3 << 20);
    }

    #[tokio::test]
    async fn only_a_direction_that_moves_much_at_once_gets_a_large_pipe() {
        for (bytes, large) in [(1000, false), (4 << 20, true)] {
            let (mut client, inner) = pair().await;
            let (outer, mut server) = pair().await;
            let (mut pipe, moved) = (pipe().unwrap(), AtomicU64::new(0));
            let write = async {
                client.write_all(&vec![7; bytes]).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let read = async {
                let (mut got, mut buffer) = (0, vec![0; 1 << 16]);
                while got < bytes {
                    got += server.read(&mut buffer).await.unwrap();
                }
            };
            let (moving, ..) = tokio::join!(through_pipe(&inner, &outer, &mut pipe, &moved), write, read);
            moving.unwrap();
            assert_eq!((pipe.large, moved.into_inner()), (large, bytes as u64));
            assert!(pipe.size >= QUIET_BYTES);
        }
    }

    #[tokio::test]
    async fn without_a_pipe_the_bytes_are_copied() {
        let (mut client, inner) = pair().await;
        let (outer, mut server) = pair().await;
        let moved = AtomicU64::new(0);
        client.write_all(&[1; 100_000]).await.unwrap();
        client.shutdown().await.unwrap();
        let copy = async {
            through_buffer(&inner, &outer, &moved).await.unwrap();
            shutdown_write(&outer).unwrap();
        };
        let mut got = Vec::new();
        let ((), n) = tokio::join!(copy, server.read_to_end(&mut got));
        assert_eq!((n.unwrap(), moved.into_inner()), (100_000, 100_000));
    }
}

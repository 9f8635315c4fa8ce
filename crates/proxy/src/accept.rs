//! Takes connections in, and listens to what they say first.

use crate::exit::Exit;
use crate::workers::Arrival;
use bytes::{Bytes, BytesMut};
use creel_net::original::{self, Capture};
use creel_net::sniff::{self, Spoken};
use creel_net::{Socket, clienthello};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// After a failed accept (descriptors used up), before the next.
const BREATH: Duration = Duration::from_millis(10);
/// `EINVAL`: the socket does not listen (any more).
const NOT_LISTENING: i32 = 22;

/// A listening socket as it comes from the jail.
#[derive(Debug)]
pub enum Listener {
    /// A descriptor of a listening TCP socket.
    Fd(OwnedFd),
    /// The same, typed.
    Std(TcpListener),
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self::Fd(fd)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Std(listener)
    }
}

impl Exit {
    /// Serves every connection that arrives, until the listener breaks. Where each was going is told by how it was
    /// captured; one of which nobody can tell is closed.
    pub async fn serve_tcp(
        self: Arc<Self>,
        listener: impl Into<Listener>,
        capture: Capture,
    ) -> io::Result<()> {
        let listener = match listener.into() {
            Listener::Fd(fd) => TcpListener::from(fd),
            Listener::Std(listener) => listener,
        };
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let own = listener.local_addr()?;
        loop {
            let (stream, source) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) if e.raw_os_error() == Some(NOT_LISTENING) => return Err(e),
                Err(_) => {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let destination = match capture {
                Capture::Noted => self.setting.witness.bound_for(source, own),
                _ => original::destination(&stream, capture).ok(),
            };
            let Some(destination) = destination else { continue };
            let source = std::net::SocketAddr::new(source.ip().to_canonical(), source.port());
            self.workers.serve(Arrival { exit: Arc::clone(&self), source, destination }, stream);
        }
    }
}

/// What a client's first bytes come to.
pub(crate) enum Heard {
    /// They tell what is spoken.
    Spoken(Spoken),
    /// Nothing, or too little, within the time.
    Silence,
    /// The client went away without a byte: it connected ahead of need.
    Gone,
}

/// Reads the first bytes until they tell what is spoken, and puts them back.
pub(crate) async fn listen(socket: &mut Socket, within: Duration) -> Heard {
    let mut said = BytesMut::with_capacity(4096);
    let spoken = tokio::time::timeout(within, async {
        loop {
            if socket.read_buf(&mut said).await.ok()? == 0 {
                return None;
            }
            if let Some(spoken) = sniff::look(&said) {
                return Some(spoken);
            }
            if said.len() > clienthello::MAX {
                return Some(Spoken::Other);
            }
        }
    });
    let heard = match spoken.await {
        Ok(Some(spoken)) => Heard::Spoken(spoken),
        Ok(None) if said.is_empty() => Heard::Gone,
        Ok(None) | Err(_) => Heard::Silence,
    };
    socket.unread(Bytes::from(said));
    heard
}

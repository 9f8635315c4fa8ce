//! Opening a connection outside: a decision, TLS, and the protocol that both ends speak.

use super::{Channel, Upstream, describe};
use crate::exit::Exit;
use crate::limits::{CONNECTION_WINDOW, FRAME, STREAM_HELD, STREAM_WINDOW};
use crate::pool::{Driver, Line, Outside};
use crate::resolve::NoWay;
use creel_net::socket::Cutter;
use creel_net::{Socket, trust};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Upstream {
    /// Dials, which is a new decision, and agrees on a protocol: the agent's own, or HTTP/1.1 where the server has no
    /// other.
    pub(super) async fn open(&self, http2: bool) -> Result<Channel, NoWay> {
        let stream = self.exit.reach(&self.connection, self.exit.setting.limits.translated).await?;
        let end = (stream.peer_addr().ok(), stream.cutter());
        if !self.tls {
            return self.agree(Box::new(stream), end, http2).await;
        }
        let stream = secure(&self.exit, &self.connection.flow.host, stream, http2).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.agree(Box::new(stream), end, http2).await
    }

    async fn agree(
        &self,
        stream: Box<dyn Duplex>,
        (addr, cutter): (Option<SocketAddr>, Cutter),
        http2: bool,
    ) -> Result<Channel, NoWay> {
        let limits = &self.exit.setting.limits;
        let trouble = |e: hyper::Error| NoWay::Trouble(describe(&self.authority, &e));
        let io = TokioIo::new(stream);
        if http2 {
            let (sender, driver) = builder2(limits.header_bytes).handshake(io).await.map_err(trouble)?;
            self.drive(&Arc::new(Driver::of(driver)));
            return Ok(Channel::Http2(sender));
        }
        let (sender, driver) = builder1(limits.header_bytes).handshake(io).await.map_err(trouble)?;
        let driver = Arc::new(Driver::of(driver.with_upgrades()));
        // An end that cannot be told is one that no permit leads to.
        let addr = addr.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        Ok(Channel::Http1(Line { sender, bound: false, outside: Outside { addr, cutter, driver } }))
    }
}

/// TLS to a server that must prove to be `host`.
async fn secure(
    exit: &Exit,
    host: &creel_types::Host,
    stream: Socket,
    http2: bool,
) -> Result<tokio_rustls::client::TlsStream<Socket>, NoWay> {
    let Some(name) = trust::server_name(host) else {
        return Err(NoWay::Trouble(format!("{host} cannot be a TLS server name")));
    };
    let config = exit.setting.trust.client(http2).map_err(|e| NoWay::Trouble(e.to_string()))?;
    let within = exit.setting.limits.dial;
    match tokio::time::timeout(within, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(NoWay::Trouble(format!("TLS with {host}: {e}"))),
        Err(_) => Err(NoWay::Trouble(format!("TLS with {host}: no answer within {within:?}"))),
    }
}

fn builder1(header_bytes: u32) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        .max_header_size(header_bytes as usize)
        .max_buf_size(4 * header_bytes as usize);
    builder
}

fn builder2(header_bytes: u32) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(STREAM_HELD);
    builder
}

//! The upstream: HTTPS, HTTP and a dripping stream, each on a port of its own.

use crate::Failure;
use crate::arguments::Arguments;
use crate::{drip, upstream};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves until killed, with the certificate in `--dir`; prints the three ports.
pub async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let dir = Path::new(arguments.text("dir")?);
    let acceptor = TlsAcceptor::from(Arc::new(config(dir)?));
    let (https, http, dripping) = (listener().await?, listener().await?, listener().await?);
    let port = |listener: &TcpListener| listener.local_addr().map(|addr| addr.port());
    println!("{{\"https\":{},\"http\":{},\"drip\":{}}}", port(&https)?, port(&http)?, port(&dripping)?);
    let secure = accept(https, move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(tls) = acceptor.accept(tcp).await {
                speak(tls).await;
            }
        }
    });
    tokio::join!(secure, accept(http, speak), accept(dripping, drops));
    Ok(())
}

async fn listener() -> std::io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(4096)
}

async fn accept<F, W>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let _ = tcp.set_nodelay(true);
        tokio::spawn(serve(tcp));
    }
}

async fn speak<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(stream: S) {
    // A client that goes away is not a failure of the upstream.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(upstream::answer)).await;
}

/// Bytes that were put on the wire for streams that the client ended in order.
pub static DRIPPED: AtomicU64 = AtomicU64::new(0);

/// Four KiB every ten milliseconds until the client has said that it is done. A client that sends a byte is one that
/// will be cut: what it misses is no loss.
async fn drops(mut tcp: TcpStream) {
    let (mut position, mut counted) = (0, true);
    loop {
        let drop: Vec<u8> = (position..position + 4096).map(drip::byte_at).collect();
        if tcp.write_all(&drop).await.is_err() {
            return;
        }
        position += drop.len() as u64;
        let mut word = [0; 1];
        tokio::select! {
            got = tcp.read(&mut word) => match got {
                Ok(1..) => counted = false,
                Ok(0) if counted && tcp.shutdown().await.is_ok() => {
                    DRIPPED.fetch_add(position, Ordering::SeqCst);
                    return;
                }
                _ => return,
            },
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

fn config(dir: &Path) -> Result<ServerConfig, Failure> {
    let open = |name: &str| std::fs::File::open(dir.join(name)).map(std::io::BufReader::new);
    let certs = rustls_pemfile::certs(&mut open("cert.pem")?).collect::<Result<Vec<_>, _>>()?;
    let key = rustls_pemfile::private_key(&mut open("key.pem")?)?.ok_or("key.pem holds no key")?;
    Ok(ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key)?)
}

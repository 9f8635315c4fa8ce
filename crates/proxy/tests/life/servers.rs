//! Servers outside.

use bytes::Bytes;
use creel_net::authority::{Authority, Protocols};
use creel_net::{Body, body};
use creel_types::{Host, HostName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server and what happened to it.
pub struct Server {
    pub addr: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// A server that does `serve` with each connection.
pub async fn server<F, W>(serve: F) -> Server
where
    F: Fn(TcpStream, Arc<Mutex<Vec<u8>>>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (connections, heard) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<u8>>>::default());
    let (count, hear) = (Arc::clone(&connections), Arc::clone(&heard));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream, Arc::clone(&hear)));
        }
    });
    Server { addr, connections, heard }
}

/// TLS for `host`, then HTTP that tells what it was asked.
pub async fn https(authority: &Arc<Authority>, host: &str, protocols: Protocols) -> Server {
    let host = Host::Name(HostName::new(host).unwrap());
    let config = authority.server(&host, protocols).unwrap();
    server(move |stream, _| {
        let config = Arc::clone(&config);
        async move {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            speak(stream, http2).await;
        }
    })
    .await
}

/// HTTP/1.1 without TLS.
pub async fn http() -> Server {
    server(|stream, _| speak(stream, false)).await
}

/// HTTP/1.1 without TLS that keeps every byte it hears and answers each request head with 200.
pub async fn listener() -> Server {
    server(|mut stream, heard| async move {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            heard.lock().unwrap().extend_from_slice(&buffer[..n]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await
}

/// Says hello first, then echoes.
pub async fn talker() -> Server {
    server(|mut stream, _| async move {
        stream.write_all(b"220 hello\r\n").await.unwrap();
        echo(&mut stream).await;
    })
    .await
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn speak<S>(stream: S, http2: bool)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service_fn(answer))
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(io, service_fn(answer))
            .with_upgrades()
            .await
    };
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>, creel_net::BoxError> {
    match request.uri().path() {
        "/echo" => {
            let mut response = Response::new(body::boxed(request.into_body()));
            response.headers_mut().insert("x-kind", HeaderValue::from_static("echo"));
            Ok(response)
        }
        "/sum" => {
            let bytes = request.into_body().collect().await?.to_bytes();
            let sum: u64 = bytes.iter().map(|b| u64::from(*b)).sum();
            Ok(Response::new(body::full(format!("{} {sum}", bytes.len()))))
        }
        "/large" => Ok(Response::new(body::full(vec![7; 10 << 20]))),
        "/trailers" => Ok(Response::new(trailers())),
        "/slow" => Ok(Response::new(slow())),
        "/socket" => {
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgraded.await.unwrap());
                echo(&mut stream).await;
            });
            Ok(Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .body(body::empty())?)
        }
        _ => Ok(Response::new(body::full(describe(&request)))),
    }
}

fn describe(request: &Request<Incoming>) -> String {
    let mut lines = vec![format!("{} {} {:?}", request.method(), request.uri(), request.version())];
    lines.extend(request.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap_or("?"))));
    lines.join("\n")
}

fn trailers() -> Body {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from_static(b"\0\0\0\0\x02hi")), Frame::trailers(fields)];
    body::stream(futures_util::stream::iter(frames.map(Ok::<_, creel_net::BoxError>)))
}

/// A counter, a line each 5 ms, for ever.
fn slow() -> Body {
    body::stream(futures_util::stream::unfold(0_u32, |n| async move {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let line = Frame::data(Bytes::from(format!("{n}\n")));
        Some((Ok::<_, creel_net::BoxError>(line), n + 1))
    }))
}

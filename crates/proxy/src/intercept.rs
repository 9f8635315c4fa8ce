//! Ends TLS and speaks HTTP with the agent.

use crate::exchange::Exchange;
use crate::exit::Exit;
use crate::limits::{CONNECTION_WINDOW, FRAME, LOCAL_RESETS, PENDING_RESETS, STREAM_HELD, STREAM_WINDOW};
use crate::live::Place;
use crate::paced::Paced;
use crate::refusal::of_form;
use crate::{decide, tunnel};
use creel_net::Socket;
use creel_net::authority::Protocols;
use creel_net::clienthello::ClientHello;
use creel_policy::{Handling, Refusal, canonical};
use creel_types::Host;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to go that was told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the connection was decided to be, as far as was known before the client spoke.
type Decided = Result<Handling, Box<Refusal>>;

/// A connection that began with TLS: passed through when nothing has to be seen, opened otherwise, also to say no.
pub(crate) async fn tls(
    exit: &Arc<Exit>,
    place: &Place,
    socket: Socket,
    hello: ClientHello,
    decided: Decided,
) -> (u64, u64) {
    let claimed = claimed(exit, place, &hello);
    // An encrypted hello may hide another name, and the decoy that some clients send looks the same: what might
    // hide something is opened, which is harmless to the decoy.
    let splice = !hello.encrypted_hello && matches!(decided, Ok(Handling::PassThrough));
    match (&claimed, splice) {
        (Ok(_), true) => return tunnel::through(exit, place, socket).await,
        (Ok(host), false) => open(exit, place, socket, host, None).await,
        (Err((host, refusal)), _) => open(exit, place, socket, host, Some(refusal.clone())).await,
    }
    (0, 0)
}

/// The host that the client will expect a certificate for; with the refusal when it is not the connection's own.
fn claimed(exit: &Exit, place: &Place, hello: &ClientHello) -> Result<Host, (Host, Box<Refusal>)> {
    let flow = &place.connection.flow;
    let named = hello.server_name.as_deref().map(canonical::host);
    match (named, &flow.host) {
        (Some(Ok(name)), own) if name == *own => Ok(name),
        // An address was dialled and a name is claimed: both must be allowed, and in the same way.
        (Some(Ok(name)), Host::Addr(_)) => {
            let now = exit.setting.policy.load();
            let own = decide::connection(&now, flow).map(|leave| leave.admission.handling());
            let as_named = decide::connection_to(&now, flow, &name).map(|leave| leave.admission.handling());
            match (own, as_named) {
                (Ok(own), Ok(as_named)) if own == as_named => Ok(name),
                (_, Err(refusal)) => Err((name, refusal)),
                (Err(refusal), _) => Err((name, refusal)),
                _ => {
                    let why = format!("the address is not handled as the server name {name} is");
                    Err((name, of_form(flow, why)))
                }
            }
        }
        (None, Host::Addr(_)) => Ok(flow.host.clone()),
        (Some(Ok(name)), own) => {
            let why = format!("the TLS server name is {name}, the connection is to {own}");
            Err((name, of_form(flow, why)))
        }
        (Some(Err(why)), own) => {
            Err((own.clone(), of_form(flow, format!("the TLS server name cannot be read: {why}"))))
        }
        (None, own) => Err((own.clone(), of_form(flow, format!("no TLS server name; {own} must be named")))),
    }
}

/// Ends TLS as `host` and serves HTTP in it; every request is refused with `refusal` when there is one.
async fn open(exit: &Arc<Exit>, place: &Place, socket: Socket, host: &Host, refusal: Option<Box<Refusal>>) {
    let exchange = Exchange::new(exit, place, true, refusal);
    let Ok(config) = exit.setting.authority.server(host, Protocols::Http) else { return };
    let within = exit.setting.limits.first_bytes;
    let accepted = tokio::time::timeout(within, TlsAcceptor::from(config).accept(socket)).await;
    match accepted {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(exit, Box::new(stream), http2, &exchange).await;
        }
        // The client does not trust us, or went away: what it would have been told is in the record.
        _ => return exchange.never_asked("the TLS handshake with the sandbox's authority failed"),
    }
    exchange.finish().await;
}

/// HTTP without TLS.
pub(crate) async fn plain(exit: &Arc<Exit>, place: &Place, socket: Socket, http2: bool) {
    let exchange = Exchange::new(exit, place, false, None);
    serve(exit, Box::new(socket), http2, &exchange).await;
    exchange.finish().await;
}

/// Any stream that HTTP is spoken over: one type, so that the HTTP engine is compiled once.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

async fn serve(exit: &Exit, stream: Box<dyn Duplex>, http2: bool, exchange: &Arc<Exchange>) {
    exchange.is_http2(http2);
    let service = service_fn(|request| {
        let exchange = Arc::clone(exchange);
        async move { exchange.answer(request).await }
    });
    let io = TokioIo::new(stream);
    // An error is the client's: malformed bytes (answered 400 already), a reset, silence. All end the connection.
    let _ = if http2 {
        let mut serving = pin!(builder2(exit).serve_connection(io, service));
        tokio::select! {
            served = serving.as_mut() => served,
            // Who is told to go and stays is left.
            () = exchange.rests(exit.setting.limits.idle) => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_WORDS, serving).await.unwrap_or(Ok(()))
            }
        }
    } else {
        let paced = Paced::new(io.into_inner(), exchange.pace(), exit.setting.limits.first_bytes);
        builder1(exit).serve_connection(TokioIo::new(paced), service).with_upgrades().await
    };
}

fn builder1(exit: &Exit) -> http1::Builder {
    let limits = &exit.setting.limits;
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        .half_close(true)
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_header_size(limits.header_bytes as usize)
        .max_buf_size(2 * limits.header_bytes as usize);
    builder
}

fn builder2(exit: &Exit) -> http2::Builder<TokioExecutor> {
    let limits = &exit.setting.limits;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(STREAM_HELD)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS);
    builder
}

//! The connections outside that one connection's requests go over.
//!
//! They belong to that connection alone while it lasts, and then at most to its program's next one ([`crate::pool`]):
//! what one program left half-said upstream can never be read as part of another's request.

mod open;

use crate::exit::Exit;
use crate::headers::join_cookies;
use crate::live::Connection;
use crate::pool::{Driver, Line};
use crate::resolve::NoWay;
use crate::target::{self, Wire};
use creel_net::{Body, body};
use creel_policy::canonical::CanonicalPath;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why a request that was allowed has no answer from the server.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The kept-alive connection ended under the request: the agent's own ends as well, as it would have without us,
    /// and the agent knows whether it may ask again.
    NoAnswer,
    /// Something is to be said instead; with the request's content type, in which a refusal is said.
    Instead(NoWay, HeaderMap),
}

impl Failed {
    /// The status that the agent receives for it.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::NoAnswer => None,
            Self::Instead(NoWay::Trouble(_), _) => Some(502),
            Self::Instead(NoWay::Refused(..), _) => Some(403),
        }
    }

    pub(crate) fn trouble(why: &str) -> Self {
        Self::Instead(NoWay::Trouble(why.to_owned()), HeaderMap::new())
    }
}

/// A request's turn on a connection outside, while its answer lasts.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// The connections outside of one connection.
pub(crate) struct Upstream {
    exit: Arc<Exit>,
    connection: Arc<Connection>,
    tls: bool,
    authority: String,
    /// The agent speaks HTTP/2.
    http2: AtomicBool,
    turns: Arc<Semaphore>,
    known: tokio::sync::Mutex<Known>,
    /// Of all connections that were used here: an answer may still be read when nothing more can be asked.
    drivers: Mutex<Vec<Arc<Driver>>>,
}

/// What is open.
enum Known {
    Nothing,
    Http2(http2::SendRequest<Body>),
    Http1(Vec<Line>),
}

enum Channel {
    Http1(Line),
    Http2(http2::SendRequest<Body>),
}

/// How a request came by its connection outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It carried requests of the same connection before.
    Kept,
    /// It waited for the program to come again.
    Parked,
    /// It was opened for this request.
    Fresh,
}

/// What is found among the open HTTP/1.1 connections.
enum Pick {
    Free(Line),
    /// There are as many as there may be: this one is waited for.
    Busy(Line),
    None,
}

impl Upstream {
    pub(crate) fn new(exit: &Arc<Exit>, connection: &Arc<Connection>, tls: bool) -> Self {
        let flow = &connection.flow;
        Self {
            exit: Arc::clone(exit),
            connection: Arc::clone(connection),
            tls,
            authority: target::wire_authority(&flow.host, flow.port, tls),
            http2: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(exit.setting.limits.translated)),
            known: tokio::sync::Mutex::new(Known::Nothing),
            drivers: Mutex::default(),
        }
    }

    /// Says what the agent speaks, before the first request.
    pub(crate) fn speak(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
    }

    /// Sends a request that was allowed, and gives the answer's head. A request is sent again only when nothing of it
    /// had been sent.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
        path: &CanonicalPath,
    ) -> Result<(Response<Incoming>, Turn), Failed> {
        let mut kind = HeaderMap::new();
        if let Some(value) = request.headers().get(CONTENT_TYPE) {
            kind.insert(CONTENT_TYPE, value.clone());
        }
        let mut again = repeatable(&request);
        loop {
            let (mut channel, turn, origin) =
                self.channel(again).await.map_err(|way| Failed::Instead(way, kind.clone()))?;
            self.address(&mut request, path, &channel)
                .map_err(|e| Failed::trouble(&format!("addressing the request: {e}")))?;
            let spare = (origin == Origin::Parked).then(|| copy(&request));
            let (error, back) = match channel.send(request).await {
                Ok(response) => {
                    self.keep(channel, &response).await;
                    return Ok((response, turn));
                }
                Err(failed) => failed,
            };
            again = false;
            match (back.map(|unsent| *unsent).or(spare), origin) {
                (Some(unsent), Origin::Kept | Origin::Parked) => request = unsent,
                (None, Origin::Kept) if !self.http2.load(Ordering::Relaxed) => return Err(Failed::NoAnswer),
                _ => return Err(Failed::trouble(&describe(&self.authority, &error))),
            }
        }
    }

    /// Puts the canonical target on the request, in the form that the channel speaks.
    fn address(
        &self,
        request: &mut Request<Body>,
        path: &CanonicalPath,
        channel: &Channel,
    ) -> Result<(), http::Error> {
        let http2 = matches!(channel, Channel::Http2(_));
        let mut uri = std::mem::take(request.uri_mut());
        let wire = Wire { authority: &self.authority, http2, tls: self.tls };
        target::put(&mut uri, request.headers_mut(), path, &wire)?;
        *request.uri_mut() = uri;
        if !http2 && request.version() == Version::HTTP_2 {
            join_cookies(request.headers_mut());
        }
        if !http2 && has_chunks(request) {
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok(())
    }

    /// An open connection that is free, else, where `again`, one that waited for the program, else a new one.
    async fn channel(&self, again: bool) -> Result<(Channel, Turn, Origin), NoWay> {
        if let Known::Http2(sender) = &*self.known.lock().await
            && !sender.is_closed()
        {
            return Ok((Channel::Http2(sender.clone()), None, Origin::Kept));
        }
        // Before a connection is looked for, so that there are never more of them than turns.
        let turn = self.turn().await;
        loop {
            let mut known = self.known.lock().await;
            let busy = match &mut *known {
                Known::Http2(sender) if !sender.is_closed() => {
                    return Ok((Channel::Http2(sender.clone()), None, Origin::Kept));
                }
                Known::Http1(lines) => match self.pick(lines) {
                    Pick::Free(line) => return Ok((Channel::Http1(line), turn, Origin::Kept)),
                    Pick::Busy(line) => Some(line),
                    Pick::None => None,
                },
                _ => None,
            };
            let Some(mut line) = busy else {
                let (channel, origin) = self.another(&mut known, again).await?;
                return Ok((channel, turn, origin));
            };
            drop(known);
            if line.sender.ready().await.is_ok() {
                return Ok((Channel::Http1(line), turn, Origin::Kept));
            }
        }
    }

    fn pick(&self, lines: &mut Vec<Line>) -> Pick {
        lines.retain(|line| !line.sender.is_closed());
        let http2 = self.http2.load(Ordering::Relaxed);
        let most = if http2 { self.exit.setting.limits.translated } else { 1 };
        match lines.iter().position(|line| line.sender.is_ready()) {
            Some(free) => Pick::Free(lines.swap_remove(free)),
            None if lines.len() >= most => Pick::Busy(lines.swap_remove(0)),
            None => Pick::None,
        }
    }

    /// A connection that this one has not had yet.
    async fn another(&self, known: &mut Known, again: bool) -> Result<(Channel, Origin), NoWay> {
        let http2 = self.http2.load(Ordering::Relaxed);
        let most = self.exit.setting.limits.translated;
        let parked = if again && self.tls && !http2 {
            Box::pin(self.exit.reach_again(&self.connection, most)).await
        } else {
            None
        };
        let (channel, origin) = match parked {
            Some(line) => (Channel::Http1(line), Origin::Parked),
            // Apart, so that the many requests that open nothing do not carry the room for it about.
            None => (Box::pin(self.open(http2)).await?, Origin::Fresh),
        };
        match &channel {
            Channel::Http2(sender) => *known = Known::Http2(sender.clone()),
            Channel::Http1(line) => {
                self.drive(&line.outside.driver);
                if !matches!(known, Known::Http1(_)) {
                    *known = Known::Http1(Vec::new());
                }
            }
        }
        Ok((channel, origin))
    }

    /// Waits until fewer than the most translated requests are running.
    async fn turn(&self) -> Turn {
        if !self.http2.load(Ordering::Relaxed) {
            return None;
        }
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Keeps a connection for the next request, unless this answer takes it over.
    async fn keep(&self, channel: Channel, response: &Response<Incoming>) {
        let Channel::Http1(mut line) = channel else { return };
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS || line.sender.is_closed() {
            return;
        }
        line.heed(response.headers());
        if let Known::Http1(lines) = &mut *self.known.lock().await {
            lines.push(line);
        }
    }

    /// Keeps a connection going as long as this one lasts.
    fn drive(&self, driver: &Arc<Driver>) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.retain(|driver| !driver.is_over());
        drivers.push(Arc::clone(driver));
    }

    /// Lets what is open wait for the program's next connection, now that this one is over.
    pub(crate) fn park(&self) {
        if !self.tls || self.http2.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut known) = self.known.try_lock() else { return };
        let generation = self.exit.setting.policy.generation();
        if let Known::Http1(lines) = &mut *known {
            for line in lines.drain(..) {
                self.exit.park(&self.connection.flow, generation, line);
            }
        }
    }
}

/// Whether the agent sends a body in chunks. The engine says so by itself, but takes it for no body where the method
/// usually has none, and what the agent sent would silently not arrive.
fn has_chunks(request: &Request<Body>) -> bool {
    let stated = request.headers().contains_key(CONTENT_LENGTH);
    request.version() < Version::HTTP_2 && !stated && !request.body().is_end_stream()
}

/// Whether sending the request twice does what sending it once does (RFC 9110 section 9.2.2), and it can be.
fn repeatable(request: &Request<Body>) -> bool {
    request.method().is_safe() && request.body().is_end_stream()
}

/// A request without a body, to be sent once more.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(body::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    *copy.version_mut() = request.version();
    // How the agent wrote the fields' names.
    copy.extensions_mut().clone_from(request.extensions());
    copy
}

fn describe(authority: &str, error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{authority}: {error}: {cause}"),
        None => format!("{authority}: {error}"),
    }
}

/// What went wrong, and the request when nothing of it had been sent.
type Unsent = (hyper::Error, Option<Box<Request<Body>>>);

impl Channel {
    async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Unsent> {
        let sent = match self {
            Self::Http1(line) => {
                line.heed(request.headers());
                line.sender.try_send_request(request).await
            }
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut e| {
            let unsent = e.take_message().map(Box::new);
            (e.into_error(), unsent)
        })
    }
}

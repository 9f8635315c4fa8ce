//! Asking the backend for the model that the policy names, whatever the caller asked for.
//!
//! Of the request's bytes only that one value is exchanged. The body is held back until the value has been found, and
//! passes from there; should a second one come, the body breaks off before it, the backend never has a whole request,
//! and the caller is refused.

use crate::account::Asked;
use crate::refuse::Refused;
use crate::walk::Walk;
use bytes::Bytes;
use creel_net::{Body, BoxError};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// How much of a request is held until its model is found. Clients put the conversation first, and images make it long.
const MAX_HELD: usize = 32 << 20;

/// How much is held of all requests of a sandbox together. A caller can begin as many as it likes and end none.
const MAX_TOGETHER: usize = 4 * MAX_HELD;

/// What was held goes on in pieces of this size, so that a backend that reads slowly leaves it where it is counted.
const PIECE: usize = 64 << 10;

/// The room for what is held of all requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// What one request has of it.
#[derive(Debug)]
struct Share {
    room: Room,
    bytes: usize,
}

impl Share {
    fn none(room: &Room) -> Self {
        Self { room: room.clone(), bytes: 0 }
    }

    fn grow(&mut self, by: usize) -> Result<(), Refused> {
        self.bytes += by;
        let before = self.room.0.fetch_add(by, Ordering::Relaxed);
        if before + by > MAX_TOGETHER { Err(Refused::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why a request does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It must not.
    Refused(Refused),
    /// It broke off by itself.
    Broken(BoxError),
}

impl From<Refused> for Stop {
    fn from(why: Refused) -> Self {
        Self::Refused(why)
    }
}

/// The request with `model` as the model that it asks for. What is found out only as the rest of it passes is said in
/// `asked`.
pub(crate) async fn ask_for(
    (model, room): (&str, &Room),
    req: Request<Body>,
    asked: &Arc<Mutex<Asked>>,
) -> Result<Request<Body>, Stop> {
    let (mut parts, mut body) = req.into_parts();
    if !is_plain(&parts.headers) {
        return Err(Refused::Encoded.into());
    }
    let (mut walk, mut held, mut share) = (Walk::new(), Vec::new(), Share::none(room));
    while walk.model().is_none() {
        read_on(&mut body, &mut walk, (&mut held, &mut share)).await?;
    }
    if let Some(found) = walk.model() {
        let same = serde_json::from_slice::<String>(&held[found.clone()]).is_ok_and(|name| name == model);
        if !same {
            let wanted = serde_json::Value::from(model).to_string();
            resize(&mut parts.headers, found.len(), wanted.len());
            held.splice(found, wanted.into_bytes());
        }
    }
    let held = Some((Bytes::from(held), share));
    let body = Named { held, rest: body, walk, asked: Arc::clone(asked) };
    Ok(Request::from_parts(parts, UnsyncBoxBody::new(body)))
}

/// Holds the next piece of the body.
async fn read_on(
    body: &mut Body,
    walk: &mut Walk,
    (held, share): (&mut Vec<u8>, &mut Share),
) -> Result<(), Stop> {
    let frame = body.frame().await.transpose().map_err(Stop::Broken)?;
    // At the end, and at the trailers, the object is not whole or has no model.
    let bytes = frame.and_then(|frame| frame.into_data().ok()).ok_or(Refused::NotAnObject)?;
    walk.feed(&bytes)?;
    if body.is_end_stream() && !walk.is_whole() {
        return Err(Refused::NotAnObject.into());
    }
    // The piece in which the model is found may be as long as it is: it is there already.
    if walk.model().is_none() && held.len() + bytes.len() > MAX_HELD {
        return Err(Refused::TooLong.into());
    }
    share.grow(bytes.len())?;
    held.extend_from_slice(&bytes);
    Ok(())
}

/// Whether the body is text as it is: neither compressed, nor in a charset in which other bytes make the same text.
fn is_plain(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter().map(text);
    let typed = headers.get_all(header::CONTENT_TYPE).iter().map(text);
    encoded.into_iter().all(|value| matches!(value.as_str(), "" | "identity"))
        && typed.into_iter().all(|value| match value.split_once("charset") {
            None => true,
            Some((_, set)) => {
                matches!(
                    set.trim_start_matches([' ', '=', '"']).trim_end_matches([' ', '"', ';']),
                    "utf-8" | "utf8" | "us-ascii"
                )
            }
        })
}

/// States the length with one value exchanged. Without a length that can be stated the body goes in chunks.
fn resize(headers: &mut HeaderMap, from: usize, to: usize) {
    let Some(stated) = headers.remove(header::CONTENT_LENGTH) else { return };
    let length = stated.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    if let Some(length) = length.and_then(|length| length.checked_sub(from)?.checked_add(to)) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// A body of which the beginning was held, and whose rest is walked through while it passes.
struct Named {
    held: Option<(Bytes, Share)>,
    rest: Body,
    walk: Walk,
    asked: Arc<Mutex<Asked>>,
}

impl Named {
    /// Walks through what comes next, before anybody has it.
    fn judge(&mut self, frame: Option<&Frame<Bytes>>) -> Result<(), Refused> {
        let bytes = frame.and_then(Frame::data_ref);
        bytes.map_or(Ok(()), |bytes| self.walk.feed(bytes))?;
        let ended = frame.is_none_or(Frame::is_trailers) || self.rest.is_end_stream();
        if ended && !self.walk.is_whole() { Err(Refused::NotAnObject) } else { Ok(()) }
    }
}

impl http_body::Body for Named {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some((mut held, share)) = self.held.take() {
            let piece = held.split_to(held.len().min(PIECE));
            self.held = Some((held, share)).filter(|(held, _)| !held.is_empty());
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(cx)).transpose()?;
        if let Err(why) = self.judge(frame.as_ref()) {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).refused = Some(why.clone());
            return Poll::Ready(Some(Err(why.into())));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |(held, _)| held.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_net::body;
    use futures_util::{FutureExt, StreamExt, stream};

    /// A request whose body has `begun` and then neither goes on nor ends.
    fn stalled(begun: Vec<u8>) -> Request<Body> {
        let begun = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from(begun)))]);
        Request::new(body::stream(begun.chain(stream::pending())))
    }

    #[test]
    fn requests_that_end_never_are_held_up_to_a_bound_for_all_and_leave_it_when_they_go() {
        let (room, asked) = (Room::default(), Arc::default());
        let long = [b"{\"x\":\"", &vec![b'x'; MAX_HELD - 64][..]].concat();
        let ask = || Box::pin(ask_for(("m", &room), stalled(long.clone()), &asked));
        let mut held: Vec<_> = (0..MAX_TOGETHER / MAX_HELD).map(|_| ask()).collect();
        assert!(held.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        let more = ask().now_or_never();
        assert!(matches!(more, Some(Err(Stop::Refused(Refused::NoRoom)))), "{:?}", more.is_some());
        held.pop();
        assert!(ask().now_or_never().is_none(), "there is room again");
        drop(held);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_held_goes_on_in_pieces_and_then_counts_no_more() {
        let (room, asked) = (Room::default(), Arc::default());
        let text = format!("{{\"x\":\"{}\",\"model\":\"m\"}}", "x".repeat(3 * PIECE));
        let request = Request::new(body::full(text.clone()));
        let asking = ask_for(("m", &room), request, &asked);
        let mut body = asking.now_or_never().unwrap().unwrap().into_body();
        assert_eq!(room.0.load(Ordering::Relaxed), text.len());
        let mut got = Vec::new();
        while let Some(frame) = body.frame().now_or_never().unwrap() {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            got.extend_from_slice(&piece);
        }
        assert_eq!((got, room.0.load(Ordering::Relaxed)), (text.into_bytes(), 0));
    }
}

//! A backend's answer: what has come of it is handed on at once, in one piece.
//!
//! Servers of models send a piece for each word. Handed on one by one, each would cost a write to the agent; so pieces
//! that are there already are joined. Nothing waits for a piece that has not come.

use crate::line::Line;
use bytes::{Bytes, BytesMut};
use creel_net::BoxError;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The most that is joined; a piece as long as this is handed on as it is.
const JOINED: usize = 32 * 1024;

/// Room for the first pieces that are joined.
const FIRST: usize = 4 * 1024;

type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// What is done with a line when its answer has been read to the end.
pub(crate) trait Home: Unpin {
    /// Takes the line back. It may be over.
    fn take_back(&self, line: Line);
}

/// An answer with the line that it comes over. Dropped before its end it closes the line.
pub(crate) struct Answer<H> {
    body: Incoming,
    line: Option<Line>,
    home: H,
    /// What ended the last joining, and is next.
    after: Option<Next>,
}

impl<H: Home> Answer<H> {
    /// The rest of an answer whose head came over `line`.
    pub(crate) fn new(body: Incoming, line: Line, home: H) -> Self {
        let mut answer = Self { body, line: Some(line), home, after: None };
        answer.settle();
        answer
    }

    /// Gives the line back when there is nothing more to come.
    fn settle(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(line) = self.line.take() {
            self.home.take_back(line);
        }
    }

    /// The next piece as the engine has it.
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(line) = &mut self.line {
            line.drive(cx);
        }
        let next = Pin::new(&mut self.body).poll_frame(cx);
        match &next {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) => self.settle(),
            _ => {}
        }
        next.map_err(Into::into)
    }

    /// Adds to `first` what else is there. Something is handed on in any case and whoever wants more asks again, so
    /// nobody has to be woken; that the engine wakes nobody for each piece is half of what joining saves.
    fn join(&mut self, first: Bytes) -> Bytes {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut joined: Option<BytesMut> = None;
        while joined.as_ref().map_or(first.len(), BytesMut::len) < JOINED {
            match self.piece(cx) {
                Poll::Pending => break,
                Poll::Ready(next) => match data(next) {
                    Ok(more) if more.len() < JOINED => joined
                        .get_or_insert_with(|| {
                            let mut joined = BytesMut::with_capacity(FIRST.max(first.len() + more.len()));
                            joined.extend_from_slice(&first);
                            joined
                        })
                        .extend_from_slice(&more),
                    Ok(long) => {
                        self.after = Some(Some(Ok(Frame::data(long))));
                        break;
                    }
                    Err(other) => {
                        self.after = Some(other);
                        break;
                    }
                },
            }
        }
        joined.map_or(first, BytesMut::freeze)
    }
}

/// The bytes of a piece, or what else it is.
fn data(next: Next) -> Result<Bytes, Next> {
    match next {
        Some(Ok(frame)) => frame.into_data().map_err(|frame| Some(Ok(frame))),
        other => Err(other),
    }
}

impl<H: Home> http_body::Body for Answer<H> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(after) = self.after.take() {
            return Poll::Ready(after);
        }
        let next = std::task::ready!(self.piece(cx));
        Poll::Ready(match data(next) {
            Ok(first) => Some(Ok(Frame::data(self.join(first)))),
            Err(other) => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        // An end that was found while joining is the end, also for who does not ask again.
        match &self.after {
            None => self.body.is_end_stream(),
            Some(next) => next.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let Some(Some(Ok(frame))) = &self.after
            && let Some(bytes) = frame.data_ref()
        {
            let held = bytes.len() as u64;
            let upper = hint.upper().and_then(|upper| upper.checked_add(held));
            hint = SizeHint::new();
            hint.set_lower(self.body.size_hint().lower().saturating_add(held));
            if let Some(upper) = upper {
                hint.set_upper(upper);
            }
        }
        hint
    }
}

//! Byte strings that are put in the place of others while a message passes, in whatever pieces it comes.
//!
//! What comes in is as long as what it replaces, so that lengths that were announced hold. What may be the beginning of
//! a string waits for what follows, so never more than the longest string is held.

use crate::{Body, BoxError};
use bytes::{Bytes, BytesMut};
use creel_types::Secret;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use memchr::memmem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// One string and what is done where it stands.
#[derive(Debug, Clone)]
struct Swap {
    found: Secret,
    /// What stands there afterwards; `None` where it must not stand at all.
    put: Option<Secret>,
    /// What it is to whoever asked for it.
    mark: usize,
}

/// Strings to look for.
#[derive(Debug, Clone, Default)]
pub struct Swaps(Vec<Swap>);

/// A string that must not be there was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a string that must not be sent was found")]
pub struct Forbidden {
    /// The mark that it was given.
    pub mark: usize,
}

impl Swaps {
    /// Puts `put` where `found` stands. Both are of one length and not empty, or nothing is done.
    pub fn put(&mut self, found: &[u8], put: &[u8], mark: usize) {
        debug_assert_eq!(found.len(), put.len());
        if found.len() == put.len() {
            self.add(found, Some(Secret::new(put)), mark);
        }
    }

    /// Breaks off where `found` stands.
    pub fn forbid(&mut self, found: &[u8], mark: usize) {
        self.add(found, None, mark);
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, found: &[u8], put: Option<Secret>, mark: usize) {
        let known = |swap: &Swap| swap.found.expose() == found; // exposed to compare
        if !found.is_empty() && !self.0.iter().any(known) {
            self.0.push(Swap { found: Secret::new(found), put, mark });
        }
    }

    /// Swaps in `text`, the first of what stands there first; whether there was anything to swap.
    ///
    /// # Errors
    /// A string that must not be there. What stands before it was swapped.
    pub fn swap(&self, text: &mut [u8]) -> Result<bool, Forbidden> {
        self.sweep(text, true).map(|(_, any)| any)
    }

    /// Swaps in as much of `text` as can be told: how much that is, and whether there was anything to swap. All of it,
    /// when it is `whole`; else what may be the beginning of a string is left, with all that follows.
    fn sweep(&self, text: &mut [u8], whole: bool) -> Result<(usize, bool), Forbidden> {
        // Where each stands next, looked up again only when it was passed: a text full of one is read once for each.
        let from = |swap: &Swap, text: &[u8], at: usize| {
            memmem::find(&text[at..], swap.found.expose()).map(|found| at + found) // exposed to find it
        };
        let mut next: Vec<Option<usize>> = self.0.iter().map(|swap| from(swap, text, 0)).collect();
        let (mut clean, mut any) = (0, false);
        loop {
            for (swap, next) in self.0.iter().zip(&mut next) {
                if next.is_some_and(|at| at < clean) {
                    *next = from(swap, text, clean);
                }
            }
            let length = |which: usize| self.0[which].found.expose().len(); // exposed to be measured
            let standing = next.iter().enumerate().filter_map(|(which, at)| at.map(|at| (at, which)));
            // Of two that stand at one place the longer one: it is what a piece that ends there would wait for.
            let first = standing.min_by_key(|(at, which)| (*at, std::cmp::Reverse(length(*which))));
            let end = if whole { text.len() } else { self.begins(text, clean) };
            let Some((at, which)) = first.filter(|(at, _)| *at < end) else { return Ok((end, any)) };
            let Swap { put, mark, .. } = &self.0[which];
            let put = put.as_ref().ok_or(Forbidden { mark: *mark })?;
            (clean, any) = (at + length(which), true);
            text[at..clean].copy_from_slice(put.expose()); // exposed to be sent where the caller says that it belongs
        }
    }

    /// The same for something short: `None` when nothing was swapped.
    ///
    /// # Errors
    /// A string that must not be there.
    pub fn swapped(&self, text: &[u8]) -> Result<Option<Vec<u8>>, Forbidden> {
        let mut copy = text.to_vec();
        Ok(self.swap(&mut copy)?.then_some(copy))
    }

    /// Swaps in the values of fields, and says whether there was anything to swap.
    ///
    /// # Errors
    /// A string that must not be there.
    pub fn fields(&self, fields: &mut HeaderMap) -> Result<bool, Forbidden> {
        let mut any = false;
        for value in fields.values_mut() {
            let Some(text) = self.swapped(value.as_bytes())? else { continue };
            any = true;
            if let Ok(new) = HeaderValue::from_bytes(&text) {
                *value = new;
                value.set_sensitive(true);
            }
        }
        Ok(any)
    }

    /// From where on `text` may be the beginning of a string.
    fn begins(&self, text: &[u8], clean: usize) -> usize {
        let longest = self.0.iter().map(|swap| swap.found.expose().len()).max().unwrap_or(0); // exposed to be measured
        let from = clean.max((text.len() + 1).saturating_sub(longest));
        let begins = |at: &usize| {
            let rest = &text[*at..];
            self.0
                .iter()
                .map(|swap| swap.found.expose())
                .any(|found| found.len() > rest.len() && found.starts_with(rest))
        };
        (from..text.len()).find(begins).unwrap_or(text.len())
    }
}

/// Told of what must not be there, before the body breaks off.
pub type Told = Box<dyn Fn(Forbidden) + Send>;

type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// A body in which strings are swapped, trailers as well.
pub struct Swapped {
    body: Body,
    swaps: Arc<Swaps>,
    told: Told,
    /// What may be the beginning of a string.
    held: BytesMut,
    /// What comes after what is held, when that will not be a string.
    after: Option<Next>,
}

impl Swapped {
    /// Swaps in `body`; `told` hears of what must not be in it.
    pub fn new(body: Body, swaps: Arc<Swaps>, told: Told) -> Self {
        Self { body, swaps, told, held: BytesMut::new(), after: None }
    }

    /// What can go on of all that came so far.
    fn pass(&mut self, bytes: &[u8]) -> Result<Bytes, Forbidden> {
        self.held.extend_from_slice(bytes);
        let (end, _) = self.swaps.sweep(&mut self.held, self.body.is_end_stream())?;
        Ok(self.held.split_to(end).freeze())
    }

    fn forbidden(&mut self, found: Forbidden) -> Next {
        (self.told)(found);
        self.held.clear();
        Some(Err(found.into()))
    }

    fn trailers(&self, mut next: Next) -> Result<Next, Forbidden> {
        if let Some(Ok(frame)) = &mut next
            && let Some(fields) = frame.trailers_mut()
        {
            self.swaps.fields(fields)?;
        }
        Ok(next)
    }
}

impl http_body::Body for Swapped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(after) = self.after.take() {
                return Poll::Ready(after);
            }
            let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let data = next.as_ref().and_then(|next| next.as_ref().ok()?.data_ref().cloned());
            let passed = match data {
                Some(bytes) => self.pass(&bytes),
                None => self.trailers(next).map(|next| {
                    self.after = Some(next);
                    self.held.split().freeze()
                }),
            };
            match passed {
                Ok(passed) if passed.is_empty() => {}
                Ok(passed) => return Poll::Ready(Some(Ok(Frame::data(passed)))),
                Err(found) => return Poll::Ready(self.forbidden(found)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.after.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.len() as u64;
        let rest = self.body.size_hint();
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
    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn swaps(pairs: &[(&str, &str)]) -> Swaps {
        let mut swaps = Swaps::default();
        for (mark, (found, put)) in pairs.iter().enumerate() {
            match *put {
                "" => swaps.forbid(found.as_bytes(), mark),
                put => swaps.put(found.as_bytes(), put.as_bytes(), mark),
            }
        }
        swaps
    }

    /// What comes out of `text` in pieces of `cut` bytes, or the mark of what must not be there.
    fn through(text: &str, pairs: &[(&str, &str)], cut: usize) -> Result<String, usize> {
        let pieces: Vec<_> = text.as_bytes().chunks(cut).map(Bytes::copy_from_slice).collect();
        let frames = pieces.into_iter().map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let told = Arc::new(AtomicUsize::new(usize::MAX));
        let tell = Arc::clone(&told);
        let swapped = Swapped::new(
            body,
            Arc::new(swaps(pairs)),
            Box::new(move |f| tell.store(f.mark, Ordering::Relaxed)),
        );
        match swapped.collect().now_or_never().unwrap() {
            Ok(all) => Ok(String::from_utf8(all.to_bytes().to_vec()).unwrap()),
            Err(_) => Err(told.load(Ordering::Relaxed)),
        }
    }

    #[track_caller]
    fn check(text: &str, pairs: &[(&str, &str)], expected: Result<&str, usize>) {
        for cut in 1..=text.len().max(1) {
            assert_eq!(through(text, pairs, cut), expected.map(str::to_owned), "{text} by {cut}");
        }
    }

    #[test]
    fn each_string_is_swapped_wherever_it_stands_and_what_only_begins_like_it_stays() {
        let pairs = [("sk-skey", "SECRET!"), ("ab", "xy")];
        check("sk-skey", &pairs, Ok("SECRET!"));
        check("no sk-skey and sk-skeysk-skey.", &pairs, Ok("no SECRET! and SECRET!SECRET!."));
        check("sk-sk-skey abab", &pairs, Ok("sk-SECRET! xyxy"));
        for text in ["", "sk-ske", "sk-sk", "Sk-skey sk-skeY sk-", "sk-skesk-ske", "a a a"] {
            check(text, &pairs, Ok(text));
        }
    }

    #[test]
    fn what_was_put_in_is_not_looked_at_again() {
        check("ab ba", &[("ab", "ba"), ("ba", "ab")], Ok("ba ab"));
        check("aab", &[("ab", "aa"), ("aa", "ab")], Ok("abb"));
    }

    #[test]
    fn what_must_not_be_there_breaks_the_body_off() {
        let pairs = [("good", "fine"), ("evil", "")];
        check("a good one", &pairs, Ok("a fine one"));
        check("a good and evil one", &pairs, Err(1));
    }

    #[test]
    fn what_is_held_is_handed_on_before_the_body_breaks_off() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"a sk-"))), Err(BoxError::from("reset"))];
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let mut body = Swapped::new(body, Arc::new(swaps(&[("sk-skey", "*******")])), Box::new(|_| ()));
        let mut next = || body.frame().now_or_never().unwrap();
        assert_eq!(next().unwrap().unwrap().into_data().unwrap(), "a ");
        assert_eq!(next().unwrap().unwrap().into_data().unwrap(), "sk-");
        assert!(next().unwrap().is_err());
    }

    #[test]
    fn trailers_are_swapped_as_well() {
        let fields = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x sk-skey"))]);
        let frames = [Ok::<_, BoxError>(Frame::trailers(fields))];
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let body = Swapped::new(body, Arc::new(swaps(&[("sk-skey", "*******")])), Box::new(|_| ()));
        let all = body.collect().now_or_never().unwrap().unwrap();
        assert_eq!(all.trailers().unwrap()[http::header::ETAG], "x *******");
    }

    #[test]
    fn a_text_full_of_one_string_is_read_once_for_each() {
        let pairs: Vec<(String, String)> = (0..64).map(|n| (format!("{n:08}"), format!("x{n:07}"))).collect();
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut text = "00000000".repeat(1 << 15).into_bytes();
        assert_eq!(swaps(&pairs).swap(&mut text), Ok(true));
        assert_eq!(text, "x0000000".repeat(1 << 15).into_bytes());
    }

    proptest! {
        #[test]
        fn in_any_pieces_the_same_is_swapped(text in "[ab]{0,40}", found in "[ab]{1,5}", cut in 1..9_usize) {
            let put = "*".repeat(found.len());
            let expected = text.replace(&found, &put);
            prop_assert_eq!(through(&text, &[(&found, &put)], cut), Ok(expected));
        }

        #[test]
        fn of_several_the_first_is_swapped_in_any_pieces(
            text in "[abc]{0,40}", one in "[ab]{1,4}", other in "[bc]{1,4}", cut in 1..9_usize,
        ) {
            let (x, y) = ("x".repeat(one.len()), "y".repeat(other.len()));
            let pairs = [(&*one, &*x), (&*other, &*y)];
            prop_assert_eq!(through(&text, &pairs, cut), through(&text, &pairs, text.len().max(1)));
        }
    }
}

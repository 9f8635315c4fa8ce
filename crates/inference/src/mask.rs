//! Keeping the key out of errors: there are backends that repeat the key that they do not like.
//!
//! The key's exact bytes become as many asterisks, so that the length stays. What may be the beginning of the key waits
//! for what follows, so never more than a key's length is held. A backend that means to give its key away can spell it
//! otherwise; this is against carelessness.

use bytes::{Bytes, BytesMut};
use creel_net::{Body, BoxError};
use creel_types::Secret;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// A body without the key.
pub(crate) struct Masked {
    body: Body,
    key: Secret,
    /// What may be the beginning of the key.
    held: BytesMut,
    /// What comes after what is held, when that will not be the key.
    after: Option<Next>,
}

impl Masked {
    pub(crate) fn new(body: Body, key: &Secret) -> Self {
        // Exposed to keep it: the body may outlive the backend.
        let key = Secret::new(key.expose());
        Self { body, key, held: BytesMut::new(), after: None }
    }

    /// What can go on of all that came so far.
    fn pass(&mut self, bytes: &[u8]) -> Bytes {
        // Exposed to find it.
        let key = self.key.expose();
        self.held.extend_from_slice(bytes);
        let clean = mask(&mut self.held, key);
        let more = !self.body.is_end_stream();
        let begins = (clean..self.held.len()).find(|&at| more && key.starts_with(&self.held[at..]));
        self.held.split_to(begins.unwrap_or(self.held.len())).freeze()
    }
}

/// Masks the key wherever it stands, and says where the last one ends.
fn mask(text: &mut [u8], key: &[u8]) -> usize {
    let mut clean = 0;
    while let Some(at) = text[clean..].windows(key.len().max(1)).position(|window| window == key) {
        let end = clean + at + key.len();
        text[clean + at..end].fill(b'*');
        clean = end;
    }
    clean
}

impl http_body::Body for Masked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(after) = self.after.take() {
                return Poll::Ready(after);
            }
            let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let data = next.as_ref().and_then(|next| next.as_ref().ok()?.data_ref());
            let passed = match data {
                Some(bytes) => self.pass(&bytes.clone()),
                None => {
                    self.after = Some(next);
                    self.held.split().freeze()
                }
            };
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
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

    /// What is left of `text`, in pieces of `cut` bytes, when the key is taken out.
    fn masked(text: &str, key: &str, cut: usize) -> String {
        let pieces: Vec<_> = text.as_bytes().chunks(cut).map(Bytes::copy_from_slice).collect();
        let frames = pieces.into_iter().map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let masked = Masked::new(body, &Secret::new(key.as_bytes()));
        let bytes = masked.collect().now_or_never().unwrap().unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for cut in 1..=text.len().max(1) {
            assert_eq!(masked(text, "sk-skey", cut), expected, "{text} by {cut}");
        }
    }

    #[test]
    fn the_key_is_masked_wherever_it_stands() {
        check("sk-skey", "*******");
        check("no sk-skey and sk-skeysk-skey.", "no ******* and **************.");
        check("sk-sk-skey", "sk-*******");
    }

    #[test]
    fn what_only_begins_like_the_key_stays() {
        for text in ["", "sk-ske", "sk-sk", "Sk-skey sk-skeY sk-", "sk-skesk-ske"] {
            check(text, text);
        }
    }

    #[test]
    fn what_is_held_is_handed_on_before_the_body_breaks_off() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"a sk-"))), Err(BoxError::from("reset"))];
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let mut body = Masked::new(body, &Secret::new(*b"sk-skey"));
        let mut next = || body.frame().now_or_never().unwrap();
        assert_eq!(next().unwrap().unwrap().into_data().unwrap(), "a ");
        assert_eq!(next().unwrap().unwrap().into_data().unwrap(), "sk-");
        assert!(next().unwrap().is_err());
    }

    proptest! {
        #[test]
        fn in_any_pieces_the_same_is_masked(text in "[ab]{0,40}", key in "[ab]{1,5}", cut in 1..9_usize) {
            let stars = "*".repeat(key.len());
            prop_assert_eq!(masked(&text, &key, cut), text.replace(&key, &stars));
        }
    }
}

//! Streams: untouched, undelayed, counted.

use crate::played::{Played, inference, models};
use crate::{Told, bytes, caller, post, run};
use bytes::Bytes;
use creel_inference::{Body, BoxError};
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use std::sync::Mutex;
use tokio::sync::mpsc;

const CHAT: &[u8] = include_bytes!("../streams/chat.sse");
const RESPONSES: &[u8] = include_bytes!("../streams/responses.sse");
const MESSAGES: &[u8] = include_bytes!("../streams/messages.sse");

fn streamed(
    frames: impl futures_util::Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Response<Body> {
    let body = Body::new(StreamBody::new(frames.map(|frame| frame.map(Frame::data))));
    Response::builder().header("content-type", "text/event-stream; charset=utf-8").body(body).unwrap()
}

/// `stream` in pieces of these lengths, over and over.
fn pieces(stream: &'static [u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut rest = Bytes::from_static(stream);
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        pieces.push(rest.split_to((*cut).min(rest.len())));
    }
    pieces
}

proptest! {
    #[test]
    fn in_any_pieces_bytes_out_are_bytes_in_and_usage_is_the_same(
        cuts in prop::collection::vec(1..300_usize, 1..30),
        which in 0..3_usize,
    ) {
        let all = [CHAT, RESPONSES, MESSAGES][which];
        let frames = pieces(all, &cuts);
        let upstream = Played::new(move || Ok(streamed(stream::iter(frames.clone().into_iter().map(Ok)))));
        let told = Told::default();
        let got = run(async {
            let call = models(&upstream, &told);
            bytes(call.call(&inference(), &caller(), post("/v1/messages", r#"{"stream":true}"#)).await).await
        });
        prop_assert_eq!(got, all);
        let call = told.only();
        prop_assert_eq!((call.tokens.input, call.tokens.output), (Some(100), Some(20)));
        prop_assert!(call.streamed && call.complete && call.failure.is_none());
        prop_assert_eq!(call.bytes_down, all.len() as u64);
    }
}

/// A response whose frames the test sends one by one.
struct Fed {
    told: Told,
    frames: mpsc::UnboundedSender<Result<Bytes, BoxError>>,
    body: Body,
}

async fn fed() -> Fed {
    let (frames, receiver) = mpsc::unbounded_channel();
    let receiver = stream::unfold(receiver, async |mut from| from.recv().await.map(|frame| (frame, from)));
    let receiver = Mutex::new(Some(receiver));
    let upstream = Played::new(move || Ok(streamed(receiver.lock().unwrap().take().unwrap())));
    let told = Told::default();
    let response = models(&upstream, &told).call(&inference(), &caller(), post("/v1/messages", "{}")).await;
    Fed { told, frames, body: response.into_body() }
}

#[test]
fn each_piece_is_handed_on_before_the_next_one_comes() {
    run(async {
        let mut fed = fed().await;
        for byte in MESSAGES {
            fed.frames.send(Ok(Bytes::copy_from_slice(&[*byte]))).unwrap();
            let frame = fed.body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(*frame, [*byte]);
        }
        assert!(fed.told.none());
    });
}

#[test]
fn a_stream_that_breaks_off_is_told_of_with_what_was_seen() {
    run(async {
        let mut fed = fed().await;
        fed.frames.send(Ok(Bytes::from_static(&MESSAGES[..400]))).unwrap();
        fed.frames.send(Err("connection reset".into())).unwrap();
        fed.body.frame().await.unwrap().unwrap();
        assert!(fed.body.frame().await.unwrap().is_err());
        let call = fed.told.only();
        assert_eq!((call.tokens.input, call.complete), (Some(100), false));
        assert!(call.failure.unwrap().contains("connection reset"));
    });
}

#[test]
fn a_caller_that_hangs_up_early_does_not_escape_the_meter() {
    run(async {
        let mut fed = fed().await;
        fed.frames.send(Ok(Bytes::from_static(&MESSAGES[..400]))).unwrap();
        fed.body.frame().await.unwrap().unwrap();
        drop(fed.body);
        let call = fed.told.only();
        assert_eq!((call.tokens.input, call.complete), (Some(100), false));
        assert_eq!(call.failure.as_deref(), Some("the caller hung up"));
    });
}

#[test]
fn a_caller_that_hangs_up_after_the_last_event_has_had_it_all() {
    run(async {
        let mut fed = fed().await;
        fed.frames.send(Ok(Bytes::from_static(MESSAGES))).unwrap();
        fed.body.frame().await.unwrap().unwrap();
        drop(fed.body);
        let call = fed.told.only();
        assert_eq!((call.tokens.output, call.complete, call.failure), (Some(20), true, None));
    });
}

#[test]
fn a_caller_that_hangs_up_before_the_answer_is_told_of() {
    struct Never;
    impl creel_inference::Upstream for Never {
        fn send<'a>(
            &'a self,
            _: &'a creel_inference::BackendRef,
            _: http::Request<Body>,
        ) -> futures_util::future::BoxFuture<'a, Result<Response<Body>, creel_inference::UpstreamError>>
        {
            Box::pin(std::future::pending())
        }
    }
    let told = Told::default();
    let backend = crate::played::backend("http://b", creel_inference::Speaks::Both);
    let routes = creel_inference::Routes::to(backend, None);
    let models = creel_inference::Models::new(routes, std::sync::Arc::new(Never), told.hook());
    run(async {
        let (host, who) = (inference(), caller());
        let call = models.call(&host, &who, post("/v1/messages", "{}"));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), call).await.is_err());
    });
    let call = told.only();
    assert_eq!((call.status, call.complete), (None, false));
    assert!(call.failure.unwrap().contains("hung up"));
}

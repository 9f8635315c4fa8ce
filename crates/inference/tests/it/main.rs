//! Model calls from outside: with a backend that is played, and with a mock server over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod metering;
mod mock_server;
mod naming;
mod played;
mod refusing;
mod swapping;

use bytes::Bytes;
use creel_inference::{Body, Call};
use creel_types::{Caller, HostName, Program};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::future::Future;
use std::sync::{Arc, Mutex};

/// The calls that were told of.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Call>>>);

impl Told {
    fn hook(&self) -> Arc<dyn Fn(&Call) + Send + Sync> {
        let told = Arc::clone(&self.0);
        Arc::new(move |call| told.lock().unwrap().push(call.clone()))
    }

    /// The one call that was told of.
    #[track_caller]
    fn only(&self) -> Call {
        let calls = self.0.lock().unwrap();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].clone()
    }

    fn none(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn caller() -> Arc<Caller> {
    let program = Program { pid: 41, path: "/usr/bin/claude".into(), digest: None, foreign_code: None };
    Arc::new(Caller { chain: vec![program] })
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

fn post(path: &str, json: &str) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-agent")
        .header("x-api-key", "sk-agent")
        .body(body(json.to_owned()))
        .unwrap()
}

async fn bytes(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Runs on a runtime of its own, as the warden does: on one thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

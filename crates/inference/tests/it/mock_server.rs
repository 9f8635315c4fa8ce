//! Against a mock model server over plain HTTP: `CREEL_MOCK_LLM=<its script> cargo test -- --ignored`.
//!
//! The server is a Python script that speaks the three APIs, prints its URL, and refuses any key but the one it was
//! started with.

use crate::played::{KEY, backend, inference};
use crate::{Told, bytes, caller, post, run};
use creel_inference::{BackendRef, Body, Models, Routes, Speaks, Upstream, UpstreamError};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A connection for each request.
pub(crate) struct Dialled;

impl Upstream for Dialled {
    #[allow(clippy::disallowed_methods, reason = "a test has no permit to spend")]
    fn send<'a>(
        &'a self,
        backend: &'a BackendRef,
        req: Request<Body>,
    ) -> BoxFuture<'a, Result<Response<Body>, UpstreamError>> {
        Box::pin(async move {
            let base = backend.base();
            let socket = tokio::net::TcpStream::connect((base.host(), base.port())).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
            tokio::spawn(connection);
            let broken = |error: hyper::Error| UpstreamError::Unreachable { reason: error.to_string() };
            let response = sender.send_request(req).await.map_err(broken)?;
            Ok(response.map(|body| Body::new(body.map_err(Into::into))))
        })
    }
}

/// The server, which ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(key: &str) -> Self {
        let script = std::env::var_os("CREEL_MOCK_LLM").expect("CREEL_MOCK_LLM names no script");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--port", "0", "--require-key", key])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().last().unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROMPT: &str =
    r#""messages":[{"role":"user","content":"[[say: hello there]]"}],"input":"[[say: hello there]]""#;

#[test]
#[ignore = "needs python3, and CREEL_MOCK_LLM to name a mock model server"]
fn each_api_is_answered_streamed_or_not_with_the_operators_key() {
    let server = Server::start(KEY);
    for base in [server.url.clone(), format!("{}/v1", server.url)] {
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
            for stream in [false, true] {
                let json = format!(
                    r#"{{"model":"mock-model","stream":{stream},"stream_options":{{"include_usage":true}},{PROMPT}}}"#
                );
                one(&base, path, &json, stream);
            }
        }
    }
}

fn one(base: &str, path: &str, json: &str, stream: bool) {
    let told = Told::default();
    let models = Models::new(Routes::to(backend(base, Speaks::Both), None), Arc::new(Dialled), told.hook());
    let text = run(async {
        let response = models.call(&inference(), &caller(), post(path, json)).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(!format!("{:?}", response.headers()).contains(KEY));
        String::from_utf8(bytes(response).await.to_vec()).unwrap()
    });
    assert!(text.contains("hello there"), "{path}: {text}");
    let call = told.only();
    assert_eq!((call.tokens.input, call.tokens.output), (Some(100), Some(20)), "{path} {stream}");
    assert_eq!(
        (call.streamed, call.complete, call.model.as_deref()),
        (stream, true, Some("mock-model")),
        "{path}"
    );
}

#[test]
#[ignore = "needs python3, and CREEL_MOCK_LLM to name a mock model server"]
fn the_callers_key_opens_nothing_even_where_it_is_the_right_one() {
    let server = Server::start("sk-agent");
    let told = Told::default();
    let models =
        Models::new(Routes::to(backend(&server.url, Speaks::Both), None), Arc::new(Dialled), told.hook());
    for path in ["/v1/chat/completions?key=sk-agent", "/v1/messages"] {
        let response = run(async { models.call(&inference(), &caller(), post(path, "{}")).await });
        assert_eq!(response.status(), 401, "{path}");
        assert!(!format!("{:?}", response.headers()).contains(KEY));
    }
}

#[test]
#[ignore = "needs python3, and CREEL_MOCK_LLM to name a mock model server"]
fn a_chat_stream_that_states_no_usage_has_none() {
    let server = Server::start(KEY);
    let told = Told::default();
    let models =
        Models::new(Routes::to(backend(&server.url, Speaks::Both), None), Arc::new(Dialled), told.hook());
    let json = format!(r#"{{"model":"mock-model","stream":true,{PROMPT}}}"#);
    run(async {
        bytes(models.call(&inference(), &caller(), post("/v1/chat/completions", &json)).await).await
    });
    let call = told.only();
    assert_eq!((call.tokens, call.complete), (creel_audit::Tokens::default(), true));
}

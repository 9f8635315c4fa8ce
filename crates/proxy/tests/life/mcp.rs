//! MCP and JSON-RPC through inspected connections.

use crate::servers::{self, Server};
use crate::stand::{Sent, Stand, Whole, ask, ask2, speak1, whole};
use bytes::Bytes;
use creel_net::authority::{Authority, Protocols};
use creel_net::{Body, body};
use futures_util::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

const RULES: &str = r#"
    - name: tools
      to: [mcp.test]
      http: { allow: ["* /mcp"] }
      mcp: { call: ["search*", { tool: fetch, arguments: { url: ["https://docs.test/*"] } }], deny: ["search.admin"], server: [elicitation/create] }
    - { name: node, to: ["rpc.test:80"], jsonrpc: { allow: ["eth_*"], deny: [eth_sendTransaction] } }
    - { name: open, to: ["guarded.test:80"], http: { allow: ["* /**"] } }
    - { name: guard, to: ["guarded.test:80"], mcp: { deny: ["admin*"] } }
"#;

const TOOLS: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"search"},{"name":"delete"},{"name":"fetch"}]}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
const ASKS: &str = r#"{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}"#;
const ELICITS: &str = r#"{"jsonrpc":"2.0","id":"s2","method":"elicitation/create","params":{}}"#;

/// A server of MCP in plain words: lists three tools, and answers any other call.
async fn answer(
    request: Request<Incoming>,
    heard: Arc<std::sync::Mutex<Vec<u8>>>,
) -> Result<Response<Body>, creel_net::BoxError> {
    let stream = request.headers().get("accept").is_some_and(|a| a.as_bytes().ends_with(b"event-stream"));
    let odd = request.headers().get("x-odd").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let text = request.into_body().collect().await?.to_bytes();
    heard.lock().unwrap().extend_from_slice(&text);
    let list = text.windows(10).any(|w| w == b"tools/list");
    let said = Bytes::from(if list { TOOLS } else { DONE });
    let kind = match (stream, odd.as_str()) {
        (_, "html") => "text/html",
        (true, _) => "text/event-stream",
        _ => "application/json",
    };
    let out = match (stream, odd.as_str()) {
        (_, "twice") => body::full(r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#),
        (true, _) => {
            let events =
                format!("id: 1\ndata: {ASKS}\n\nid: 2\ndata: {ELICITS}\n\nevent: message\ndata: {TOOLS}\n\n");
            // In pieces that cut events and lines anywhere.
            let pieces: Vec<Bytes> = events.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
            let frames = pieces.into_iter().map(|p| Ok::<_, creel_net::BoxError>(Frame::data(p)));
            let endless = odd == "endless";
            let rest = futures_util::stream::pending().take_while(move |_| std::future::ready(endless));
            let frames = futures_util::stream::iter(frames);
            if endless { body::stream(frames.chain(rest)) } else { body::stream(frames) }
        }
        _ => body::full(said),
    };
    let mut response = Response::new(out);
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    if odd == "gzip" {
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

async fn serve<S>(stream: S, heard: Arc<std::sync::Mutex<Vec<u8>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| answer(request, Arc::clone(&heard)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn stand() -> (Stand, Server, Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let host = creel_types::Host::Name(creel_types::HostName::new("mcp.test").unwrap());
    let config = outside.server(&host, Protocols::Http1).unwrap();
    let secure = servers::server(move |stream, heard| {
        let config = Arc::clone(&config);
        async move {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            serve(stream, heard).await;
        }
    })
    .await;
    let plain = servers::server(serve).await;
    let resolve = [("mcp.test", secure.addr), ("rpc.test", plain.addr), ("guarded.test", plain.addr)];
    (Stand::new(RULES, &resolve, outside), secure, plain)
}

fn post(host: &str, path: &str, text: &str) -> Request<Sent> {
    let mut request = ask("POST", host, path);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    *request.body_mut() = Sent::from(Bytes::copy_from_slice(text.as_bytes()));
    request
}

fn tool(name: &str, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
        .to_string()
}

async fn say(stand: &Stand, request: Request<Sent>) -> Whole {
    let mut agent = stand.https1("mcp.test").await;
    whole(agent.send_request(request).await.unwrap()).await
}

async fn say_plain(stand: &Stand, host: &str, request: Request<Sent>) -> Whole {
    let mut agent = speak1(stand.connect(host, 80).await).await;
    whole(agent.send_request(request).await.unwrap()).await
}

#[tokio::test]
async fn an_allowed_call_arrives_byte_for_byte_and_a_refused_one_is_answered_in_json_rpc() {
    let (stand, server, _) = stand().await;
    let text = r#"{ "jsonrpc":"2.0", "id":7,"method":"tools/call","params":{"name":"search","arguments":{"q":1.50}} }"#;
    let allowed = say(&stand, post("mcp.test", "/mcp", text)).await;
    assert_eq!((allowed.status, allowed.text()), (StatusCode::OK, DONE));
    assert_eq!(server.heard(), text);
    assert_eq!(stand.notes.count("request POST mcp.test/mcp tools [tools/call search]"), 1);
    let before = server.heard();
    for (name, arguments, why) in [
        ("delete", json!({}), "no rule allows what the request says"),
        ("fetch", json!({"url": "https://evil.test/"}), "no rule allows what the request says"),
        ("Search.Admin", json!({}), "`deny: search.admin`"),
    ] {
        let refused = say(&stand, post("mcp.test", "/mcp", &tool(name, &arguments))).await;
        assert_eq!(refused.status, StatusCode::OK);
        let said: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(
            (&said["jsonrpc"], &said["id"], &said["error"]["code"]),
            (&json!("2.0"), &json!(7), &json!(-32003))
        );
        assert!(said["error"]["message"].as_str().unwrap().contains(why), "{said}");
    }
    assert_eq!(server.heard(), before, "nothing that was refused went out");
    assert_eq!(stand.notes.count("refused mcp.test:443"), 3);
}

#[tokio::test]
async fn what_has_two_readings_is_refused_whole() {
    let (stand, server, _) = stand().await;
    let call = tool("search", &json!({}));
    let mut gzip = post("mcp.test", "/mcp", &call);
    gzip.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let mut utf16 = post("mcp.test", "/mcp", &call);
    utf16.headers_mut().insert("content-type", "application/json; charset=UTF-16".parse().unwrap());
    let mut requests = vec![gzip, utf16];
    let large = tool("search", &json!({"q": "x".repeat(creel_proxy::inspect::body::MOST)}));
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"delete"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"delete"}}"#,
        &format!("\u{feff}{call}"),
        &format!("{call}{call}"),
        &format!("[{call},{}]", tool("delete", &json!({}))),
        "not json",
        "",
        &large,
    ] {
        requests.push(post("mcp.test", "/mcp", text));
    }
    for request in requests {
        let refused = say(&stand, request).await;
        let said: Value = serde_json::from_slice(&refused.body).unwrap();
        assert!(said["error"].is_object() || said[0]["error"].is_object(), "{} {said}", refused.status);
    }
    assert_eq!((server.heard(), server.connections()), (String::new(), 0));
}

#[tokio::test]
async fn lists_of_tools_and_requests_of_the_server_are_judged_in_json_and_in_events() {
    let (stand, _server, _) = stand().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = say(&stand, post("mcp.test", "/mcp", list)).await;
    assert_eq!(
        answer.text(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"search"},{"name":"fetch"}]}}"#
    );
    let mut stream = ask("GET", "mcp.test", "/mcp");
    stream.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let answer = say(&stand, stream).await;
    let left = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"search"},{"name":"fetch"}]}}"#;
    let want = format!("id: 1\n\nid: 2\ndata: {ELICITS}\n\nevent: message\ndata: {left}\n\n");
    assert_eq!(answer.text(), want);
    assert_eq!(stand.notes.count("refused mcp.test:443 Some((\"GET\", \"/mcp\"))"), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_judged_is_not_handed_on() {
    let (stand, _server, _) = stand().await;
    for odd in ["html", "twice", "gzip"] {
        let mut request = post("mcp.test", "/mcp", &tool("search", &json!({})));
        request.headers_mut().insert("x-odd", odd.parse().unwrap());
        let answer = say(&stand, request).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{odd}: {}", answer.text());
        assert!(answer.text().contains("cannot be judged"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_upgrade_is_not_offered_where_messages_are_judged() {
    let (stand, _server, _) = stand().await;
    let mut request = ask("GET", "mcp.test", "/mcp");
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let answer = say(&stand, request).await;
    assert_ne!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
}

#[tokio::test]
async fn a_call_over_http2_is_judged_as_well() {
    let (stand, server, _) = stand().await;
    let mut agent = stand.https2("mcp.test").await;
    let mut send = |text: &str| {
        let mut request = ask2("POST", "https://mcp.test/mcp", b"");
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = Sent::from(Bytes::copy_from_slice(text.as_bytes()));
        agent.send_request(request)
    };
    let allowed = tool("search", &json!({}));
    assert_eq!(whole(send(&allowed).await.unwrap()).await.text(), DONE);
    let refused = whole(send(&tool("delete", &json!({}))).await.unwrap()).await;
    assert!(refused.text().contains("-32003"));
    assert_eq!(server.heard(), allowed);
}

#[tokio::test]
async fn methods_of_json_rpc_are_judged_by_themselves() {
    let (stand, _, server) = stand().await;
    let call = |method: &str| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string();
    let good = call("eth_call");
    assert_eq!(say_plain(&stand, "rpc.test", post("rpc.test", "/", &good)).await.text(), DONE);
    for method in ["eth_sendTransaction", "net_version"] {
        let refused = say_plain(&stand, "rpc.test", post("rpc.test", "/", &call(method))).await;
        assert!(refused.text().contains("-32003"), "{}", refused.text());
    }
    assert_eq!(server.heard(), good);
}

#[tokio::test]
async fn a_guard_looks_into_json_and_lets_other_bodies_stream() {
    let (stand, _, server) = stand().await;
    let refused =
        say_plain(&stand, "guarded.test", post("guarded.test", "/x", &tool("admin.x", &json!({})))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(server.heard(), "");
    let mut upload = ask("PUT", "guarded.test", "/file");
    *upload.body_mut() = Sent::from(vec![b'x'; 8 << 20]);
    assert_eq!(say_plain(&stand, "guarded.test", upload).await.status, StatusCode::OK);
    assert_eq!(server.heard().len(), 8 << 20);
    let plain = json!({"name": "admin"}).to_string();
    assert_eq!(
        say_plain(&stand, "guarded.test", post("guarded.test", "/x", &plain)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_stream_is_cut_when_its_call_is_no_longer_allowed() {
    let (stand, _server, _) = stand().await;
    let mut agent = stand.https1("mcp.test").await;
    let mut request = ask("GET", "mcp.test", "/mcp");
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    request.headers_mut().insert("x-odd", "endless".parse().unwrap());
    let response = agent.send_request(request).await.unwrap();
    let gone = stand.swap("    - { name: tools, to: [mcp.test], http: { allow: [\"GET /other\"] } }\n");
    drop(response);
    assert_eq!((gone.kept, gone.cut.len()), (0, 1), "{gone:?}");
}

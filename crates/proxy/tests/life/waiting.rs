//! Connections outside that wait for the next connection of their program.

use crate::servers;
use crate::stand::{Sent, Stand, ask, whole};
use creel_net::authority::{Authority, Protocols};
use http::{Request, Response, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

const RULES: &str = r#"
    - { name: api, to: [api.test], http: { allow: ["* /**"] } }
"#;

async fn stand() -> (Stand, servers::Server) {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = servers::https(&outside, "api.test", Protocols::Http1).await;
    let resolve = [("api.test", server.addr)];
    (Stand::new(RULES, &resolve, outside), server)
}

/// One connection with one request, to its end.
async fn once(stand: &Stand, request: Request<Sent>) -> StatusCode {
    let mut agent = stand.https1("api.test").await;
    let status = whole(agent.send_request(request).await.unwrap()).await.status;
    drop(agent);
    over(stand).await;
    status
}

async fn over(stand: &Stand) {
    while stand.exit.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn get() -> Request<Sent> {
    ask("GET", "api.test", "/ok")
}

fn with(name: &str, value: &str) -> Request<Sent> {
    let mut request = get();
    request
        .headers_mut()
        .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    request
}

/// Asks `first`, does `between`, asks `second`, each on a connection of its own: over `outside` connections in all.
async fn check(
    what: &str,
    (first, second): (Request<Sent>, Request<Sent>),
    between: impl FnOnce(&mut Stand),
    outside: usize,
) {
    let (mut stand, server) = stand().await;
    assert_eq!(once(&stand, first).await, 200, "{what}");
    between(&mut stand);
    assert_eq!(once(&stand, second).await, 200, "{what}");
    assert_eq!(server.connections(), outside, "{what}");
    assert_eq!(stand.notes.count("request "), 2, "{what}: each is judged and recorded");
    assert_eq!(stand.notes.count("ended "), 2, "{what}");
}

#[tokio::test]
async fn what_waits_is_used_by_its_program_for_what_may_be_sent_twice_and_by_nothing_else() {
    check("the same again", (get(), get()), |_| {}, 1).await;
    check("after any request", (ask("POST", "api.test", "/ok"), get()), |_| {}, 1).await;
    check("not to be sent twice", (get(), ask("POST", "api.test", "/ok")), |_| {}, 2).await;
    check("another program", (get(), get()), |stand| stand.becomes("/usr/bin/other"), 2).await;
    check("nobody known", (get(), get()), Stand::is_unknown, 2).await;
    check("another policy", (get(), get()), |stand| drop(stand.swap(RULES)), 2).await;
    let bound = || with("authorization", "NTLM TlRMTVNTUAAB");
    check("credentials of the connection", (bound(), get()), |_| {}, 2).await;
    let own = || with("authorization", "Bearer abc");
    check("credentials of the request", (own(), get()), |_| {}, 1).await;
}

#[tokio::test]
async fn what_is_not_at_rest_does_not_wait() {
    let (stand, server) = stand().await;
    let mut agent = stand.https1("api.test").await;
    let unread = agent.send_request(ask("GET", "api.test", "/slow")).await.unwrap();
    drop((unread, agent));
    over(&stand).await;
    assert_eq!(once(&stand, get()).await, 200);
    assert_eq!(server.connections(), 2);
}

/// Answers one request on each connection and closes under the next.
async fn impatient(authority: &Arc<Authority>) -> servers::Server {
    let host = creel_types::Host::Name(creel_types::HostName::new("api.test").unwrap());
    let config = authority.server(&host, Protocols::Http1).unwrap();
    servers::server(move |stream, _| {
        let config = Arc::clone(&config);
        async move {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            let asked = AtomicUsize::new(0);
            let answer = service_fn(|_| {
                let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
                async move { if first { Ok(Response::new(Sent::from("ok"))) } else { Err("enough") } }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_closes_what_waited_is_asked_again_on_a_new_connection() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = impatient(&outside).await;
    let stand = Stand::new(RULES, &[("api.test", server.addr)], outside);
    for _ in 0..3 {
        assert_eq!(once(&stand, get()).await, 200);
    }
    assert_eq!(server.connections(), 3);
    assert_eq!(stand.notes.count("request "), 3);
}

//! What going through the exit costs, beside going direct: requests a second at 32 kept-alive connections, new TLS
//! connections a second, large bodies inspected and passed through.
//!
//! Each part (agents, exit, server) has a thread of its own with a current-thread runtime, as in the real program.
//! Only the ratio of two figures of one run means something.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where it breaks"
)]
#![expect(dead_code, reason = "shares the tests' stand and servers")]

#[path = "../tests/life/servers.rs"]
mod servers;
#[path = "../tests/life/stand.rs"]
mod stand;

use creel_net::authority::{Authority, Protocols};
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use stand::{Sent, Stand, ask, secure, speak1};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const RULES: &str = r#"
    - { name: api, to: [api.test], http: { allow: ["GET /**"] } }
    - { name: through, to: [through.test] }
"#;
const FOR: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 32;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `serve` for ever on a thread of its own; gives what it says first.
fn thread<T: Send + 'static>(serve: impl AsyncFnOnce(mpsc::Sender<T>) + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || runtime().block_on(serve(tell)));
    told.recv().unwrap()
}

/// Where agents connect: to the server itself, or to a door of the exit that stands for its name.
#[derive(Clone)]
struct Way {
    addr: SocketAddr,
    name: &'static str,
    trusted: Arc<Authority>,
}

#[expect(clippy::disallowed_methods, reason = "the agent's own dial, on loopback")]
async fn connect(way: &Way) -> SendRequest<Sent> {
    let stream = TcpStream::connect(way.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    speak1(secure(stream, way.name, &["http/1.1"], &[&way.trusted]).await.unwrap()).await
}

async fn requests(way: &Way) -> (f64, Duration) {
    let until = Instant::now() + FOR;
    let workers = (0..CONNECTIONS).map(|_| {
        let way = way.clone();
        tokio::spawn(async move {
            let mut agent = connect(&way).await;
            let mut done = 0_u32;
            while Instant::now() < until {
                agent.ready().await.unwrap();
                let answer = agent.send_request(ask("GET", way.name, "/ok/1")).await.unwrap();
                answer.into_body().collect().await.unwrap();
                done += 1;
            }
            done
        })
    });
    let done: u32 = futures_util::future::join_all(workers).await.into_iter().map(|n| n.unwrap()).sum();
    (f64::from(done) / FOR.as_secs_f64(), median(way).await)
}

async fn median(way: &Way) -> Duration {
    let mut agent = connect(way).await;
    let mut times = Vec::new();
    for _ in 0..2000 {
        agent.ready().await.unwrap();
        let began = Instant::now();
        let answer = agent.send_request(ask("GET", way.name, "/ok/1")).await.unwrap();
        answer.into_body().collect().await.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

async fn connections(way: &Way) -> f64 {
    let until = Instant::now() + FOR;
    let workers = (0..8).map(|_| {
        let way = way.clone();
        tokio::spawn(async move {
            let mut done = 0_u32;
            while Instant::now() < until {
                let mut agent = connect(&way).await;
                let answer = agent.send_request(ask("GET", way.name, "/ok/1")).await.unwrap();
                answer.into_body().collect().await.unwrap();
                done += 1;
            }
            done
        })
    });
    let done: u32 = futures_util::future::join_all(workers).await.into_iter().map(|n| n.unwrap()).sum();
    f64::from(done) / FOR.as_secs_f64()
}

async fn bodies(way: &Way) -> f64 {
    let mut agent = connect(way).await;
    let (began, mut bytes) = (Instant::now(), 0_usize);
    while began.elapsed() < FOR {
        agent.ready().await.unwrap();
        let mut body = agent.send_request(ask("GET", way.name, "/large")).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
        }
    }
    bytes as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// A door of the exit: whoever connects there is taken to `name`.
fn door(exit: Arc<creel_proxy::Exit>, listener: TcpListener, to: SocketAddr) {
    tokio::spawn(async move {
        while let Ok((stream, source)) = listener.accept().await {
            tokio::spawn(Arc::clone(&exit).connection(stream, source, to));
        }
    });
}

fn main() {
    let outside = Arc::new(Authority::new("outside").unwrap());
    let server = |name: &'static str| {
        let outside = Arc::clone(&outside);
        thread(async move |tell| {
            let server = servers::https(&outside, name, Protocols::Http1).await;
            tell.send(server.addr).unwrap();
            std::future::pending().await
        })
    };
    let (api, through) = (server("api.test"), server("through.test"));
    let at = Arc::clone(&outside);
    let (inside, doors) = thread(async move |tell| {
        let stand = Stand::new(RULES, &[("api.test", api), ("through.test", through)], at);
        let mut doors = Vec::new();
        for name in ["api.test", "through.test"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            doors.push(listener.local_addr().unwrap());
            door(Arc::clone(&stand.exit), listener, SocketAddr::new(stand.address(name), 443));
        }
        tell.send((Arc::clone(&stand.inside), doors)).unwrap();
        std::future::pending().await
    });
    let way = |addr, name, trusted: &Arc<Authority>| Way { addr, name, trusted: Arc::clone(trusted) };
    runtime().block_on(async {
        for (what, way) in [
            ("direct", way(api, "api.test", &outside)),
            ("inspected", way(doors[0], "api.test", &inside)),
            ("passed through", way(doors[1], "through.test", &outside)),
        ] {
            let (rate, p50) = requests(&way).await;
            println!("{what:>15}: {rate:>7.0} requests/s at {CONNECTIONS}, p50 {p50:?} at 1");
            println!("{what:>15}: {:>7.0} new connections/s", connections(&way).await);
            println!("{what:>15}: {:>7.0} MB/s of 10 MiB bodies", bodies(&way).await);
        }
    });
}

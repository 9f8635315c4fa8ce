//! A registry on loopback: HTTPS, tokens, several platforms, redirects, and the ways in which one may lie.

use crate::upstream::certificates;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// How a registry behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It gives a token to everyone.
    Open,
    /// It gives a token to `ada` with the password `s3cret`.
    Closed,
    /// It asks for a name and a password with each request.
    Basic,
    /// It names a place for tokens that is not HTTPS.
    Plain,
    /// It sends blobs with another byte in them.
    Altering,
    /// It sends more than the blob.
    Longer,
    /// It begins to send a blob and then nothing more.
    Stalling,
}

/// A registry with one image, `test/image:v1`; it lives until the test's process ends.
pub struct Registry {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where blobs are redirected to.
    pub elsewhere: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    documents: HashMap<String, Bytes>,
    blobs: HashMap<String, Bytes>,
    /// Request lines with the login that came with them, by the port.
    seen: Mutex<Vec<(u16, String, Option<String>)>>,
}

impl Registry {
    /// Starts it with an image of these layers, each a tar stream as it is sent and its digest without compression.
    pub fn start(manner: Manner, layers: &[(Vec<u8>, String)]) -> Self {
        let (documents, blobs) = contents(layers);
        let shared = Arc::new(Shared { manner, documents, blobs, seen: Mutex::default() });
        let (ca_pem, config) = certificates(&["localhost", "127.0.0.1"]);
        let (send, receive) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (main, other) = (
                    TcpListener::bind("127.0.0.1:0").await.unwrap(),
                    TcpListener::bind("127.0.0.1:0").await.unwrap(),
                );
                let addrs = [&main, &other].map(|l| l.local_addr().unwrap());
                send.send(addrs).unwrap();
                let ports = addrs.map(|a| a.port());
                tokio::join!(
                    serve(main, Arc::clone(&config), Arc::clone(&served), ports),
                    serve(other, config, served, ports)
                );
            });
        });
        let [addr, elsewhere] = receive.recv().unwrap();
        Self { addr, elsewhere, ca_pem, shared }
    }

    /// The image's name.
    pub fn image(&self) -> String {
        format!("localhost:{}/test/image:v1", self.addr.port())
    }

    /// Writes the authority's certificate into `dir` and returns its path.
    pub fn ca_file(&self, dir: &Path) -> PathBuf {
        let path = dir.join("registry-ca.pem");
        std::fs::write(&path, &self.ca_pem).unwrap();
        path
    }

    /// The requests so far: port, path, `Authorization`.
    pub fn seen(&self) -> Vec<(u16, String, Option<String>)> {
        self.shared.seen.lock().unwrap().clone()
    }
}

/// `sha256:...` of the bytes, by the `sha2` crate.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().fold(String::from("sha256:"), |text, b| text + &format!("{b:02x}"))
}

type Store = HashMap<String, Bytes>;

fn contents(layers: &[(Vec<u8>, String)]) -> (Store, Store) {
    let (mut documents, mut blobs) = (Store::new(), Store::new());
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diffs: Vec<&String> = layers.iter().map(|(_, diff)| diff).collect();
    let config = json!({"os": "linux", "architecture": arch, "rootfs": {"diff_ids": diffs},
        "config": {"Entrypoint": ["/bin/sh"], "Cmd": ["-c", "echo from the image as $X"], "Env": ["X=y", "PATH=/bin"]}});
    let mut described = |bytes: Vec<u8>| {
        let of = json!({"digest": digest(&bytes), "size": bytes.len()});
        blobs.insert(digest(&bytes), bytes.into());
        of
    };
    let config = described(config.to_string().into_bytes());
    let layers: Vec<Value> = layers.iter().map(|(bytes, _)| described(bytes.clone())).collect();
    let manifest = json!({"config": config, "layers": layers}).to_string();
    let of = |text: &str, os: &str, arch: &str| json!({"digest": digest(text.as_bytes()), "size": text.len(), "platform": {"os": os, "architecture": arch}});
    let index = json!({"manifests": [of("{}", "linux", "s390x"), of(&manifest, "linux", arch),
        of("{}", "unknown", "unknown")]})
    .to_string();
    documents.insert(digest(manifest.as_bytes()), manifest.into());
    documents.insert("v1".into(), index.into());
    (documents, blobs)
}

async fn serve(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    shared: Arc<Shared>,
    ports: [u16; 2],
) {
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| answer(request, &shared, port, ports));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    port: u16,
    ports: [u16; 2],
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let login = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
    shared.seen.lock().unwrap().push((port, path.clone(), login.clone()));
    let login = login.as_deref().unwrap_or_default();
    if path.starts_with("/token?") {
        // ada:s3cret
        let known = login == "Basic YWRhOnMzY3JldA==";
        return Ok(match shared.manner {
            Manner::Closed if !known => status(StatusCode::UNAUTHORIZED),
            _ => Response::new(Bytes::from_static(br#"{"token":"t0ken"}"#).into()),
        });
    }
    if port == ports[1] {
        return blob(shared, path.trim_start_matches('/')).await;
    }
    let (wanted, challenge) = match shared.manner {
        Manner::Basic => ("Basic YWRhOnMzY3JldA==", "Basic realm=\"test\"".to_owned()),
        manner => {
            let scheme = if manner == Manner::Plain { "http" } else { "https" };
            let realm = format!("{scheme}://localhost:{port}/token");
            ("Bearer t0ken", format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"x\""))
        }
    };
    if login != wanted {
        let mut refused = status(StatusCode::UNAUTHORIZED);
        refused.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
        return Ok(refused);
    }
    let rest = path.strip_prefix("/v2/test/image/").unwrap_or_default();
    match rest.split_once('/') {
        Some(("manifests", name)) => Ok(shared.documents.get(name).map_or_else(
            || status(StatusCode::NOT_FOUND),
            |document| Response::new(document.clone().into()),
        )),
        Some(("blobs", name)) => {
            let mut moved = status(StatusCode::TEMPORARY_REDIRECT);
            let to = format!("https://localhost:{}/{name}", ports[1]);
            moved.headers_mut().insert("location", to.parse().unwrap());
            Ok(moved)
        }
        _ => Ok(status(StatusCode::NOT_FOUND)),
    }
}

async fn blob(shared: &Shared, name: &str) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(bytes) = shared.blobs.get(name) else { return Ok(status(StatusCode::NOT_FOUND)) };
    let mut bytes = bytes.to_vec();
    // The configuration is JSON, which is left as it is: what is attacked is the layers.
    if bytes[0] != b'{' {
        match shared.manner {
            Manner::Altering => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Manner::Longer => bytes.push(0),
            Manner::Stalling => std::future::pending().await,
            _ => {}
        }
    }
    Ok(Response::new(Bytes::from(bytes).into()))
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(r#"{"errors":[{"message":"no, says the registry"}]}"#));
    *response.status_mut() = code;
    response
}

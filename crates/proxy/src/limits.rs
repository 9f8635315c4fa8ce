//! What one sandbox may use of its exit. Each bound, and what happens at it.

use std::time::Duration;

/// The bounds of one sandbox's exit.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; one more is reset.
    pub connections: usize,
    /// How long an admitted client may take to say its first byte, or to finish a TLS handshake; then it is reset.
    pub first_bytes: Duration,
    /// How long a client that nothing admits may take, to be told why it was refused; then it is reset.
    pub denied_first_bytes: Duration,
    /// The same at a port where it is the client that speaks first: a Java program on a busy machine takes a good part
    /// of a second from `connect` to its ClientHello, and without one it cannot be told anything.
    pub denied_first_bytes_of_web: Duration,
    /// Bytes of one request's or response's header; more is refused (431) or a bad gateway (502).
    pub header_bytes: u32,
    /// How long a kept-alive inspected connection may stay without a request; then it is closed. HTTP/2 is closed at the
    /// latest after twice as long.
    pub idle: Duration,
    /// HTTP/2 streams at once on one connection; more wait in the client.
    pub streams: u32,
    /// HTTP/1.1 connections that one HTTP/2 connection is translated to; more requests wait.
    pub translated: usize,
    /// Threads that connections are served on, the first one and those that are started when it has several.
    pub threads: usize,
    /// How long a connection to one upstream address may take to open, and its TLS handshake again.
    pub dial: Duration,
}

/// Ports at which a client speaks first: HTTP and TLS by their usual numbers.
const WEB: [u16; 4] = [80, 443, 8080, 8443];

impl Limits {
    /// How long a client of `port` that nothing admits may take for its first bytes.
    pub fn denied_first_bytes_at(&self, port: u16) -> Duration {
        if WEB.contains(&port) { self.denied_first_bytes_of_web } else { self.denied_first_bytes }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            first_bytes: Duration::from_secs(10),
            denied_first_bytes: Duration::from_millis(150),
            denied_first_bytes_of_web: Duration::from_secs(2),
            header_bytes: 64 * 1024,
            idle: Duration::from_secs(600),
            streams: 128,
            translated: 16,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(THREADS),
            dial: Duration::from_secs(10),
        }
    }
}

/// The most threads that one sandbox serves connections on, however many cores the machine has: there are other
/// sandboxes on it, and each thread keeps memory of its own.
const THREADS: usize = 4;

/// HTTP/2 flow-control window of one stream: the most that is held of a body whose reader is slow.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// What is held, of one HTTP/2 stream's bytes, for a reader who is slow. He says himself how much may be under way
/// (up to 2 GiB a stream), so it is this that keeps his streams from filling memory.
pub(crate) const STREAM_HELD: usize = 256 << 10;
/// HTTP/2 flow-control window of a connection, all streams together.
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;
/// Streams that a client may have reset before they were looked at (rapid reset, CVE-2023-44487).
pub(crate) const PENDING_RESETS: usize = 20;
/// Streams that this side reset for the client's errors before the connection is closed.
pub(crate) const LOCAL_RESETS: usize = 256;
/// One HTTP/2 frame.
pub(crate) const FRAME: u32 = 64 * 1024;

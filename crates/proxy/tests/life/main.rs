//! The life of connections, tried with real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod forge;
mod http;
mod live;
mod mcp;
mod models;
mod names;
mod raw;
mod servers;
mod smuggling;
mod sockets;
mod stand;
mod tls;
mod waiting;

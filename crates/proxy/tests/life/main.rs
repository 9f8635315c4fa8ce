//! The life of connections, tried with real sockets on loopback.

mod http;
mod live;
mod names;
mod raw;
mod servers;
mod smuggling;
mod stand;
mod tls;

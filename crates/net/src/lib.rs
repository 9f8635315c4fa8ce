//! Sockets, TLS, HTTP bodies and DNS on the wire: mechanism with limits and without opinions.
//!
//! Nothing here decides. The one dial spends a [`creel_policy::Permit`], so that a connection which no policy
//! allowed cannot be written down; and nothing here is unbounded: every buffer, map and wait has a limit beside it.

pub mod authority;
pub mod body;
pub mod bundle;
pub mod clienthello;
mod datagram;
mod dial;
pub mod dns;
mod jks;
pub mod original;
pub mod resolve;
pub mod sniff;
pub mod socket;
pub mod splice;
pub mod swap;
pub mod synthetic;
pub mod trust;

pub use body::{Body, BoxError};
pub use datagram::{Datagrams, Question};
pub use dial::{DialError, dial};
pub use socket::Socket;

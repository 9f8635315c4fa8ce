//! The one way out.

use creel_policy::Permit;
use creel_types::{Host, RuleId};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A permitted connection that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("connecting to {host} at {addr}: {cause}")]
pub struct DialError {
    /// The name or address that the agent used.
    pub host: Host,
    /// The judged address that was dialled.
    pub addr: SocketAddr,
    /// The rule that had allowed it.
    pub rule: RuleId,
    /// What the kernel said; `TimedOut` when `within` went by.
    #[source]
    pub cause: io::Error,
}

/// Opens the connection that `permit` allows, and spends the permit: a retry is a new decision.
///
/// The address dialled is the one in the permit, which is the one the policy judged. Small writes go out at once
/// (`TCP_NODELAY`), as a relay must not add Nagle's delay to what the two ends already chose.
pub async fn dial(permit: Permit, within: Duration) -> Result<TcpStream, DialError> {
    let addr = permit.addr();
    open(addr, within).await.map_err(|cause| DialError {
        host: permit.host().clone(),
        addr,
        rule: permit.rule().clone(),
        cause,
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the one dial")]
async fn open(addr: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(within, TcpStream::connect(addr))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

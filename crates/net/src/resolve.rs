//! Real names, outside.
//!
//! hickory asks the servers in `/etc/resolv.conf` itself: a static binary must not call `getaddrinfo`, and the
//! search list must not turn an admitted name into another one.

use creel_types::HostName;
use hickory_resolver::TokioResolver;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The longest that one lookup may take, retries and all.
pub const WITHIN: Duration = Duration::from_secs(10);

/// Addresses considered of one name.
pub const ADDRESSES: usize = 16;

/// A name that has no address now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// The machine's configuration cannot be used.
    #[error("reading the machine's resolver configuration: {0}")]
    Configuration(Arc<str>),
    /// The servers said no, or said nothing.
    #[error("resolving {name}: {why}")]
    Failed {
        /// The name.
        name: HostName,
        /// What the resolver said.
        why: String,
    },
    /// No answer in time.
    #[error("resolving {0}: no answer within {WITHIN:?}")]
    TooSlow(HostName),
}

/// Asks the machine's name servers. Made empty; reads the configuration on first need.
#[derive(Default)]
pub struct Resolver(OnceCell<TokioResolver>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    /// The addresses of `name`, at most [`ADDRESSES`], in the order to try them.
    pub async fn addresses(&self, name: &HostName) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self.0.get_or_try_init(|| async { configure() }).await?;
        // The final dot keeps the search list out of it.
        let lookup = resolver.lookup_ip(format!("{name}."));
        match tokio::time::timeout(WITHIN, lookup).await {
            Ok(Ok(found)) => Ok(found.iter().take(ADDRESSES).collect()),
            Ok(Err(why)) => Err(ResolveError::Failed { name: name.clone(), why: why.to_string() }),
            Err(_) => Err(ResolveError::TooSlow(name.clone())),
        }
    }
}

fn configure() -> Result<TokioResolver, ResolveError> {
    let said = |e: hickory_resolver::net::NetError| ResolveError::Configuration(e.to_string().into());
    let mut builder = TokioResolver::builder_tokio().map_err(said)?;
    let options = builder.options_mut();
    options.cache_size = 512;
    options.attempts = 2;
    options.ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_hosts_file_is_read() {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        if !hosts.lines().any(|line| line.split_whitespace().any(|word| word == "localhost")) {
            return;
        }
        let name = HostName::new("localhost").unwrap();
        let found = Resolver::default().addresses(&name).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}

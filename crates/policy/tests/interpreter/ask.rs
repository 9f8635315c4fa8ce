//! Questions, as an agent may spell them.

use std::net::IpAddr;

/// One question about the network.
#[derive(Debug, Clone)]
pub struct Asked {
    /// As it was spelt.
    pub host: String,
    pub port: u16,
    pub method: String,
    /// As it was spelt, with its query.
    pub path: String,
    pub who: Who,
    /// Where the name is said to lead.
    pub addr: IpAddr,
}

/// The program, then what started it; each with whether it runs code from a place that the agent can write.
#[derive(Debug, Clone, Default)]
pub struct Who {
    pub chain: Vec<(String, bool)>,
}

//! Which models answer, where they are, and with whose key.

use crate::pattern::{HostPattern, NamePattern};
use creel_types::Host;
use std::path::PathBuf;

/// The inference layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inference {
    pub(crate) backends: Vec<Backend>,
    pub(crate) routes: Vec<Route>,
    pub(crate) capture: Vec<(HostPattern, u16)>,
}

/// A place that serves models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The name that `models:` uses.
    pub name: String,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Where its key is; never the key.
    pub key: Key,
    /// What it speaks.
    pub api: Api,
}

/// An `http` or `https` URL without user, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host in canonical form.
    pub host: Host,
    /// The port, the scheme's own when the URL says none.
    pub port: u16,
    /// The path in canonical form without a slash at the end; empty for none.
    pub path: String,
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

/// Where a backend's key is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The backend wants none.
    None,
    /// This variable of the operator's environment.
    Env(String),
    /// This file, absolute.
    File(PathBuf),
}

/// What a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// The OpenAI API.
    OpenAi,
    /// The Anthropic API.
    Anthropic,
    /// Whatever the call came in.
    #[default]
    Auto,
}

/// A model at a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    /// The backend's name; it exists.
    pub backend: String,
    /// The model to ask for; `None` (written `backend/*`) is the one that the caller asked for.
    pub model: Option<String>,
}

/// Which models answer to a name, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The name as written: `default`, or a name pattern over what callers ask for.
    pub name: String,
    pub(crate) pattern: NamePattern,
    /// In failover order; never empty.
    pub models: Vec<ModelRef>,
}

impl Inference {
    /// The backends.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether the policy routes any model call, so that `inference.local` answers.
    pub fn is_served(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Who answers a call for `model`: the route with the most specific name that matches, else `default`.
    pub fn route(&self, model: &str) -> Option<&Route> {
        self.routes
            .iter()
            .filter(|r| r.name != "default" && r.pattern.matches(model))
            .max_by_key(|r| (r.pattern.literal().is_some(), r.pattern.weight(), std::cmp::Reverse(&r.name)))
            .or_else(|| self.routes.iter().find(|r| r.name == "default"))
    }

    /// The hosts whose connections end at the model router, with their ports.
    pub fn capture(&self) -> impl Iterator<Item = (&HostPattern, u16)> {
        self.capture.iter().map(|(host, port)| (host, *port))
    }
}

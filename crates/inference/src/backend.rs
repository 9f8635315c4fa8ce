//! Where calls go, and with which key.

use crate::api::{Api, Family};
use creel_types::Secret;
use http::HeaderValue;
use http::uri::{Authority, Scheme};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A backend, shared by all that use it.
pub type BackendRef = Arc<Backend>;

/// Which APIs a backend has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Both.
    Both,
}

/// One server of models, as the operator configured it.
#[derive(Debug)]
pub struct Backend {
    name: String,
    base: BaseUrl,
    speaks: Speaks,
    key: Option<Secret>,
}

/// Why there is no such backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Not an absolute `http` or `https` URL, or one with more in it than a host, a port and a path.
    #[error(
        "`{text}` is not a base URL: use http(s)://host[:port][/path], without credentials, query or fragment"
    )]
    NotABaseUrl {
        /// The URL. One that holds credentials is not repeated.
        text: String,
    },
    /// A key with bytes that no header can hold, or an empty one. The key is not repeated.
    #[error("the key of backend `{name}` is empty or holds bytes that cannot be in a header")]
    NotAKey {
        /// The backend.
        name: String,
    },
}

impl Backend {
    /// A backend with the operator's key, if it needs one. White space around the key is dropped: files end in a
    /// line end.
    pub fn new(
        name: &str,
        base: BaseUrl,
        speaks: Speaks,
        key: Option<&Secret>,
    ) -> Result<Self, BackendError> {
        // Exposed to be checked and trimmed, into a secret again.
        let key = key.map(|key| Secret::new(key.expose().trim_ascii()));
        let backend = Self { name: name.to_owned(), base, speaks, key };
        if let Some(key) = &backend.key {
            // Exposed to be checked: what no header holds would fail at each call instead.
            let fits = !key.expose().is_empty() && HeaderValue::from_bytes(key.expose()).is_ok();
            if !fits {
                return Err(BackendError::NotAKey { name: backend.name });
            }
        }
        Ok(backend)
    }

    /// The name that the policy gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Whether it has this API.
    pub fn has(&self, api: Api) -> bool {
        match (self.speaks, api) {
            (Speaks::Both, _) | (_, Api::Models(_)) => true,
            (Speaks::OpenAi, api) => api.family() == Family::OpenAi,
            (Speaks::Anthropic, api) => api.family() == Family::Anthropic,
        }
    }

    /// Whose way of sending a key is used for a call of this API.
    pub(crate) fn key_style(&self, api: Api) -> Family {
        match self.speaks {
            Speaks::OpenAi => Family::OpenAi,
            Speaks::Anthropic => Family::Anthropic,
            Speaks::Both => api.family(),
        }
    }

    pub(crate) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }
}

/// The URL that a backend's paths begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    tls: bool,
    host: String,
    port: u16,
    /// Without a slash at its end; often empty or `/v1`.
    path: String,
}

impl BaseUrl {
    /// Whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, the latter without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Port; 443 or 80 when the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host[:port]` as a `Host` header has it.
    pub(crate) fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The path of a call, given without `/v1`.
    ///
    /// The base URL means what it means to each family's own clients. OpenAI's put the path right behind it, so one
    /// with a path is taken as it is (`…/v1`, `…/v1beta/openai`), and `/v1` is added to one without. Anthropic's add
    /// `/v1` always; here, unless it is there already.
    pub(crate) fn join(&self, family: Family, rest: &str) -> String {
        let versioned = match family {
            Family::OpenAi => !self.path.is_empty(),
            Family::Anthropic => self.path.ends_with("/v1"),
        };
        format!("{}{}{rest}", self.path, if versioned { "" } else { "/v1" })
    }
}

impl FromStr for BaseUrl {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        let shown = if text.contains('@') { "(a URL with credentials)" } else { text };
        let bad = || BackendError::NotABaseUrl { text: shown.to_owned() };
        let uri: http::Uri = text.parse().map_err(|_| bad())?;
        let scheme = uri.scheme().ok_or_else(bad)?;
        let tls = *scheme == Scheme::HTTPS;
        if !tls && *scheme != Scheme::HTTP {
            return Err(bad());
        }
        let authority: &Authority = uri.authority().ok_or_else(bad)?;
        if text.contains(['@', '?', '#']) || authority.host().is_empty() {
            return Err(bad());
        }
        let path = uri.path().trim_end_matches('/');
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(bad());
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: authority.host().to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_as_each_familys_clients_join_it() {
        for (base, openai, anthropic) in [
            ("http://h:8000", "/v1/x", "/v1/x"),
            ("http://h:8000/", "/v1/x", "/v1/x"),
            ("http://h:8000/v1", "/v1/x", "/v1/x"),
            ("http://h:8000/v1/", "/v1/x", "/v1/x"),
            ("https://h/openai/v1", "/openai/v1/x", "/openai/v1/x"),
            ("https://h/v1beta/openai", "/v1beta/openai/x", "/v1beta/openai/v1/x"),
            ("https://h/anthropic", "/anthropic/x", "/anthropic/v1/x"),
        ] {
            let url: BaseUrl = base.parse().unwrap();
            assert_eq!(url.join(Family::OpenAi, "/x"), openai, "{base}");
            assert_eq!(url.join(Family::Anthropic, "/x"), anthropic, "{base}");
        }
    }

    #[test]
    fn a_base_url_has_a_host_and_nothing_that_hides_one() {
        for (good, host, port, tls) in [
            ("http://127.0.0.1:18080/v1", "127.0.0.1", 18080, false),
            ("https://API.example.com", "api.example.com", 443, true),
            ("http://[::1]:1", "::1", 1, false),
        ] {
            let url: BaseUrl = good.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.is_tls()), (host, port, tls), "{good}");
        }
        for bad in [
            "",
            "h",
            "/v1",
            "h:80",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h?x",
            "http://h/#f",
            "http://h/a/../b",
            "http://h//a",
            "unix:///x",
        ] {
            let error = bad.parse::<BaseUrl>().unwrap_err();
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
    }

    #[test]
    fn a_key_is_trimmed_and_must_fit_a_header() {
        let with = |key: &[u8]| {
            Backend::new("b", "http://h".parse().unwrap(), Speaks::Both, Some(&Secret::new(key)))
        };
        assert_eq!(with(b"sk-1\n").unwrap().key().unwrap().expose(), b"sk-1");
        for bad in [&b""[..], b" \n", b"a\nb", b"a\0"] {
            assert!(matches!(with(bad), Err(BackendError::NotAKey { .. })), "{bad:?}");
        }
    }
}

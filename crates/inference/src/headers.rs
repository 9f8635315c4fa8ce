//! Which headers travel.
//!
//! Towards a backend only those listed go: a caller's credentials come under many names (`authorization`, `x-api-key`,
//! `api-key`, `openai-organization`, cookies, and whatever the next gateway invents), the headers that a model API
//! needs under few. `accept-encoding` is not among them, so that a response comes uncompressed and its usage can be
//! read. Back to the caller all go, but those that belong to one connection, those that would identify or steer the
//! operator's account, and any that repeats the key.

use crate::api::{Api, Family};
use crate::backend::Backend;
use creel_types::Secret;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers of a request that go to the backend.
const FORWARDED: &[&str] = &[
    "accept",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "content-encoding",
    "content-length",
    "content-type",
    "idempotency-key",
    "openai-beta",
    "user-agent",
    "x-app",
    "x-client-request-id",
    "x-request-id",
];

/// How headers begin in which the families' own clients describe themselves.
const FORWARDED_PREFIX: &str = "x-stainless-";

/// Headers of a response that do not go to the caller.
const WITHHELD: &[&str] = &[
    "alt-svc",
    "connection",
    "keep-alive",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers of a request to `backend`, made of the caller's.
pub(crate) fn to_backend(from: &HeaderMap, backend: &Backend, api: Api) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(from.len());
    for (name, value) in from.iter().filter(|(name, _)| is_forwarded(name)) {
        to.append(name.clone(), value.clone());
    }
    if let Ok(host) = HeaderValue::try_from(backend.base().authority()) {
        to.insert(header::HOST, host);
    }
    if let Some((name, value)) = backend.key().and_then(|key| credential(key, backend.key_style(api))) {
        to.insert(name, value);
    }
    to
}

fn is_forwarded(name: &HeaderName) -> bool {
    FORWARDED.contains(&name.as_str()) || name.as_str().starts_with(FORWARDED_PREFIX)
}

fn credential(key: &Secret, style: Family) -> Option<(HeaderName, HeaderValue)> {
    // Exposed to be sent to the backend that it is the key of.
    let key = key.expose();
    let (name, mut value) = match style {
        Family::OpenAi => (header::AUTHORIZATION, HeaderValue::from_bytes(&[b"Bearer ", key].concat()).ok()?),
        Family::Anthropic => (HeaderName::from_static("x-api-key"), HeaderValue::from_bytes(key).ok()?),
    };
    value.set_sensitive(true);
    Some((name, value))
}

/// Takes from a response's headers what the caller must not have.
pub(crate) fn to_caller(headers: &mut HeaderMap, key: Option<&Secret>) {
    let named = connection_options(headers);
    for name in WITHHELD.iter().copied().chain(named.iter().map(String::as_str)) {
        headers.remove(name);
    }
    let Some(key) = key else { return };
    // Exposed to find it where a backend repeats it.
    let repeats = |value: &HeaderValue| contains(value.as_bytes(), key.expose());
    let names: Vec<HeaderName> =
        headers.iter().filter(|(_, value)| repeats(value)).map(|(name, _)| name.clone()).collect();
    for name in names {
        headers.remove(name);
    }
}

/// The headers that `connection` declares to belong to the connection (RFC 9110 §7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Speaks;

    fn backend(speaks: Speaks) -> Backend {
        let key = Secret::new(*b"sk-operator");
        Backend::new("b", "http://h:8000/v1".parse().unwrap(), speaks, Some(&key)).unwrap()
    }

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn no_credential_of_the_caller_travels() {
        let mut from = map(&[
            ("authorization", "Bearer sk-agent"),
            ("proxy-authorization", "Basic sk-agent"),
            ("x-api-key", "sk-agent"),
            ("api-key", "sk-agent"),
            ("x-goog-api-key", "sk-agent"),
            ("openai-organization", "sk-agent"),
            ("openai-project", "sk-agent"),
            ("cookie", "sk-agent"),
            ("x-some-gateway-auth", "sk-agent"),
        ]);
        for api in [Api::ChatCompletions, Api::Messages] {
            let to = to_backend(&from, &backend(Speaks::Both), api);
            assert!(!format!("{to:?}").contains("sk-agent"), "{to:?}");
        }
        from.clear();
        let plain = Backend::new("b", "http://h".parse().unwrap(), Speaks::Both, None).unwrap();
        assert_eq!(to_backend(&from, &plain, Api::Messages).len(), 1);
    }

    #[test]
    fn the_key_is_sent_as_the_paths_api_wants_it_or_as_the_backend_does() {
        for (speaks, api, name, value) in [
            (Speaks::Both, Api::ChatCompletions, "authorization", "Bearer sk-operator"),
            (Speaks::Both, Api::Messages, "x-api-key", "sk-operator"),
            (Speaks::Both, Api::Models(Family::Anthropic), "x-api-key", "sk-operator"),
            (Speaks::OpenAi, Api::Models(Family::Anthropic), "authorization", "Bearer sk-operator"),
        ] {
            let to = to_backend(&HeaderMap::new(), &backend(speaks), api);
            assert_eq!(to[name], value);
            assert!(to[name].is_sensitive());
            assert_eq!(to.len(), 2, "{to:?}");
            assert_eq!(to["host"], "h:8000");
        }
    }

    #[test]
    fn what_an_api_needs_travels() {
        let from = map(&[
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a,b"),
            ("content-type", "application/json"),
            ("x-stainless-lang", "js"),
            ("accept-encoding", "gzip, br"),
            ("connection", "keep-alive"),
        ]);
        let to = to_backend(&from, &backend(Speaks::Both), Api::Messages);
        for name in ["anthropic-version", "anthropic-beta", "content-type", "x-stainless-lang"] {
            assert_eq!(to[name], from[name]);
        }
        assert!(!to.contains_key("accept-encoding") && !to.contains_key("connection"));
    }

    #[test]
    fn a_response_shows_neither_the_key_nor_the_account() {
        let mut headers = map(&[
            ("content-type", "text/event-stream"),
            ("x-echo", "got Bearer sk-operator!"),
            ("x-near-miss", "sk-operato"),
            ("openai-organization", "acme"),
            ("set-cookie", "a=b"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
        ]);
        to_caller(&mut headers, Some(&Secret::new(*b"sk-operator")));
        assert_eq!(headers, map(&[("content-type", "text/event-stream"), ("x-near-miss", "sk-operato")]));
    }
}

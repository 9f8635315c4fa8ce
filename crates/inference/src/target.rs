//! The query of a call: kept, but for keys in it.

use http::uri::PathAndQuery;

/// Query keys under which providers take an API key. A caller's key does not travel.
const KEYS: &[&str] = &["key", "api_key", "api-key", "apikey", "access_token", "token"];

/// The path and query that go to a backend.
pub(crate) fn path_and_query(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let kept: Vec<&str> =
        query.unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !is_key(pair)).collect();
    let text = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    text.parse().ok()
}

/// Whether a pair's name is that of a key, in any case. A name with an encoded character is taken for one: no
/// parameter of a model API needs it.
fn is_key(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    name.contains('%') || KEYS.iter().any(|key| name.eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_kept_without_keys() {
        for (query, expected) in [
            (None, "/v1/messages"),
            (Some("beta=true"), "/v1/messages?beta=true"),
            (Some("api-version=2024-10-21&limit=20"), "/v1/messages?api-version=2024-10-21&limit=20"),
            (Some("key=sk-1&beta=true"), "/v1/messages?beta=true"),
            (Some("KEY=sk-1"), "/v1/messages"),
            (Some("%6bey=sk-1&&a"), "/v1/messages?a"),
        ] {
            assert_eq!(path_and_query("/v1/messages", query).unwrap().as_str(), expected);
        }
    }
}

//! Fields that belong to one hop and must not reach the next (RFC 9110 section 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");

/// The protocol that a message asks to switch to, when it may: HTTP/2 over cleartext would be a tunnel around the
/// request-by-request decision, so it is never one.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    let asked = headers.get_all(CONNECTION).iter().any(|value| lists(value, "upgrade"));
    let h2c = lists(protocol, "h2c") || lists(protocol, "h2");
    (asked && !h2c).then(|| protocol.clone())
}

/// Leaves what may go to the next hop.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Naming a field that frames or routes the message is an attack on the next hop, not a hop-by-hop field.
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST && *name != TE)
        .collect();
    for name in named {
        headers.remove(name);
    }
    let trailers = headers.get_all(TE).iter().any(|value| lists(value, "trailers"));
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        HTTP2_SETTINGS,
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Puts back what [`upgrade`] found, on the way to the next hop.
pub(crate) fn ask_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Leaves what may go to the agent. Other services for the same host are not on offer: HTTP/3 has no way out.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers);
    headers.remove(ALT_SVC);
}

/// HTTP/2 may split cookies over several fields, HTTP/1.1 may not (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// What makes a request's length readable in two ways.
pub(crate) fn ambiguous_length(headers: &HeaderMap) -> Option<&'static str> {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().count();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    match (codings, lengths) {
        (2.., _) => Some("Transfer-Encoding appears twice"),
        (1, 1..) => Some("both Transfer-Encoding and Content-Length are present"),
        (_, 2..) => Some("Content-Length appears twice"),
        (1, 0) if !only_chunked(headers) => Some("Transfer-Encoding is other than `chunked`"),
        _ => None,
    }
}

fn only_chunked(headers: &HeaderMap) -> bool {
    headers.get(TRANSFER_ENCODING).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

fn lists(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap()))
            .collect()
    }

    #[test]
    fn only_end_to_end_fields_go_on() {
        let mut map = headers(&[
            ("connection", "close, X-Hop, content-length"),
            ("x-hop", "1"),
            ("x-end", "2"),
            ("te", "gzip, trailers"),
            ("trailer", "x-sum"),
            ("content-length", "3"),
            ("proxy-authorization", "secret"),
            ("upgrade", "websocket"),
        ]);
        strip(&mut map);
        let mut left: Vec<_> = map.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("content-length", "3"), ("te", "trailers"), ("trailer", "x-sum"), ("x-end", "2")]);
    }

    #[test]
    fn an_upgrade_is_asked_for_in_both_fields_and_never_to_h2c() {
        for (connection, protocol, allowed) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "websocket", true),
            ("close", "websocket", false),
            ("Upgrade, HTTP2-Settings", "h2c", false),
            ("upgrade", "websocket, h2c", false),
        ] {
            let map = headers(&[("connection", connection), ("upgrade", protocol)]);
            assert_eq!(upgrade(&map).is_some(), allowed, "{connection} {protocol}");
        }
    }

    #[test]
    fn a_length_has_one_reading() {
        for (fields, fine) in [
            (&[("content-length", "1")][..], true),
            (&[("transfer-encoding", "chunked")], true),
            (&[("transfer-encoding", "Chunked")], true),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (&[("transfer-encoding", "chunked"), ("content-length", "1")], false),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
            (&[("content-length", "1"), ("content-length", "1")], false),
        ] {
            assert_eq!(ambiguous_length(&headers(fields)).is_none(), fine, "{fields:?}");
        }
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}

//! How a registry asks for a login and how one is made (RFC 9110 section 11, and the token protocol of the CNCF
//! distribution project).

use creel_types::Secret;
use serde::Deserialize;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token that another server gives.
    Bearer { realm: String, service: Option<String> },
}

/// The best of what the headers ask for.
pub(super) fn challenge<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let fields = parameters(rest);
            let of = |key: &str| fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
            if let Some(realm) = of("realm") {
                return Some(Challenge::Bearer { realm, service: of("service") });
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

/// `key="value", key=value`; keys in lower case.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((key, value.trim().to_owned()));
        text = after;
    }
    found
}

/// Where a token to pull from the repository is asked for. What the registry says goes into the query as data.
pub(super) fn token_uri(realm: &str, service: Option<&str>, path: &str) -> Result<String, String> {
    if !realm.starts_with("https://") {
        return Err(format!("it names {realm} for a token, which is not https"));
    }
    let glue = if realm.contains('?') { '&' } else { '?' };
    let mut uri = format!("{realm}{glue}scope={}", encoded(&format!("repository:{path}:pull")));
    if let Some(service) = service {
        uri += &format!("&service={}", encoded(service));
    }
    Ok(uri)
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b':');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The header's value that an answer's token makes.
pub(super) fn bearer(answer: &[u8]) -> Result<Secret, String> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|e| format!("no token in the answer: {e}"))?;
    let token = answer.token.or(answer.access_token).ok_or("no token in the answer")?;
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the token is none".into());
    }
    Ok(Secret::new(format!("Bearer {token}").into_bytes()))
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    message: String,
}

/// What a registry's refusal says, to be shown.
pub(super) fn words(body: &[u8]) -> String {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    refusal.map_or_else(String::new, |r| {
        r.errors.into_iter().map(|e| e.message).filter(|m| !m.is_empty()).collect::<Vec<_>>().join("; ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_however_it_is_written() {
        let check = |headers: &[&str], want: Option<Challenge>| {
            assert_eq!(challenge(headers.iter().copied()), want, "{headers:?}");
        };
        let bearer = |service: Option<&str>| {
            Some(Challenge::Bearer { realm: "https://a/t".into(), service: service.map(Into::into) })
        };
        check(&[r#"Bearer realm="https://a/t",service="s",scope="x,y""#], bearer(Some("s")));
        check(&[r#"bearer service=s , realm="https://a/t""#], bearer(Some("s")));
        check(&[r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#], bearer(None));
        check(&["Basic"], Some(Challenge::Basic));
        check(&["Bearer", "Digest realm=x"], None);
        check(&[], None);
    }

    #[test]
    fn what_a_registry_says_cannot_add_to_the_request() {
        let uri = token_uri("https://a/t", Some("s&scope=repository:other:push"), "x/y").unwrap();
        assert_eq!(uri, "https://a/t?scope=repository:x/y:pull&service=s%26scope%3Drepository:other:push");
        assert!(token_uri("http://a/t", None, "x").is_err());
        assert!(bearer(br#"{"token":"a\r\nX: y"}"#).is_err());
    }
}

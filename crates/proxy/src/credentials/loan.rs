//! What is done with the credentials in one request and its answer.

use super::Held;
use super::spelled::spellings;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use creel_net::Body;
use creel_net::swap::{Forbidden, Swapped, Swaps, Told};
use creel_policy::canonical::{self, CanonicalPath};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue, PROXY_AUTHORIZATION,
};
use http_body::Body as _;
use std::sync::Arc;

/// Where something stood that must not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misuse {
    /// The credential's name.
    pub credential: String,
    /// Whether it was the secret itself.
    pub secret: bool,
    /// Where it stood.
    pub place: &'static str,
}

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { credential, secret, place } = self;
        let what = if *secret { "secret" } else { "placeholder" };
        write!(f, "the {what} of credential `{credential}` stands in the request's {place}")?;
        f.write_str(if *secret {
            ", and nobody inside should know it"
        } else {
            ", and no rule binds it to this request"
        })
    }
}

/// Some credentials lent, the others kept.
#[derive(Debug)]
pub(crate) struct Loan {
    up: Arc<Swaps>,
    down: Arc<Swaps>,
    names: Vec<String>,
}

impl Loan {
    /// Lends those of `held` whose bit is set.
    pub(super) fn new(held: &[Held], bits: u64) -> Self {
        let (mut up, mut down) = (Swaps::default(), Swaps::default());
        for (at, Held { placeholder, secret, .. }) in held.iter().enumerate() {
            // Exposed to be put into requests that a rule binds it to, and to be found everywhere else.
            let Ok(secret) = str::from_utf8(secret.expose()) else { continue };
            let lent = at < 64 && bits & 1 << at != 0;
            for (stands, means) in spellings(placeholder).iter().zip(spellings(secret)) {
                if lent {
                    up.put(stands.as_bytes(), means.as_bytes(), 2 * at);
                    down.put(means.as_bytes(), stands.as_bytes(), 2 * at);
                } else {
                    up.forbid(stands.as_bytes(), 2 * at);
                }
                up.forbid(means.as_bytes(), 2 * at + 1);
            }
        }
        let names = held.iter().map(|held| held.name.clone()).collect();
        Self { up: Arc::new(up), down: Arc::new(down), names }
    }

    /// Looks at a request's head; nothing is changed yet.
    pub(crate) fn look(&self, headers: &HeaderMap, path: &str) -> Result<(), Misuse> {
        self.up.swapped(path.as_bytes()).map_err(|found| self.misuse(found, "path or query"))?;
        for (name, value) in headers {
            let found = self.up.swapped(value.as_bytes()).map(drop);
            found
                .and_then(|()| self.basic(name, value).map(drop))
                .map_err(|found| self.misuse(found, "headers"))?;
        }
        Ok(())
    }

    /// Puts the secrets into a request's head that was looked at; what could not be put in where it stood.
    pub(crate) fn put(
        &self,
        headers: &mut HeaderMap,
        path: &CanonicalPath,
    ) -> Result<Option<CanonicalPath>, String> {
        if self.down.is_empty() {
            return Ok(None);
        }
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
            if let Some(value) = headers.get(&name)
                && let Ok(Some(new)) = self.basic(&name, value)
            {
                headers.insert(name, new);
            }
        }
        self.up.fields(headers).map_err(|found| found.to_string())?;
        // What comes back must be readable, so that a secret in it is found.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let Some(new) = self.up.swapped(path.as_str().as_bytes()).map_err(|found| found.to_string())? else {
            return Ok(None);
        };
        let new = String::from_utf8(new)
            .ok()
            .and_then(|text| canonical::path(&text).ok().filter(|p| p.as_str() == text));
        new.map(Some).ok_or_else(|| {
            "a credential's secret would change the form of the path that it stands in".to_owned()
        })
    }

    /// A request's body on its way out; `told` hears of what must not be in it.
    pub(crate) fn up(&self, body: Body, told: Told) -> Body {
        if body.is_end_stream() { body } else { Body::new(Swapped::new(body, Arc::clone(&self.up), told)) }
    }

    /// What was found in a body.
    pub(crate) fn in_body(&self, found: Forbidden) -> Misuse {
        self.misuse(found, "body")
    }

    /// Takes the secrets out of an answer's head; whether its body can be read, so that they are found there.
    pub(crate) fn take_out(&self, headers: &mut HeaderMap) -> bool {
        if self.down.is_empty() {
            return true;
        }
        let _ = self.down.fields(headers); // nothing is forbidden on this way
        headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    }

    /// An answer's body on its way back.
    pub(crate) fn down(&self, body: Body) -> Body {
        if self.down.is_empty() || body.is_end_stream() {
            return body;
        }
        Body::new(Swapped::new(body, Arc::clone(&self.down), Box::new(|_| ())))
    }

    /// A user and password (RFC 7617) with the secrets in their places; `None` where nothing was to be put in.
    fn basic(&self, name: &http::HeaderName, value: &HeaderValue) -> Result<Option<HeaderValue>, Forbidden> {
        if *name != AUTHORIZATION && *name != PROXY_AUTHORIZATION {
            return Ok(None);
        }
        let Some((scheme, pair)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return Ok(None);
        };
        if !scheme.eq_ignore_ascii_case("basic") {
            return Ok(None);
        }
        let Ok(pair) = BASE64_STANDARD.decode(pair.trim()) else { return Ok(None) };
        let Some(new) = self.up.swapped(&pair)? else { return Ok(None) };
        let mut value = HeaderValue::try_from(format!("{scheme} {}", BASE64_STANDARD.encode(new))).ok();
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(value)
    }

    fn misuse(&self, found: Forbidden, place: &'static str) -> Misuse {
        let credential = self.names.get(found.mark / 2).cloned().unwrap_or_default();
        Misuse { credential, secret: found.mark % 2 == 1, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_types::Secret;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    const SECRET: &str = "ghp_SECRETsecret0123";
    const STANDS: &str = "ghp_PLACEHolder45678";
    const OTHER: &str = "npm_anotherSecret999";
    const OTHER_STANDS: &str = "npm_standsForAnother";

    /// With the first of two credentials lent.
    fn loan() -> Loan {
        let held = |name: &str, placeholder: &str, secret: &str| Held {
            name: name.into(),
            placeholder: placeholder.into(),
            secret: Secret::new(secret.as_bytes()),
        };
        Loan::new(&[held("github", STANDS, SECRET), held("npm", OTHER_STANDS, OTHER)], 1)
    }

    fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    }

    #[test]
    fn a_lent_secret_takes_the_place_of_its_placeholder_in_headers_path_query_and_basic_auth() {
        let mut map = headers(&[("authorization", format!("token {STANDS}")), ("x-other", "plain".into())]);
        let path = canonical::path(&format!("/bot{STANDS}/x?key={STANDS}")).unwrap();
        let loan = loan();
        assert_eq!(loan.look(&map, path.as_str()), Ok(()));
        let put = loan.put(&mut map, &path).unwrap().unwrap();
        assert_eq!(map["authorization"], format!("token {SECRET}"));
        assert_eq!(map["x-other"], "plain");
        assert_eq!(map["accept-encoding"], "identity");
        assert_eq!(put.as_str(), format!("/bot{SECRET}/x?key={SECRET}"));
        let mut map = headers(&[("authorization", basic("ada", STANDS))]);
        loan.put(&mut map, &path).unwrap();
        assert_eq!(map["authorization"], basic("ada", SECRET));
    }

    #[test]
    fn what_is_not_lent_is_found_wherever_it_stands() {
        let (name, secret) = ("npm".to_owned(), "github".to_owned());
        for (fields, path, misuse) in [
            (
                vec![("authorization", format!("Bearer {OTHER_STANDS}"))],
                "/".to_owned(),
                (&name, false, "headers"),
            ),
            (vec![("authorization", basic("u", OTHER_STANDS))], "/".to_owned(), (&name, false, "headers")),
            (vec![("cookie", format!("a={OTHER_STANDS}"))], "/".to_owned(), (&name, false, "headers")),
            (vec![], format!("/x?y={OTHER_STANDS}"), (&name, false, "path or query")),
            (vec![], format!("/{SECRET}"), (&secret, true, "path or query")),
            (vec![("x", OTHER.to_owned())], "/".to_owned(), (&name, true, "headers")),
        ] {
            let (credential, secret, place) = (misuse.0.clone(), misuse.1, misuse.2);
            assert_eq!(
                loan().look(&headers(&fields), &path),
                Err(Misuse { credential, secret, place }),
                "{fields:?} {path}"
            );
        }
    }

    #[test]
    fn a_body_carries_the_secret_out_and_the_placeholder_back() {
        let all = |body: Body| body.collect().now_or_never().unwrap().map(|all| all.to_bytes());
        let loan = loan();
        let up = loan.up(creel_net::body::full(format!("{{\"k\":\"{STANDS}\"}}")), Box::new(|_| ()));
        assert_eq!(all(up).unwrap(), format!("{{\"k\":\"{SECRET}\"}}"));
        assert_eq!(
            all(loan.down(creel_net::body::full(format!("you are {SECRET}")))).unwrap(),
            format!("you are {STANDS}")
        );
        assert!(all(loan.up(creel_net::body::full(format!("k={OTHER_STANDS}")), Box::new(|_| ()))).is_err());
        let mut map = headers(&[("x-token", SECRET.to_owned())]);
        assert!(loan.take_out(&mut map));
        assert_eq!(map["x-token"], STANDS);
        assert!(!loan.take_out(&mut headers(&[("content-encoding", "gzip".into())])));
    }

    #[test]
    fn a_secret_that_would_change_the_path_is_not_put_there() {
        let held = Held {
            name: "odd".into(),
            placeholder: "abcdefgh/../ijkl".into(),
            secret: Secret::new(*b"ABCDEFGH/../IJKL"),
        };
        let loan = Loan::new(&[held], 1);
        let path = canonical::path("/x?q=abcdefgh/../ijkl").unwrap();
        assert_eq!(
            loan.put(&mut HeaderMap::new(), &path).unwrap().unwrap().as_str(),
            "/x?q=ABCDEFGH/../IJKL"
        );
    }
}

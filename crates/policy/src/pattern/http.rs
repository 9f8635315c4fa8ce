//! Requests: `METHODS PATH`, as in `GET /repos/**`, `* /x`, `GET,POST /x`.

use super::{PathPattern, PatternError};
use crate::canonical::{self, CanonicalPath};

/// A compiled request pattern.
///
/// `GET` covers `HEAD` too, in an allow and in a deny: what one tells, the other tells with the body (RFC 9110 §9.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpPattern {
    /// As the policy's author wrote it.
    pub written: Box<str>,
    /// `None` is any method.
    methods: Option<Box<[Box<str>]>>,
    exact: PathPattern,
    folded: PathPattern,
}

impl HttpPattern {
    pub(crate) fn new(text: &str) -> Result<Self, PatternError> {
        let mut words = text.split_whitespace();
        let (Some(methods), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err(PatternError::new(format!("`{text}` is not a method and a path"))
                .hint("write a method (or `*`) and a path, as in `GET /repos/**`"));
        };
        if path.contains(['?', '#']) {
            return Err(PatternError::new("a request pattern compares the path, not the query")
                .hint("leave out `?` and what follows"));
        }
        let methods = match methods {
            "*" => None,
            list => Some(list.split(',').map(method).collect::<Result<Vec<_>, _>>()?.into()),
        };
        let (exact, folded) = (PathPattern::request(path)?, PathPattern::folded(path)?);
        Ok(Self { written: text.into(), methods, exact, folded })
    }

    /// As an allow: exactly.
    pub(crate) fn allows(&self, method: &str, path: &CanonicalPath) -> bool {
        self.covers_method(method) && self.exact.matches(path.path())
    }

    /// As a deny: also whatever a lenient server could take for it.
    pub(crate) fn denies(&self, method: &str, path: &CanonicalPath) -> bool {
        self.covers_method(method) && (self.folded.matches(path.folded()) || self.exact.matches(path.path()))
    }

    pub(crate) fn covers_method(&self, method: &str) -> bool {
        let Some(methods) = &self.methods else { return true };
        methods.iter().any(|m| &**m == method || (&**m == "GET" && method == "HEAD"))
    }

    /// What an allow compares.
    pub(crate) fn exact(&self) -> &PathPattern {
        &self.exact
    }

    /// What a deny compares, too.
    pub(crate) fn folded(&self) -> &PathPattern {
        &self.folded
    }

    /// The methods that it names; `None` for any.
    pub(crate) fn methods(&self) -> Option<&[Box<str>]> {
        self.methods.as_deref()
    }

    pub(crate) fn path_matches(&self, path: &CanonicalPath) -> bool {
        self.exact.matches(path.path())
    }

    /// Whether, as a deny, it could take anything from `allow`.
    pub(crate) fn may_deny(&self, allow: &Self) -> bool {
        let methods = match (&self.methods, &allow.methods) {
            (Some(_), Some(theirs)) => {
                theirs.iter().any(|m| self.covers_method(m) || (&**m == "GET" && self.covers_method("HEAD")))
            }
            _ => true,
        };
        methods && self.folded.may_overlap(&allow.folded)
    }

    /// Whether, as a deny, it takes all of `allow`. Only the plain cases are found.
    pub(crate) fn denies_all(&self, allow: &Self) -> bool {
        let methods = match (&self.methods, &allow.methods) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(theirs)) => theirs.iter().all(|m| self.covers_method(m)),
        };
        methods && (self.folded.is_everything() || self.folded == allow.folded)
    }
}

fn method(text: &str) -> Result<Box<str>, PatternError> {
    canonical::method(text).map(Into::into).map_err(|e| {
        PatternError::new(format!("`{text}` is not a method: {e}"))
            .hint("write a method (or `*` alone) and a path, as in `GET /repos/**`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, request: &str, allows: bool, denies: bool) {
        let compiled = HttpPattern::new(pattern).unwrap();
        let (method, path) = request.split_once(' ').unwrap();
        let path = canonical::path(path).unwrap();
        assert_eq!(compiled.allows(method, &path), allows, "{pattern} allows {request}");
        assert_eq!(compiled.denies(method, &path), denies, "{pattern} denies {request}");
    }

    #[test]
    fn an_allow_is_exact_and_a_deny_is_wide() {
        check("GET /repos/**", "GET /repos/a", true, true);
        check("GET /repos/**", "HEAD /repos/a", true, true);
        check("GET /repos/**", "POST /repos/a", false, false);
        check("* /x", "DELETE /x", true, true);
        check("* /x", "DELETE /x/", false, true);
        check("* /x", "DELETE /X;p=1", false, true);
        check("* /@s/p", "PUT /%40s/p", false, true);
        check("GET,POST /x", "POST /x", true, true);
        check("GET,POST /x", "PUT /x", false, false);
    }

    #[test]
    fn what_no_request_can_match_is_refused() {
        for text in
            ["", "GET", "/x", "GET x", "get /x", "GET /x /y", "GET,* /x", "G* /x", "GET /x?q=1", "GET, /x"]
        {
            assert!(HttpPattern::new(text).is_err(), "{text}");
        }
    }
}

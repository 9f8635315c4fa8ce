//! Repositories of git over HTTP: `OWNER/NAME`, in as many segments as the server has.

use super::{PathPattern, PatternError};
use crate::canonical::CanonicalPath;

/// A compiled pattern over repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryPattern {
    /// As the policy's author wrote it.
    pub written: Box<str>,
    path: PathPattern,
}

impl RepositoryPattern {
    pub(crate) fn new(text: &str) -> Result<Self, PatternError> {
        let hint = "write it as in `owner/name` or `owner/*`";
        if text.starts_with('/') || text.ends_with('/') || text.ends_with(".git") {
            return Err(PatternError::new(format!("`{text}` is not a repository")).hint(hint));
        }
        Ok(Self { written: text.into(), path: PathPattern::request(&format!("/{text}"))? })
    }

    pub(crate) fn matches(&self, repository: &str) -> bool {
        self.path.matches(repository)
    }
}

/// What a request asks of git's smart HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GitAsk<'a> {
    /// With a slash before it, and without `.git` behind it.
    pub repository: &'a str,
    pub is_push: bool,
    /// It brings changes, or asks for objects; else it only asks what is there.
    pub is_post: bool,
}

impl<'a> GitAsk<'a> {
    /// What the head says, when it is exactly one of the four requests that git makes.
    pub(crate) fn read(method: &str, path: &'a CanonicalPath) -> Option<Self> {
        const PUSH: &str = "git-receive-pack";
        const FETCH: &str = "git-upload-pack";
        let whole = path.path();
        let (base, is_push, is_post) = match (method, path.query()) {
            ("GET", Some(query)) => {
                let service = query.strip_prefix("service=").filter(|s| [PUSH, FETCH].contains(s))?;
                (whole.strip_suffix("/info/refs")?, service == PUSH, false)
            }
            ("POST", None) => {
                let (base, service) = whole.rsplit_once('/').filter(|(_, s)| [PUSH, FETCH].contains(s))?;
                (base, service == PUSH, true)
            }
            _ => return None,
        };
        let repository = base.strip_suffix(".git").unwrap_or(base);
        (repository.len() > 1 && !repository.ends_with('/')).then_some(Self { repository, is_push, is_post })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical;

    fn check(line: &str, want: Option<(&str, bool, bool)>) {
        let (method, target) = line.split_once(' ').unwrap();
        let path = canonical::path(target).unwrap();
        let got = GitAsk::read(method, &path).map(|a| (a.repository.to_owned(), a.is_push, a.is_post));
        assert_eq!(got, want.map(|(repo, push, post)| (repo.to_owned(), push, post)), "{line}");
    }

    #[test]
    fn only_the_four_requests_of_git_are_read_as_such() {
        check("GET /a/b.git/info/refs?service=git-upload-pack", Some(("/a/b", false, false)));
        check("GET /a/b/info/refs?service=git-receive-pack", Some(("/a/b", true, false)));
        check("POST /a/b.git/git-upload-pack", Some(("/a/b", false, true)));
        check("POST /a/b.git/git-receive-pack", Some(("/a/b", true, true)));
        for line in [
            "GET /a/b.git/info/refs",
            "GET /a/b.git/info/refs?service=git-upload-pack&service=git-receive-pack",
            "GET /a/b.git/info/refs?service=git-upload-archive",
            "GET /a/b.git/git-receive-pack",
            "POST /a/b.git/git-receive-pack?x",
            "PUT /a/b.git/git-receive-pack",
            "POST /git-receive-pack",
            "POST /.git/git-receive-pack",
            "GET /a/b.git/HEAD",
        ] {
            check(line, None);
        }
    }
}

//! Names of images in registries: `[HOST[:PORT]/]PATH[:TAG][@sha256:...]`, as people know them from Docker.

use crate::Sha256;
use std::fmt;
use std::str::FromStr;

/// Where an image is in a registry. What is not said is Docker Hub and `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry, as people name it.
    pub host: String,
    /// The repository.
    pub path: String,
    /// The tag; `latest` where none or a digest is given.
    pub tag: String,
    /// The image itself, whatever the tag says.
    pub digest: Option<Sha256>,
}

/// A name that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no image: {why}")]
pub struct ReferenceError {
    /// What was read.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Reference {
    /// The host and port that are asked, which for Docker Hub are others than its name.
    pub fn server(&self) -> &str {
        if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host }
    }

    /// What the registry is asked for: the digest, else the tag.
    pub fn wanted(&self) -> String {
        self.digest.map_or_else(|| self.tag.clone(), |digest| digest.to_string())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest {
            Some(digest) => write!(f, "{}/{}@{digest}", self.host, self.path),
            None => write!(f, "{}/{}:{}", self.host, self.path, self.tag),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let bad = |why| ReferenceError { text: text.to_owned(), why };
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let digest = Sha256::try_from(digest.to_owned());
                (name, Some(digest.map_err(|_| bad("a digest is `sha256:` and 64 digits"))?))
            }
        };
        let (host, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => ("docker.io", name),
        };
        let (path, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
        let path =
            if host == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path.into() };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        if !is_host(host) {
            return Err(bad("the registry is a host name, perhaps with a port"));
        }
        if path.len() > 255 || !path.split('/').all(is_component) {
            return Err(bad(
                "a repository is of lower-case letters, digits and single `.`, `_`, `-` between them",
            ));
        }
        if !is_tag(tag) {
            return Err(bad("a tag is of letters, digits, `_`, `.` and `-`, at most 128"));
        }
        // Beside a digest a tag says nothing, so that two names of one image are equal.
        let tag = if digest.is_some() { "latest" } else { tag };
        Ok(Self { host: host.to_ascii_lowercase(), path, tag: tag.to_owned(), digest })
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn is_component(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(plain) && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_people_know() {
        let check = |text: &str, want: &str| {
            assert_eq!(
                text.parse::<Reference>().map(|r| r.to_string()).unwrap_or_else(|e| e.to_string()),
                want
            );
        };
        check("alpine", "docker.io/library/alpine:latest");
        check("alpine:3.20", "docker.io/library/alpine:3.20");
        check("acme/tool", "docker.io/acme/tool:latest");
        check("index.docker.io/acme/tool", "docker.io/acme/tool:latest");
        check("ghcr.io/acme/a/b:v1", "ghcr.io/acme/a/b:v1");
        check("localhost:5000/x", "localhost:5000/x:latest");
        check("Registry.Acme.dev/x", "registry.acme.dev/x:latest");
        let digest = format!("sha256:{}", "a".repeat(64));
        check(&format!("alpine:3@{digest}"), &format!("docker.io/library/alpine@{digest}"));
        let reference: Reference = format!("alpine:3@{digest}").parse().unwrap();
        assert_eq!(reference.to_string().parse(), Ok(reference), "what is printed reads as the same");
    }

    #[test]
    fn what_could_lead_a_request_elsewhere_is_no_name() {
        for bad in [
            "",
            "/",
            "a.b/",
            "a.b/../x",
            "a.b/x/../y",
            "a.b/x?y",
            "a.b/x#y",
            "a.b/x:y/z",
            "a.b/x:",
            "a.b/X",
            "a.b:0/x",
            "a.b:99999/x",
            "u@a.b/x",
            "a..b/x",
            "a.b/x@sha256:1",
            "a.b/x@sha512:1",
            "a.b/%2e/x",
            "a.b/x y",
            "-a.b/x",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}

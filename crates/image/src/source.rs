//! Where a root comes from, as a person writes it.

use crate::reference::{Reference, ReferenceError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory that is a root already.
    Directory(PathBuf),
    /// An OCI image layout in a directory; the image's name in it where it holds several.
    Layout(PathBuf, Option<String>),
    /// The same in a tar file.
    Archive(PathBuf, Option<String>),
    /// What `docker save` writes.
    Saved(PathBuf, Option<String>),
    /// A root in a tar file, perhaps compressed.
    Tar(PathBuf),
    /// An image in a registry.
    Registry(Reference),
}

/// A text that names no root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The name of an image is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No path behind the kind.
    #[error("`{0}` names no file")]
    NoPath(String),
}

impl Source {
    /// The same with an absolute path, as a name that means the same from everywhere.
    pub fn absolute(self) -> std::io::Result<Self> {
        let full = |path: PathBuf| path.canonicalize();
        Ok(match self {
            Self::Directory(path) => Self::Directory(full(path)?),
            Self::Layout(path, name) => Self::Layout(full(path)?, name),
            Self::Archive(path, name) => Self::Archive(full(path)?, name),
            Self::Saved(path, name) => Self::Saved(full(path)?, name),
            Self::Tar(path) => Self::Tar(full(path)?),
            Self::Registry(reference) => Self::Registry(reference),
        })
    }

    /// The file or directory, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory(path)
            | Self::Layout(path, _)
            | Self::Archive(path, _)
            | Self::Saved(path, _)
            | Self::Tar(path) => Some(path),
            Self::Registry(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = |kind: &str, path: &Path, name: &Option<String>| match name {
            Some(name) => write!(f, "{kind}:{}:{name}", path.display()),
            None => write!(f, "{kind}:{}", path.display()),
        };
        match self {
            Self::Layout(path, name) => named("oci", path, name),
            Self::Archive(path, name) => named("oci-archive", path, name),
            Self::Saved(path, name) => named("docker-archive", path, name),
            Self::Tar(path) => write!(f, "tar:{}", path.display()),
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Registry(reference) => write!(f, "docker://{reference}"),
        }
    }
}

/// `oci:PATH[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`, `tar:FILE`, `docker://NAME`, else a
/// directory. As with other tools that know these words, a colon in a path needs a name behind it.
impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let split = |rest: &str| match rest.split_once(':') {
            Some((path, name)) if !name.is_empty() => (PathBuf::from(path), Some(name.to_owned())),
            _ => (PathBuf::from(rest.trim_end_matches(':')), None),
        };
        let source = if let Some(name) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(name.parse()?));
        } else if let Some(rest) = text.strip_prefix("oci:") {
            let (path, name) = split(rest);
            Self::Layout(path, name)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (path, name) = split(rest);
            Self::Archive(path, name)
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (path, name) = split(rest);
            Self::Saved(path, name)
        } else if let Some(rest) = text.strip_prefix("tar:") {
            Self::Tar(rest.into())
        } else {
            Self::Directory(text.into())
        };
        match source.path() {
            Some(path) if path.as_os_str().is_empty() => Err(SourceError::NoPath(text.to_owned())),
            _ => Ok(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_word() {
        let check = |text: &str, want: Source| {
            let source = text.parse::<Source>().unwrap();
            assert_eq!(source, want, "{text}");
            assert_eq!(source.to_string(), text);
        };
        check("/srv/root", Source::Directory("/srv/root".into()));
        check("oci:/a/b", Source::Layout("/a/b".into(), None));
        check("oci:/a/b:v1:x", Source::Layout("/a/b".into(), Some("v1:x".into())));
        check("oci-archive:a.tar:v1", Source::Archive("a.tar".into(), Some("v1".into())));
        check("docker-archive:a.tar", Source::Saved("a.tar".into(), None));
        check("tar:a.tar.gz", Source::Tar("a.tar.gz".into()));
        check("docker://a.b/c:d", Source::Registry("a.b/c:d".parse().unwrap()));
        for bad in ["oci:", "tar:", "docker-archive::x", "docker://", "docker://A", ""] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}

//! What the person who starts a sandbox says beside the policy.

use creel_types::HostName;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The operator's side of a compile: where paths lead, and which addresses they vouch for.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    /// What `~` stands for; absolute.
    pub home: PathBuf,
    /// What `.` stands for in every path of a policy; absolute. It is the directory that the sandbox is started for
    /// and not the directory of the document, so that a policy kept elsewhere never grants its own directory.
    pub workspace: PathBuf,
    /// Addresses that the operator gives to names (`--resolve`): explicit permission for that name and address.
    pub resolve: Vec<Resolution>,
    /// Where `include:` looks for files when the document itself says no `base`.
    pub base: PathBuf,
    /// Where the symbolic links of a program's path lead.
    pub links: Links,
}

/// Follows the symbolic links of a program's path, as the sandbox will see it.
///
/// The kernel knows a program by the path of its file, while people write the name they call it by:
/// `/usr/bin/python3` is a link nearly everywhere. This crate looks at no file, so whoever compiles answers.
#[derive(Clone, Default)]
pub struct Links(Option<Arc<Follow>>);

/// The true path of a path; `None` when nothing is there.
type Follow = dyn Fn(&Path) -> Option<PathBuf> + Send + Sync;

impl Links {
    /// Links are followed by `follow`.
    pub fn new(follow: impl Fn(&Path) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(follow)))
    }

    /// The path itself, where nothing is known of it.
    pub(crate) fn follow(&self, path: PathBuf) -> PathBuf {
        self.0.as_ref().and_then(|follow| follow(&path)).unwrap_or(path)
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

/// A name with the address, and if need be the port, that the operator gives to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The name that programs use.
    pub host: HostName,
    /// Where it leads.
    pub addr: IpAddr,
    /// The port that is dialled instead of the one that was asked for.
    pub port: Option<u16>,
}

/// The text of one policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name that errors show. Two documents of the same name are the same document.
    pub name: String,
    /// The YAML.
    pub text: String,
    /// Where its `include:` looks for files; empty means [`Operator::base`].
    pub base: PathBuf,
}

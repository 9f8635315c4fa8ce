//! Which files exist for a sandbox, and what it may do with them.

use crate::pattern::PathPattern;
use creel_types::{SYSTEM_DIRECTORIES, SandboxName};
use std::path::{Path, PathBuf};

/// What may be done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// As if absent.
    Hide,
    /// Read and execute.
    Read,
    /// Read, write and execute, on a view of one's own: nothing lands until a person applies it. The workspace only.
    Review,
    /// Read, write and execute.
    Write,
}

/// One path with what may be done with it and everything beneath it, until a more specific path says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Absolute, without `.` and `..`; `~` and `.` are expanded.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
    /// Whether the sandbox starts all the same when the path does not exist.
    pub optional: bool,
}

/// The directory that the sandbox works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Absolute.
    pub path: PathBuf,
    /// [`Access::Read`], [`Access::Review`] or [`Access::Write`].
    pub access: Access,
}

/// What the home directory is inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Home {
    /// Empty at the start, gone at the end.
    #[default]
    Scratch,
    /// Empty at the first start, kept under the policy's name from one run to the next.
    Keep(SandboxName),
}

/// A `hide:` entry with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HidePattern {
    pub(crate) base: PathBuf,
    pub(crate) pattern: PathPattern,
    pub(crate) text: String,
}

impl HidePattern {
    /// The directory above the first wildcard: everything that can match lies beneath it.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whether this very path is hidden, and so whatever lies beneath it. The path must be absolute and plain.
    pub fn matches(&self, path: &Path) -> bool {
        self.pattern.matches(&path.to_string_lossy())
    }

    /// The compiled pattern.
    pub(crate) fn pattern(&self) -> &PathPattern {
        &self.pattern
    }

    /// The pattern, absolute.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The filesystem layer, resolved: what is not granted does not exist in the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filesystem {
    pub(crate) workspace: Option<Workspace>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) hidden: Vec<HidePattern>,
    pub(crate) home: Home,
    /// Creel's own directories, which nothing grants.
    pub(crate) own: Vec<PathBuf>,
}

impl Filesystem {
    /// The workspace, if the policy grants one. It is also among the [`grants`](Self::grants).
    pub fn workspace(&self) -> Option<&Workspace> {
        self.workspace.as_ref()
    }

    /// Every path that is granted or hidden, the workspace included, each once, a parent before its children.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The `hide:` entries with wildcards, for the plan to look up in what is granted.
    pub fn hidden(&self) -> &[HidePattern] {
        &self.hidden
    }

    /// What the home directory is inside.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// What may be done with an absolute, plain path: the most specific entry decides. Of a pattern and a path that
    /// say the same place, the path is the more specific. `None` when nothing grants it.
    pub fn access(&self, path: &Path) -> Option<Access> {
        self.deciding(path).map(|(_, access)| access)
    }

    /// The same with what every sandbox sees of the system, whatever a policy says.
    pub(crate) fn with_system(&self) -> Self {
        let mut seen = self.clone();
        for name in SYSTEM_DIRECTORIES.iter().chain(&["etc"]) {
            let path = Path::new("/").join(name);
            if !seen.grants.iter().any(|grant| grant.path == path) {
                seen.grants.push(Grant { path, access: Access::Read, optional: true });
            }
        }
        seen.grants.sort_by(|a, b| a.path.cmp(&b.path));
        seen
    }

    /// The path whose entry grants this one.
    pub(crate) fn granting(&self, path: &Path) -> Option<&Path> {
        match self.deciding(path) {
            Some((Decider::Path(granted), _)) => Some(granted),
            _ => None,
        }
    }

    /// The same, with the entry that decides.
    pub(crate) fn deciding(&self, path: &Path) -> Option<(Decider<'_>, Access)> {
        path.ancestors().find_map(|at| {
            let exact = self.grants.binary_search_by(|g| g.path.as_path().cmp(at)).ok();
            match exact.and_then(|found| self.grants.get(found)) {
                Some(grant) => Some((Decider::Path(&grant.path), grant.access)),
                None => {
                    let pattern = self.hidden.iter().find(|h| h.matches(at))?;
                    Some((Decider::Pattern(pattern), Access::Hide))
                }
            }
        })
    }
}

/// What decides about a path.
pub(crate) enum Decider<'a> {
    /// The entry of this path.
    Path(&'a Path),
    /// A pattern that hides it.
    Pattern(&'a HidePattern),
}

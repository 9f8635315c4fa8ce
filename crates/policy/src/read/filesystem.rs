//! The filesystem layer.

use super::path::expand;
use crate::pattern::PathPattern;
use crate::problems::{Problems, Span};
use crate::yaml::Node;
use crate::{Access, Filesystem, Grant, HidePattern, Home, Operator, Statement, Workspace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was read so far.
#[derive(Default)]
pub(super) struct Files {
    workspace: Option<Workspace>,
    /// `access: none` was the last word.
    withheld: bool,
    grants: BTreeMap<PathBuf, Entry>,
    hidden: Vec<(Span, HidePattern)>,
}

struct Entry {
    span: Span,
    access: Access,
    optional: bool,
}

impl Files {
    pub(super) fn add(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        if let Some(workspace) = node.get("workspace") {
            self.workspace(workspace, operator, problems);
        }
        for (key, access) in [("read", Access::Read), ("write", Access::Write)] {
            for item in node.list(key) {
                self.place(item, access, operator, problems);
            }
        }
        for item in node.list("hide") {
            self.hide(item, operator, problems);
        }
    }

    fn workspace(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let before = self.workspace.take();
        if node.get("access").and_then(Node::text) == Some("none") {
            if let Some(before) = before {
                self.grants.remove(&before.path);
            }
            self.withheld = true;
            return;
        }
        self.withheld = false;
        let said = match node.get("path") {
            Some(path) => granted(path, operator, problems),
            None => before.as_ref().map(|w| w.path.clone()),
        };
        let access = match node.get("access").and_then(Node::text) {
            Some("read") => Access::Read,
            Some("review") => Access::Review,
            Some("write") => Access::Write,
            _ => before.as_ref().map_or(Access::Write, |w| w.access),
        };
        let path = said.unwrap_or_else(|| operator.workspace.clone());
        if let Some(before) = before {
            // A later document says where the workspace is; it does not grant two.
            self.grants.remove(&before.path);
        }
        self.insert(path.clone(), Entry { span: node.span, access, optional: false }, problems);
        self.workspace = Some(Workspace { path, access });
    }

    fn place(&mut self, item: &Node, access: Access, operator: &Operator, problems: &mut Problems) {
        let node = item.get("path").unwrap_or(item);
        let optional = item.get("optional").and_then(Node::text) == Some("true");
        if let Some(path) = granted(node, operator, problems) {
            self.insert(path, Entry { span: node.span, access, optional }, problems);
        }
    }

    fn hide(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let Some(text) = node.text().filter(|t| !t.is_empty()) else { return };
        let Some(path) = expand(text, node.span, operator, problems) else { return };
        if path == Path::new("/") {
            problems.add(node.span, "hiding `/` hides everything");
        } else if text.contains('*') {
            match hide_pattern(&path) {
                Ok(pattern) => self.hidden.push((node.span, pattern)),
                Err(why) => drop(problems.add(node.span, why)),
            }
        } else {
            self.insert(path, Entry { span: node.span, access: Access::Hide, optional: true }, problems);
        }
    }

    /// Within one document a path is said once; across documents hide beats write beats review beats read.
    fn insert(&mut self, path: PathBuf, new: Entry, problems: &mut Problems) {
        let Some(old) = self.grants.get_mut(&path) else {
            self.grants.insert(path, new);
            return;
        };
        if old.span.file == new.span.file {
            let place = problems.place(old.span);
            problems
                .add(new.span, format!("`{}` is given twice", path.display()))
                .hint(format!("it stands at {place} already"));
            return;
        }
        let rank = |access: Access| match access {
            Access::Hide => 3,
            Access::Write => 2,
            Access::Review => 1,
            Access::Read => 0,
        };
        if rank(new.access) > rank(old.access) {
            old.access = new.access;
        }
        old.optional &= new.optional;
        old.span = new.span;
    }

    /// Where each path and pattern stands.
    pub(super) fn each(&self, mut found: impl FnMut(Span, Statement)) {
        self.grants.iter().for_each(|(path, entry)| found(entry.span, Statement::Path(path.clone())));
        self.hidden.iter().for_each(|(span, hide)| found(*span, Statement::Hide(hide.text.clone())));
    }

    /// What `workspace:` is when nobody says it. A path that is given or hidden by its name stays what it was said.
    fn grant_workspace(&mut self, operator: &Operator) {
        let (path, access) = (operator.workspace.clone(), Access::Write);
        let nowhere = Span { file: u32::MAX, line: 1, column: 0, length: 0 };
        self.grants.entry(path.clone()).or_insert(Entry { span: nowhere, access, optional: false });
        self.workspace = Some(Workspace { path, access });
    }

    /// The layer, with Creel's own files hidden from every grant that would show them.
    pub(super) fn finish(mut self, home: Home, operator: &Operator) -> Filesystem {
        if self.workspace.is_none() && !self.withheld {
            self.grant_workspace(operator);
        }
        let access = self.workspace.as_ref().and_then(|w| self.grants.get(&w.path)).map(|e| e.access);
        if let (Some(workspace), Some(access)) = (&mut self.workspace, access) {
            workspace.access = access;
        }
        let mut hidden: Vec<HidePattern> = self.hidden.into_iter().map(|(_, pattern)| pattern).collect();
        let mut grants: Vec<Grant> = self
            .grants
            .into_iter()
            .map(|(path, e)| Grant { path, access: e.access, optional: e.optional })
            .collect();
        for path in internal(operator) {
            let shown = path.starts_with("/etc") || grants.iter().any(|g| path.starts_with(&g.path));
            if shown && !grants.iter().any(|g| g.path == path) {
                grants.push(Grant { path, access: Access::Hide, optional: true });
            }
        }
        if grants
            .iter()
            .any(|g| Path::new("/run/user").starts_with(&g.path) || g.path.starts_with("/run/user"))
        {
            hidden.extend(hide_pattern(Path::new("/run/user/*/creel")));
        }
        grants.sort_by(|a, b| a.path.cmp(&b.path));
        Filesystem { workspace: self.workspace, grants, hidden, home, own: internal(operator) }
    }
}

/// A path that may be granted.
fn granted(node: &Node, operator: &Operator, problems: &mut Problems) -> Option<PathBuf> {
    let text = node.text().filter(|t| !t.is_empty())?;
    if text.contains('*') {
        problems
            .add(node.span, format!("`{text}`: only `hide` takes patterns"))
            .hint("grant the directory; what is beneath it comes with it");
        return None;
    }
    let path = expand(text, node.span, operator, problems)?;
    if let Some(why) = never_granted(&path, operator) {
        problems.add(node.span, why);
        return None;
    }
    Some(path)
}

fn never_granted(path: &Path, operator: &Operator) -> Option<String> {
    if path == Path::new("/") {
        return Some("`/` is never granted: grant the directories that are needed".to_owned());
    }
    if let Some(system) = ["/proc", "/sys", "/dev"].iter().find(|system| path.starts_with(system)) {
        return Some(format!(
            "`{}` is never granted: the sandbox has a `{system}` of its own",
            path.display()
        ));
    }
    let runtime = path.starts_with("/run/user") && path.components().any(|c| c.as_os_str() == "creel");
    if runtime || internal(operator).iter().any(|own| path.starts_with(own)) {
        return Some(format!("`{}` is never granted: it is Creel's own", path.display()));
    }
    None
}

/// Where Creel keeps its policies, secrets, records and sockets.
fn internal(operator: &Operator) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> =
        ["/etc/creel", "/run/creel", "/var/lib/creel", "/var/log/creel"].map(PathBuf::from).into();
    if operator.home.is_absolute() {
        let below = [".config/creel", ".local/share/creel", ".local/state/creel", ".cache/creel"];
        own.extend(below.map(|name| operator.home.join(name)));
    }
    own
}

fn hide_pattern(path: &Path) -> Result<HidePattern, String> {
    let text = path.to_str().ok_or("a pattern cannot begin with a path that is not UTF-8")?;
    let pattern = PathPattern::new(text).map_err(|e| e.to_string())?;
    let base = path.components().take_while(|c| !c.as_os_str().to_string_lossy().contains('*')).collect();
    Ok(HidePattern { base, pattern, text: text.to_owned() })
}

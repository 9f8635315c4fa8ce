//! What a reviewer should look at twice.
//!
//! A sandbox that cannot leave its workspace can still write what somebody trusted runs there later: hooks, settings
//! of editors and agents, build files. None of it is forbidden; all of it is said.

use crate::node::{Kind, Node};
use rustix::fs::Mode;
use serde::Serialize;
use std::ffi::OsStr;
use std::path::{Component, Path};

/// One remark on a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Something that is run, or obeyed, outside of the sandbox when nobody thinks of it.
    TrustedLater(&'static str),
    /// It was made executable.
    Executable,
    /// It has a set-user-id or set-group-id bit, which does not land.
    SetId,
    /// A link that leads out of the workspace.
    LeadsOut,
    /// It never lands: a pipe, a socket, a device.
    NeverLands,
    /// In the workspace it has further names, which keep what it was.
    OtherNames,
}

impl Note {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::TrustedLater(what) => format!("{what}: read it before you apply it"),
            Self::Executable => "executable now".into(),
            Self::SetId => "set-id bit, which is dropped".into(),
            Self::LeadsOut => "a link that leads out of the workspace".into(),
            Self::NeverLands => "a pipe, socket or device, which never lands".into(),
            Self::OtherNames => "has other names in the workspace, which keep what it was".into(),
        }
    }
}

/// Directories that are obeyed with all that is in them.
const TRUSTED_BELOW: &[(&str, &str)] = &[
    (".git", "git runs or obeys it"),
    (".hg", "mercurial runs or obeys it"),
    (".husky", "a git hook"),
    (".githooks", "a git hook"),
    (".vscode", "the editor runs or obeys it"),
    (".idea", "the editor runs or obeys it"),
    (".devcontainer", "the editor runs it"),
    (".github", "the forge's automation runs it"),
    (".gitlab", "the forge's automation runs it"),
    (".circleci", "the forge's automation runs it"),
    (".claude", "an agent obeys it"),
    (".codex", "an agent obeys it"),
    (".cursor", "an agent obeys it"),
    (".opencode", "an agent obeys it"),
    (".gemini", "an agent obeys it"),
    (".cargo", "cargo obeys it"),
    (".ssh", "ssh obeys it"),
];

/// What git only keeps; nothing of it is run. What stands beside it in `.git` is.
const KEPT_BY_GIT: &[&str] = &[
    "objects",
    "refs",
    "logs",
    "lfs",
    "index",
    "HEAD",
    "ORIG_HEAD",
    "FETCH_HEAD",
    "packed-refs",
    "COMMIT_EDITMSG",
];

/// Files that are obeyed wherever they stand. Every file may be run by somebody; these are what a tool takes without
/// being told.
const TRUSTED: &[(&str, &str)] = &[
    (".gitmodules", "git obeys it"),
    (".gitattributes", "git obeys it"),
    (".gitconfig", "git obeys it"),
    (".pre-commit-config.yaml", "a git hook"),
    (".gitlab-ci.yml", "the forge's automation runs it"),
    ("Jenkinsfile", "the forge's automation runs it"),
    (".envrc", "the shell runs it"),
    (".bashrc", "the shell runs it"),
    (".bash_profile", "the shell runs it"),
    (".profile", "the shell runs it"),
    (".zshrc", "the shell runs it"),
    (".npmrc", "npm obeys it"),
    (".yarnrc.yml", "yarn obeys it"),
    (".pypirc", "pip obeys it"),
    (".zshenv", "the shell runs it"),
    (".zprofile", "the shell runs it"),
    (".vimrc", "the editor runs it"),
    (".exrc", "the editor runs it"),
    (".nvim.lua", "the editor runs it"),
    (".dir-locals.el", "the editor obeys it"),
    (".gdbinit", "the debugger runs it"),
    (".lldbinit", "the debugger runs it"),
    (".pnpmfile.cjs", "pnpm runs it"),
    (".yarnrc", "yarn obeys it"),
    ("package.json", "npm runs its scripts"),
    ("binding.gyp", "npm builds it"),
    ("Makefile", "make runs it"),
    ("makefile", "make runs it"),
    ("GNUmakefile", "make runs it"),
    ("CMakeLists.txt", "cmake runs it"),
    ("justfile", "just runs it"),
    ("Rakefile", "rake runs it"),
    ("Gemfile", "bundler runs it"),
    ("gradlew", "gradle runs it"),
    ("build.gradle", "gradle runs it"),
    ("build.gradle.kts", "gradle runs it"),
    ("Dockerfile", "docker runs it"),
    ("compose.yaml", "docker obeys it"),
    ("docker-compose.yml", "docker obeys it"),
    ("build.rs", "cargo runs it"),
    ("Cargo.toml", "cargo obeys it"),
    ("rust-toolchain.toml", "cargo obeys it"),
    ("setup.py", "pip runs it"),
    ("setup.cfg", "pip obeys it"),
    ("pyproject.toml", "pip obeys it"),
    ("tox.ini", "tox runs it"),
    ("noxfile.py", "nox runs it"),
    ("conftest.py", "pytest runs it"),
    ("sitecustomize.py", "python runs it"),
    ("usercustomize.py", "python runs it"),
    ("AGENTS.md", "an agent obeys it"),
    ("CLAUDE.md", "an agent obeys it"),
    ("GEMINI.md", "an agent obeys it"),
    (".mcp.json", "an agent runs it"),
    (".cursorrules", "an agent obeys it"),
    (".editorconfig", "the editor obeys it"),
];

/// The remarks on what a path becomes; `leads` is where it leads when it is a link.
pub(crate) fn on(
    path: &Path,
    before: Option<&Node>,
    after: Option<&Node>,
    leads: Option<&OsStr>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(trusted(path).map(Note::TrustedLater));
    let Some(after) = after else { return notes };
    let mode = Mode::from_raw_mode(after.mode);
    let any = Mode::XUSR | Mode::XGRP | Mode::XOTH;
    let was = before.is_some_and(|b| b.kind == Kind::File && Mode::from_raw_mode(b.mode).intersects(any));
    match after.kind {
        Kind::File if mode.intersects(Mode::SUID | Mode::SGID) => notes.push(Note::SetId),
        Kind::File if mode.intersects(any) && !was => notes.push(Note::Executable),
        Kind::Special => notes.push(Note::NeverLands),
        _ => {}
    }
    if before.is_some_and(|b| b.kind == Kind::File && b.names > 1) {
        notes.push(Note::OtherNames);
    }
    if leads.is_some_and(|leads| leads_out(path, Path::new(leads))) {
        notes.push(Note::LeadsOut);
    }
    notes
}

fn trusted(path: &Path) -> Option<&'static str> {
    let names: Vec<&OsStr> = path.components().map(Component::as_os_str).collect();
    let below = names.iter().enumerate().find_map(|(index, name)| {
        if *name == OsStr::new(".git") && is_kept_by_git(&names[index + 1..]) {
            return None;
        }
        TRUSTED_BELOW.iter().find(|(dir, _)| *name == OsStr::new(dir)).map(|(_, why)| *why)
    });
    let name = path.file_name()?;
    below.or_else(|| TRUSTED.iter().find(|(file, _)| name == OsStr::new(file)).map(|(_, why)| *why))
}

fn is_kept_by_git(below: &[&OsStr]) -> bool {
    below.first().is_some_and(|name| KEPT_BY_GIT.iter().any(|kept| *name == OsStr::new(kept)))
        && below.last().is_some_and(|name| *name != OsStr::new("alternates"))
}

/// Whether a link at `path` may lead out of the workspace by its own words. What other links on the way do is theirs,
/// but `..` behind a name counts from wherever that name leads, which may be the top.
fn leads_out(path: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        return true;
    }
    let depth = path.components().count().saturating_sub(1);
    let up = target.components().filter(|component| *component == Component::ParentDir).count();
    let first = target.components().take_while(|component| *component == Component::ParentDir).count();
    up > depth || up > first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trusted_later_is_said_and_its_neighbours_are_not() {
        for (path, said) in [
            (".git/hooks/pre-commit", true),
            ("sub/.git/config", true),
            (".vscode/tasks.json", true),
            ("sub/package.json", true),
            (".github/workflows/ci.yml", true),
            (".git/info/attributes", true),
            (".git/modules/a/hooks/pre-commit", true),
            (".git/objects/info/alternates", true),
            (".git/objects/ab/cdef", false),
            (".git/index", false),
            (".git/objects/x/.git/config", true),
            ("sub/makefile", true),
            ("Cargo.toml", true),
            (".git/refs/heads/hooks", false),
            ("git/hooks/pre-commit", false),
            ("src/package.json.bak", false),
            ("README.md", false),
        ] {
            assert_eq!(trusted(Path::new(path)).is_some(), said, "{path}");
        }
    }

    #[test]
    fn a_link_that_leads_out_is_told_from_one_that_does_not() {
        for (at, target, out) in [
            ("a", "b", false),
            ("d/a", "../b", false),
            ("a", "../b", true),
            ("d/a", "../../b", true),
            ("a", "/etc/passwd", true),
            ("d/a", "../x/b", false),
            // Where `d/x` leads to `.` this is `../b`.
            ("d/a", "x/../../b", true),
            ("d/a", "x/../../../b", true),
        ] {
            assert_eq!(leads_out(Path::new(at), Path::new(target)), out, "{at} -> {target}");
        }
    }
}

//! From documents to a compiled policy, with the includes read from disk.

use creel_api::control;
use creel_policy::{Document, Errors, Links, Operator, Places, Policy, Resolution};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

/// The largest document, in bytes.
const MAX_DOCUMENT: u64 = 1 << 20;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The documents have errors, each with its place.
    #[error("{0}")]
    Invalid(Errors),
    /// The workspace is not there.
    #[error("cannot use workspace {}", path.display())]
    Workspace {
        /// What was asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Nobody's home directory.
    #[error("cannot tell your home directory: set HOME to an absolute path")]
    NoHome,
}

/// Compiles the documents; the built-in policy when there is none.
pub fn compile(
    documents: &[control::Document],
    workspace: &Path,
    resolve: &[Resolution],
) -> Result<Policy, CompileError> {
    compile_for(documents, workspace, resolve, Links::new(|path| path.canonicalize().ok()))
}

/// The same for a sandbox in which programs' paths lead where `links` says.
pub fn compile_for(
    documents: &[control::Document],
    workspace: &Path,
    resolve: &[Resolution],
    links: Links,
) -> Result<Policy, CompileError> {
    compile_with(documents, (workspace, resolve, links), &load)
}

/// The same, and what was included on the way, for somebody else to compile the same.
pub fn compile_and_keep(
    documents: &[control::Document],
    on: (&Path, &[Resolution], Links),
) -> Result<(Policy, Vec<Included>), CompileError> {
    let kept = RefCell::new(Vec::new());
    let policy = compile_with(documents, on, &|name, base| {
        let document = load(name, base)?;
        let Document { name: own, text, base: beside } = document.clone();
        let document_there = control::Document { name: own, text, base: beside };
        kept.borrow_mut().push(Included {
            name: name.to_owned(),
            base: base.to_owned(),
            document: document_there,
        });
        Ok(document)
    })?;
    Ok((policy, kept.into_inner()))
}

/// A document that another one includes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Included {
    /// As it is called there.
    pub name: String,
    /// Beside what.
    pub base: PathBuf,
    /// The document.
    pub document: control::Document,
}

/// An included document that somebody else has read.
pub fn among(included: &[Included], name: &str, base: &Path) -> Result<Document, String> {
    let found = included.iter().find(|one| one.name == name && one.base == base);
    found.map(|one| own(&one.document)).ok_or_else(|| format!("{name} was not read"))
}

/// A policy to be looked at and not run: with the places of what it says, and what its author's words stand for.
#[derive(Debug)]
pub struct Study {
    /// The policy.
    pub policy: Policy,
    /// Where everything stands.
    pub places: Places,
    /// What `~` and `.` are, and where links lead.
    pub operator: Operator,
}

/// Compiles the documents in order to explain, test or compare them.
pub fn study(documents: &[control::Document], workspace: &Path) -> Result<Study, CompileError> {
    let operator = operator(workspace, &[], Links::new(|path| path.canonicalize().ok()))?;
    let documents: Vec<Document> = documents.iter().map(own).collect();
    let (policy, places) =
        creel_policy::compile_with_places(&documents, &operator, &load).map_err(CompileError::Invalid)?;
    Ok(Study { policy, places, operator })
}

fn operator(workspace: &Path, resolve: &[Resolution], links: Links) -> Result<Operator, CompileError> {
    let workspace = workspace
        .canonicalize()
        .map_err(|source| CompileError::Workspace { path: workspace.to_owned(), source })?;
    Ok(Operator {
        home: home().ok_or(CompileError::NoHome)?,
        base: workspace.clone(),
        workspace,
        resolve: resolve.to_vec(),
        links,
    })
}

/// The same, with included documents from `load`.
pub fn compile_with(
    documents: &[control::Document],
    (workspace, resolve, links): (&Path, &[Resolution], Links),
    load: &dyn Fn(&str, &Path) -> Result<Document, String>,
) -> Result<Policy, CompileError> {
    let operator = operator(workspace, resolve, links)?;
    let documents: Vec<Document> =
        if documents.is_empty() { vec![own(&built_in())] } else { documents.iter().map(own).collect() };
    creel_policy::compile(&documents, &operator, load).map_err(CompileError::Invalid)
}

/// The operator's home directory.
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// What is in force when nobody says anything.
pub fn built_in() -> control::Document {
    let text = creel_policy::preset("base").unwrap_or_default();
    control::Document { name: "preset:base".into(), text: text.into(), base: "/".into() }
}

fn own(document: &control::Document) -> Document {
    Document { name: document.name.clone(), text: document.text.clone(), base: document.base.clone() }
}

/// Reads an included document from beside the one that includes it.
fn load(name: &str, base: &Path) -> Result<Document, String> {
    let path = base.join(name);
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let meta = std::fs::metadata(&path).map_err(failed)?;
    if meta.len() > MAX_DOCUMENT {
        return Err(format!("{} is over {MAX_DOCUMENT} bytes", path.display()));
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let base = path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Document { name: name.to_owned(), text, base })
}

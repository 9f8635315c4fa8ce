//! Claims of what a policy never allows, and the proof: `POST to any host but api.acme.dev` holds, or here is a request.
//!
//! As exact as [`compare`](crate::compare), by the same means: the policy is asked about one example of each class of questions
//! that its patterns and the claim's tell apart.

mod prove;

use crate::filesystem::HidePattern;
use crate::network::{From, Ports, Program, Target};
use crate::pattern::{ArgumentPattern, HttpPattern, PathPattern};
use crate::process::Entry;
use crate::read::path::absolute;
use crate::read::target::parse as parse_target;
use crate::{Explanation, Operator};
use creel_types::Host;
use ipnet::IpNet;
use serde::Serialize;

/// Something that a policy must never allow.
#[derive(Debug)]
pub struct Claim {
    text: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Request { pattern: HttpPattern, to: Where, from: From },
    Connect { to: Where, at: Option<Vec<IpNet>>, from: From },
    File { write: bool, paths: Vec<HidePattern> },
    Execute(Entry),
}

/// Which hosts and ports a claim is about.
#[derive(Debug)]
struct Where {
    /// `None` is any.
    to: Option<Vec<Target>>,
    but: Vec<Target>,
}

/// Why a text is not a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a claim: {why}")]
pub struct ClaimError {
    /// What was read.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What must never be allowed.
    pub never: String,
    /// Whether it never is.
    pub holds: bool,
    /// Something that is allowed against the claim.
    pub witness: Option<Explanation>,
    /// The same in words, where it is no question: a model call that ends there.
    pub witness_call: Option<String>,
}

const FORMS: &str = "write `METHODS [PATH] to WHERE`, `connect to WHERE [at ADDRESSES]`, `read PATH`, `write PATH` or \
                     `exec PROGRAM [ARGUMENTS]`; WHERE is `any host` or targets, then `but` targets; all but files may end with \
                     `from PROGRAM`";

impl Claim {
    /// Reads a claim. Targets without a port mean every port; a path means all beneath it, too.
    ///
    /// # Errors
    /// What is none of the forms, and patterns that match nothing.
    pub fn parse(text: &str, operator: &Operator) -> Result<Self, ClaimError> {
        let what = parse(text.trim(), operator).map_err(|why| ClaimError { text: text.to_owned(), why })?;
        Ok(Self { text: text.trim().to_owned(), what })
    }
}

fn parse(text: &str, operator: &Operator) -> Result<What, String> {
    let (verb, rest) = text.split_once(' ').ok_or(FORMS)?;
    if let "read" | "write" = verb {
        let path = absolute(rest.trim(), operator)?;
        return Ok(What::File { write: verb == "write", paths: beneath(&path.to_string_lossy())? });
    }
    let (rest, from) = match rest.rsplit_once(" from ") {
        Some((rest, program)) => (rest, From(Some(Box::new([by(program.trim(), operator)?])))),
        None => (rest, From(None)),
    };
    if verb == "exec" {
        return entry(rest.trim(), from, operator).map(What::Execute);
    }
    // `POST to ...`, `POST /x to ...`, `connect to ...`.
    let (path, rest) = match rest.strip_prefix("to ") {
        Some(rest) => ("/**", rest),
        None => rest.split_once(" to ").ok_or(FORMS)?,
    };
    if verb == "connect" {
        let (to, at) = match rest.split_once(" at ") {
            Some((to, at)) => (to, Some(list(at).map(block).collect::<Result<_, _>>()?)),
            None => (rest, None),
        };
        return Ok(What::Connect { to: place(to)?, at, from });
    }
    let pattern = HttpPattern::new(&format!("{verb} {path}")).map_err(|e| e.to_string())?;
    Ok(What::Request { pattern, to: place(rest)?, from })
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn place(text: &str) -> Result<Where, String> {
    let (to, but) = match text.split_once(" but ") {
        Some((to, but)) => (to, list(but).map(target).collect::<Result<_, _>>()?),
        None => (text, Vec::new()),
    };
    let to = match to.trim() {
        "any" | "any host" => None,
        targets => Some(list(targets).map(target).collect::<Result<_, _>>()?),
    };
    Ok(Where { to, but })
}

/// A target; without a port it means every port.
fn target(text: &str) -> Result<Target, String> {
    let target = parse_target(text).map_err(|e| e.to_string())?;
    let said = text.rsplit_once(':').is_some_and(|(host, _)| host.ends_with(']') || !host.contains(':'));
    Ok(if said { target } else { Target { ports: Ports::Any, ..target } })
}

fn block(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<std::net::IpAddr>().map(|addr| addr.to_canonical().into());
    text.parse::<IpNet>()
        .or_else(|_| single())
        .map_err(|_| format!("`{text}` is neither an address nor a block"))
}

fn program(text: &str, operator: &Operator) -> Result<Program, String> {
    if let Some(hex) = text.strip_prefix("sha256:") {
        return hex.parse().map(Program::Digest).map_err(|e| format!("`{hex}` is {e}"));
    }
    let path = absolute(text, operator)?;
    let path = if text.contains('*') { path } else { operator.links.follow(path) };
    PathPattern::new(&path.to_string_lossy()).map(Program::Path).map_err(|e| e.to_string())
}

/// Who acts.
fn by(text: &str, operator: &Operator) -> Result<Program, String> {
    match text.strip_prefix("tree:") {
        Some(of) => program(of, operator).map(|of| Program::Tree(Box::new(of))),
        None => program(text, operator),
    }
}

fn entry(text: &str, from: From, operator: &Operator) -> Result<Entry, String> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let arguments = ArgumentPattern::new(rest).map_err(|e| e.to_string())?;
    let arguments = (!rest.trim().is_empty()).then_some(arguments);
    Ok(Entry { program: program(name, operator)?, arguments, from, written: text.into() })
}

/// Patterns that take the path and all beneath it.
fn beneath(path: &str) -> Result<Vec<HidePattern>, String> {
    let pattern = PathPattern::new(path).map_err(|e| e.to_string())?;
    Ok(vec![HidePattern { base: "/".into(), pattern, text: path.to_owned() }])
}

impl Where {
    fn takes(&self, host: &Host, port: u16) -> bool {
        let among =
            |targets: &[Target]| targets.iter().any(|t| t.host.matches(host) && t.ports.contain(port));
        self.to.as_deref().is_none_or(among) && !among(&self.but)
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.to.iter().flatten().chain(&self.but)
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.holds {
            return write!(f, "holds: never {}", self.never);
        }
        write!(f, "does not hold: never {}", self.never)?;
        if let Some(call) = &self.witness_call {
            write!(f, "\n  {call}")?;
        }
        let told = self.witness.as_ref().map(ToString::to_string).unwrap_or_default();
        told.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

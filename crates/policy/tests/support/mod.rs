//! What the tests of a policy share: an operator, a compile of one text, callers.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use creel_policy::{
    Admission, Connect, Document, Errors, Operator, Places, Policy, Refusal, Request, canonical, compile,
    compile_with_places,
};
use creel_types::{Caller, Program, RuleId};
use std::path::PathBuf;

pub fn operator() -> Operator {
    Operator {
        home: PathBuf::from("/home/u"),
        workspace: PathBuf::from("/home/u/work"),
        links: creel_policy::Links::default(),
        resolve: Vec::new(),
        base: PathBuf::from("/etc/policies"),
    }
}

pub fn document(text: &str) -> Document {
    Document { name: "policy.yaml".to_owned(), text: text.to_owned(), base: PathBuf::new() }
}

pub fn try_compile(text: &str) -> Result<Policy, Errors> {
    compile(&[document(text)], &operator(), &|name, _| Err(format!("no file {name}")))
}

/// The policy with the places of what it says.
pub fn studied(text: &str) -> (Policy, Places) {
    compile_with_places(&[document(text)], &operator(), &|name, _| Err(format!("no file {name}")))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

pub fn policy(text: &str) -> Policy {
    try_compile(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A policy of these network rules, as lines of YAML.
pub fn rules(rules: &str) -> Policy {
    let indented = rules.trim_matches('\n').lines().map(|l| format!("    {l}\n")).collect::<String>();
    policy(&format!("version: 1\nnetwork:\n  rules:\n{indented}"))
}

pub fn program(path: &str) -> Program {
    Program { pid: 1, path: path.into(), digest: None, foreign_code: None }
}

/// The program, then its parents.
pub fn caller(chain: &[&str]) -> Caller {
    Caller { chain: chain.iter().map(|path| program(path)).collect() }
}

pub fn connect(policy: &Policy, host: &str, port: u16, caller: &Caller) -> Result<Admission, Refusal> {
    let host = canonical::host(host).unwrap();
    policy.connect(&Connect { host: &host, port, caller })
}

pub fn request(policy: &Policy, line: &str, host: &str, caller: &Caller) -> Result<RuleId, Refusal> {
    let host = canonical::host(host).unwrap();
    let (method, path) = line.split_once(' ').unwrap();
    let path = canonical::path(path).unwrap();
    let connect = Connect { host: &host, port: 443, caller };
    policy.request(&Request { connect, method, path: &path })
}

//! What the author of a broken policy reads: one snapshot for each file in `malformed/`.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Document, Errors, compile};
use std::path::PathBuf;
use support::operator;

fn errors_of(text: &str) -> Option<Errors> {
    let cycle = |name: &str, _: &std::path::Path| match name {
        "./cycle.yaml" => Ok(Document {
            name: "cycle.yaml".to_owned(),
            text: "version: 1\ninclude: [./cycle.yaml]\n".to_owned(),
            base: PathBuf::new(),
        }),
        _ => Err("no such file".to_owned()),
    };
    let document = Document { name: "policy.yaml".to_owned(), text: text.to_owned(), base: PathBuf::new() };
    compile(&[document], &operator(), &cycle).err()
}

fn malformed() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_malformed_policy_is_refused_in_these_words() {
    let files = malformed();
    assert!(files.len() > 60);
    for (name, text) in files {
        let errors = errors_of(&text).unwrap_or_else(|| panic!("{name} was accepted"));
        insta::assert_snapshot!(name, errors.to_string());
    }
}

#[test]
fn no_message_repeats_a_secret() {
    for (name, text) in malformed() {
        let errors = errors_of(&text).unwrap();
        let shown = format!("{errors}{}", serde_json::to_string(&errors).unwrap());
        assert!(!shown.contains("sk-ant-0123456789") && !shown.contains("hunter22"), "{name}: {shown}");
        assert!(!shown.contains('\u{1b}'), "{name}");
    }
}

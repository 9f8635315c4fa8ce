//! Holds the floors of ARCHITECTURE.md: a crate depends only on crates below it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Crates on one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["sandbox"],
    &["jail", "proxy", "inference", "image", "review"],
    &["kernel", "net", "audit"],
    &["policy", "api"],
    &["types"],
];

fn crates_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn floor_of(name: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&name))
        .unwrap_or_else(|| panic!("{name} stands on no floor"))
}

/// The crates of ours that `manifest` depends on outside of its tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[dependencies");
        } else if let (true, Some(rest)) = (inside, line.strip_prefix("creel-")) {
            found.insert(rest.split(['.', ' ', '=']).next().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn arrows_point_down() {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(crates_dir()).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        for below in dependencies(&fs::read_to_string(dir.join("Cargo.toml")).unwrap()) {
            assert!(floor_of(&below) > floor_of(&name), "{name} depends on {below}, which is not below it");
        }
        seen.insert(name);
    }
    let drawn: BTreeSet<String> =
        FLOORS.iter().flat_map(|floor| floor.iter().map(|n| (*n).to_owned())).collect();
    assert_eq!(seen, drawn, "ARCHITECTURE.md and crates/ name different crates");
}

#[test]
fn an_arrow_that_points_up_would_be_seen() {
    assert_eq!(
        dependencies("[dependencies]\ncreel-cli.workspace = true\n[dev-dependencies]\ncreel-net = {}\n"),
        ["cli".to_owned()].into()
    );
    assert!(floor_of("cli") < floor_of("types"));
}

#[test]
fn unsafe_stands_in_kernel_alone() {
    for entry in fs::read_dir(crates_dir()).unwrap() {
        let dir = entry.unwrap().path();
        if dir.ends_with("kernel") {
            continue;
        }
        for file in sources(&dir.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("allow(unsafe_code)"), "{} allows unsafe", file.display());
        }
    }
}

#[test]
fn the_dial_is_called_at_one_place() {
    let mut callers = BTreeSet::new();
    for name in ["proxy", "inference", "sandbox", "cli", "audit", "jail"] {
        for file in sources(&crates_dir().join(name).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            if text.lines().any(|line| {
                line.contains("dial(")
                    && !line.trim_start().starts_with("//")
                    && !line.contains("fn ")
                    && line.contains("net::dial(")
            }) {
                callers.insert(file.strip_prefix(crates_dir()).unwrap().to_owned());
            }
        }
    }
    assert!(callers.len() <= 1, "the dial is called in {callers:?}");
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

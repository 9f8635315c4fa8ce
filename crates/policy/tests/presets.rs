//! Every preset compiles, alone and with all others.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::presets;
use support::policy;

#[test]
fn every_preset_compiles_alone() {
    for name in presets() {
        policy(&format!("version: 1\ninclude: [\"preset:{name}\"]\n"));
    }
}

#[test]
fn all_presets_compile_together() {
    let all: Vec<String> = presets().map(|name| format!("\"preset:{name}\"")).collect();
    policy(&format!("version: 1\ninclude: [{}]\n", all.join(", ")));
}

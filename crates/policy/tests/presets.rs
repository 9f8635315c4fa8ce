//! Every preset compiles, alone and with the others; of those that name a model backend, one at a time.
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
fn presets_compile_together_with_one_backend_among_them() {
    for routed in ["anthropic-routed", "openai-routed"] {
        let chosen = presets().filter(|name| !name.ends_with("-routed") || *name == routed);
        let all: Vec<String> = chosen.map(|name| format!("\"preset:{name}\"")).collect();
        policy(&format!("version: 1\ninclude: [{}]\n", all.join(", ")));
    }
}

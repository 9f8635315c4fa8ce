//! Policies that come with Creel, for `include: [preset:NAME]`.

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../presets/", $name, ".yaml")))),*]
    };
}

const PRESETS: [(&str, &str); 10] = presets![
    "base",
    "github-read",
    "npm",
    "pypi",
    "crates",
    "debian",
    "anthropic",
    "openai",
    "anthropic-routed",
    "openai-routed",
];

/// The text of the preset of this name.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all presets.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

//! Policies that come with Creel, for `include: [preset:NAME]`.

const PRESETS: [(&str, &str); 0] = [];

/// The text of the preset of this name.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all presets.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

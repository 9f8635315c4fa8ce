//! Policy documents, by the names that people give them on the command line.

use crate::failure::Failure;
use creel_api::control::Document;
use std::path::Path;

/// Reads each `FILE` or `preset:NAME`.
pub fn read(names: &[String]) -> Result<Vec<Document>, Failure> {
    names.iter().map(|name| read_one(name)).collect()
}

fn read_one(name: &str) -> Result<Document, Failure> {
    if let Some(preset) = name.strip_prefix("preset:") {
        let text = creel_policy::preset(preset).ok_or_else(|| {
            Failure::new(format!("there is no preset `{preset}`")).hint("`creel policy presets` lists them")
        })?;
        return Ok(Document { name: name.to_owned(), text: text.to_owned(), base: "/".into() });
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read policy {name}: {error}")))?;
    let full = std::path::absolute(path)?;
    let base = full.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Document { name: name.to_owned(), text, base })
}

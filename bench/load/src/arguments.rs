//! `--name value` pairs; a name that is given twice has both values.

use crate::Failure;

/// What follows the verb.
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Reads all pairs.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("`{word}` is not an option"))?;
            let value = words.next().ok_or_else(|| format!("`{word}` has no value"))?;
            pairs.push((name.to_owned(), value));
        }
        Ok(Self(pairs))
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The last value of `name`.
    pub fn maybe(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name`, which must be there.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.maybe(name).ok_or_else(|| format!("--{name} is needed").into())
    }

    /// The number `name`, or `otherwise`.
    pub fn number(&self, name: &str, otherwise: usize) -> Result<usize, Failure> {
        self.maybe(name).map_or(Ok(otherwise), |text| {
            text.parse().map_err(|_| format!("--{name}: `{text}` is not a whole number").into())
        })
    }

    /// The number of seconds `name`, which may be a fraction.
    pub fn seconds(&self, name: &str, otherwise: f64) -> Result<std::time::Duration, Failure> {
        let text = self.maybe(name).map_or(Ok(otherwise), str::parse);
        let seconds = text.map_err(|_| format!("--{name} is not a number of seconds"))?;
        Ok(std::time::Duration::try_from_secs_f64(seconds)?)
    }
}

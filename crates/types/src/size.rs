//! Amounts of bytes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes. Written with a binary unit (`4GiB`, `512MiB`, `64KiB`) or as plain bytes (`4096`, `4096B`).
///
/// Decimal units (`GB`) are refused: people mean either, so they say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// Not a number followed by a unit.
    NotASize,
    /// A decimal or one-letter unit, with the binary one that was probably meant.
    AmbiguousUnit(&'static str),
    /// More than 2^64 - 1 bytes.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASize => f.write_str("not a size: write a whole number and a unit, as in 4GiB"),
            Self::AmbiguousUnit(meant) => write!(f, "not a binary unit: write {meant}"),
            Self::TooLarge => f.write_str("more bytes than 64 bits count"),
        }
    }
}

impl std::error::Error for SizeError {}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::NotASize);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let factor = match unit.trim_start() {
            "" | "B" => 1,
            unit => factor_of(unit)?,
        };
        number.checked_mul(factor).map(Self).ok_or(SizeError::TooLarge)
    }
}

fn factor_of(unit: &str) -> Result<u64, SizeError> {
    for (name, factor) in UNITS {
        if unit == name {
            return Ok(factor);
        }
        let letter = &name[..1];
        if unit.get(..1).is_some_and(|first| first.eq_ignore_ascii_case(letter)) && unit.len() <= 3 {
            return Err(SizeError::AmbiguousUnit(name));
        }
    }
    Err(SizeError::NotASize)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_and_say_so() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("1KiB", 1024), ("4GiB", 4 << 30), ("2 MiB", 2 << 20)]
        {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
        for (text, why) in [
            ("", SizeError::NotASize),
            ("GiB", SizeError::NotASize),
            ("1.5GiB", SizeError::NotASize),
            ("-1", SizeError::NotASize),
            ("4GB", SizeError::AmbiguousUnit("GiB")),
            ("4g", SizeError::AmbiguousUnit("GiB")),
            ("99999999999TiB", SizeError::TooLarge),
        ] {
            assert_eq!(text.parse::<Size>(), Err(why), "{text}");
        }
        assert_eq!(Size(4 << 30).to_string(), "4GiB");
        assert_eq!(Size(1025).to_string(), "1025B");
    }
}

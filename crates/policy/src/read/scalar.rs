//! Numbers, sizes and times.

use crate::shape::Shape;
use creel_types::Size;
use std::time::Duration;

/// Whether the text is what the shape wants, and if not, what to write instead where that is known.
pub(crate) fn check(text: &str, kind: &str, shape: &Shape) -> Result<(), Option<String>> {
    let is_number = kind == "a number";
    match shape {
        Shape::Version if is_number && text == "1" => Ok(()),
        Shape::Version => Err(Some("this version of Creel reads `version: 1`".to_owned())),
        Shape::Flag if kind == "a truth value" && matches!(text, "true" | "false") => Ok(()),
        Shape::Count if is_number && count(text).is_some() => Ok(()),
        Shape::Number if is_number => millis(text).map(drop).ok_or(None),
        Shape::Count | Shape::Number if kind == "text" && millis(text).is_some() => {
            Err(Some("leave out the quotes".to_owned()))
        }
        Shape::SizeOrNone => size_or_none(text).map(drop).map_err(Some),
        Shape::Size => size(text).map(drop).map_err(Some),
        Shape::Time => time(text).map(drop).map_err(Some),
        _ => Err(None),
    }
}

/// A whole number from 1.
pub(super) fn count(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|n| *n > 0)
}

/// A whole number from 0, written without leading zeros.
pub(crate) fn index(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Thousandths of a decimal number above 0 with at most three places.
pub(super) fn millis(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 6 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    Some(whole.parse::<u64>().ok()? * 1000 + part).filter(|n| *n > 0)
}

/// A size above 0; else a hint.
pub(super) fn size(text: &str) -> Result<Size, String> {
    match size_or_none(text) {
        Ok(Size(0)) => Err("it must be above 0".to_owned()),
        other => other,
    }
}

/// A size; else a hint.
pub(super) fn size_or_none(text: &str) -> Result<Size, String> {
    text.parse::<Size>().map_err(|error| error.to_string())
}

/// A time above 0, as in `8h` or `1d12h`; else a hint.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let usual = || "write whole numbers with d, h, m or s, the largest first, as in 1h30m".to_owned();
    if count(text).is_some() {
        return Err(format!("write the unit, as in {text}s"));
    }
    let (mut seconds, mut rest, mut units) = (0_u64, text, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0).ok_or_else(usual)?;
        let (number, after) = rest.split_at(digits);
        let unit =
            after.chars().next().and_then(|c| units.iter().position(|(u, _)| *u == c)).ok_or_else(usual)?;
        let amount = number.parse::<u64>().ok().and_then(|n| n.checked_mul(units[unit].1));
        seconds = amount.and_then(|a| seconds.checked_add(a)).ok_or("it is too long")?;
        (rest, units) = (&after[1..], &units[unit + 1..]);
    }
    match seconds {
        0 if text.is_empty() => Err(usual()),
        0 => Err("it must be above 0".to_owned()),
        seconds if seconds > 1000 * 365 * 86_400 => Err("it is too long".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_in_order() {
        for (text, seconds) in [("8h", 28_800), ("1h30m", 5_400), ("90s", 90), ("1d", 86_400)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "8", "h", "0s", "30m1h", "1h1h", "1.5h", "-1s", "1ms", "99999999999999999999s", "1 h"]
        {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn decimals_have_at_most_three_places() {
        for (text, want) in [
            ("2", Some(2000)),
            ("1.5", Some(1500)),
            ("0.001", Some(1)),
            ("0", None),
            ("1.0001", None),
            ("1e3", None),
        ] {
            assert_eq!(millis(text), want, "{text}");
        }
    }
}

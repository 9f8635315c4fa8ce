//! Paths of any bytes as text that is the same for the same bytes: what is no plain UTF-8 is written `%NN`, and so is
//! `%` itself. For Creel's own notes on disk, where a path must come back exactly.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The text of a path.
pub(crate) fn spell(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

fn escape(text: &mut String, byte: u8) {
    // Writing to a String does not fail.
    let _ = write!(text, "%{byte:02X}");
}

/// The path of a text; nothing when an escape is none.
pub(crate) fn read(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// For `#[serde(with)]`: writes a path.
pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&spell(path))
}

/// For `#[serde(with)]`: reads one.
pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).ok_or_else(|| D::Error::custom("a path with a broken escape"))
}

/// A name as people may see it: what could drive a terminal or reorder a line is escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\t' && (c.is_control() || reorders(c)) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32); // a String takes everything
        } else {
            out.push(c);
        }
    }
    out
}

/// Marks that change the direction of text, or are not seen at all.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_path_comes_back_as_it_was(bytes in proptest::collection::vec(1u8..=255, 0..64)) {
            let path = PathBuf::from(OsString::from_vec(bytes));
            prop_assert_eq!(read(&spell(&path)), Some(path));
        }

        #[test]
        fn nothing_that_is_shown_drives_a_terminal(text in ".*") {
            let drives = shown(&text).contains(['\x1b', '\u{202e}', '\r', '\n']);
            prop_assert!(!drives);
        }
    }

    #[test]
    fn a_broken_escape_is_no_path() {
        for text in ["%", "%4", "%zz"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

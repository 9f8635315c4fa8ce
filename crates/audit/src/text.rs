//! Values as text: how digests, times and names of any bytes are written in a line.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// The longest text taken over from an agent, in bytes; the rest is dropped and the text ends in `…`.
pub(crate) const MAX_TEXT: usize = 4096;

/// A path as text, see [`of_os`].
pub fn of_path(path: &Path) -> String {
    of_os(path.as_os_str())
}

/// Text for a name of any bytes: what is not UTF-8 is written `\xNN`, so that different names stay different, and
/// what is longer than 4 KiB is cut. A name that no line can hold must not stop the record.
pub fn of_os(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    clipped(text, MAX_TEXT)
}

/// `text`, cut to at most `max` bytes and marked when it was.
pub(crate) fn clipped(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that lower-case hexadecimal digits stand for.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A digest as 64 hexadecimal digits.
pub(crate) mod digest {
    use creel_types::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(digest.digits().as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        String::deserialize(from)?.parse().map_err(Error::custom)
    }
}

/// A digest as 64 hexadecimal digits, or null.
pub(crate) mod digest_option {
    use creel_types::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(digest: &Option<Digest>, to: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => to.serialize_str(digest.digits().as_str()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Digest>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse()).transpose().map_err(Error::custom)
    }
}

/// A duration as whole microseconds.
pub(crate) mod micros {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(super::whole_micros(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

/// A duration as whole microseconds, or null.
pub(crate) mod micros_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(super::whole_micros).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_micros))
    }
}

/// Whole microseconds; what does not fit (half a million years) is the largest that does.
pub(crate) fn whole_micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_that_are_not_text_stay_different() {
        assert_eq!(of_os(OsStr::from_bytes(b"/bin/\xff\xfea")), "/bin/\\xff\\xfea");
        assert_ne!(of_os(OsStr::from_bytes(b"\xff")), of_os(OsStr::from_bytes(b"\xfe")));
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_and_says_so() {
        let cut = of_os(OsStr::new(&"é".repeat(5000)));
        assert!(cut.len() <= MAX_TEXT + '…'.len_utf8() && cut.ends_with("é…"));
    }

    #[test]
    fn hexadecimal_goes_both_ways_and_takes_one_spelling_only() {
        assert_eq!(unhex::<3>(&hex(&[0, 0xab, 0xff])), Some([0, 0xab, 0xff]));
        for bad in ["00ABff", "00abf", "00abfff", "00abg0", "+0abff"] {
            assert_eq!(unhex::<3>(bad), None, "{bad}");
        }
    }
}

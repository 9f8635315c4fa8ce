//! The ways in which one text may be written into a request.

/// The text as it is, percent-encoded as in a query or form (both cases of digits), and escaped as in JSON. Two texts
/// that differ in letters and digits only have spellings of one length, in one order.
pub(super) fn spellings(text: &str) -> [String; 4] {
    [text.to_owned(), percent(text, b"0123456789ABCDEF"), percent(text, b"0123456789abcdef"), json(text)]
}

fn percent(text: &str, digits: &[u8; 16]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(digits[usize::from(nibble & 15)]);
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

fn json(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_spelled_as_it_is_for_urls_and_for_json() {
        assert_eq!(spellings("a+b/\"\\"), ["a+b/\"\\", "a%2Bb%2F%22%5C", "a%2bb%2f%22%5c", "a+b/\\\"\\\\"]);
        assert_eq!(spellings("ghp_a-b.c~"), ["ghp_a-b.c~"; 4]);
    }
}

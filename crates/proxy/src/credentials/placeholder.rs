//! What the agent holds instead of a secret: of the same length and shape, so that software that checks the form of its
//! keys takes it, and drawn anew, so that it says nothing about the secret.
//!
//! Letters become other letters of the same case, digits other digits, and the rest stays. The well-known beginning of a
//! key stays too; of a JSON Web Token (RFC 7519) the head and the claims stay, which programs read, and the signature,
//! without which they are worth nothing, does not.

use creel_types::KEY_BEGINNINGS;

/// The longest secret.
const LONGEST: usize = 16 * 1024;
/// With fewer letters and digits drawn, a placeholder could stand somewhere by chance.
const FEWEST_DRAWN: usize = 12;

/// A secret that cannot be used as a credential. Says nothing of the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It could not be told from other text.
    #[error("it has fewer than {FEWEST_DRAWN} letters and digits behind its known beginning")]
    Short,
    /// It is not a key.
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    /// It cannot be put into a header.
    #[error("it is not one line of printable ASCII without blanks around it")]
    Unprintable,
}

/// A placeholder for `secret`, from `draw`, which gives random bytes.
///
/// # Errors
/// A secret that no placeholder can stand for.
pub fn placeholder(secret: &[u8], mut draw: impl FnMut() -> u8) -> Result<String, Unfit> {
    if secret.len() > LONGEST {
        return Err(Unfit::Long);
    }
    let text = str::from_utf8(secret).map_err(|_| Unfit::Unprintable)?;
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !printable || text.trim() != text {
        return Err(Unfit::Unprintable);
    }
    let (kept, rest) = text.split_at(kept(text));
    if rest.bytes().filter(u8::is_ascii_alphanumeric).count() < FEWEST_DRAWN {
        return Err(Unfit::Short);
    }
    let drawn: String = rest.chars().map(|c| other(c, &mut draw)).collect();
    Ok(format!("{kept}{drawn}"))
}

/// Whether `placeholder` may go on standing for `secret`, when the secret was exchanged.
pub fn fits(placeholder: &str, secret: &[u8]) -> bool {
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' => b'a',
        b'A'..=b'Z' => b'A',
        other => other,
    };
    placeholder.len() == secret.len()
        && placeholder
            .bytes()
            .zip(secret)
            .all(|(a, b)| kind(a) == kind(*b) || (a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric()))
}

/// How much of the beginning stays.
fn kept(text: &str) -> usize {
    if text.starts_with("eyJ") && text.matches('.').count() == 2 {
        return text.rfind('.').unwrap_or(0) + 1;
    }
    KEY_BEGINNINGS
        .iter()
        .filter(|known| text.starts_with(**known))
        .map(|known| known.len())
        .max()
        .unwrap_or(0)
}

/// Another character of the same kind.
fn other(c: char, draw: &mut impl FnMut() -> u8) -> char {
    let mut of = |first: u8, many: u8| {
        // Bytes above the last whole range are drawn again, so that each is as likely as any other.
        let limit = u8::MAX - u8::MAX % many;
        loop {
            let byte = draw();
            if byte < limit {
                return char::from(first + byte % many);
            }
        }
    };
    match c {
        '0'..='9' => of(b'0', 10),
        'a'..='z' => of(b'a', 26),
        'A'..='Z' => of(b'A', 26),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(secret: &str) -> Result<String, Unfit> {
        let mut next = 0_u8;
        placeholder(secret.as_bytes(), || {
            next = next.wrapping_mul(181).wrapping_add(59);
            next
        })
    }

    fn shape(text: &str) -> String {
        let kind = |c: char| match c {
            '0'..='9' => '0',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            other => other,
        };
        text.chars().map(kind).collect()
    }

    #[test]
    fn a_placeholder_has_the_shape_and_beginning_of_the_secret_and_nothing_else_of_it() {
        for (secret, kept) in [
            ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_"),
            ("sk-ant-api03-abcDEF0123456789_-xyzXYZ", "sk-ant-api03-"),
            ("sk-abcdefghijklmnop", "sk-"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""),
            ("user:correct horse battery", ""),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlc2ln",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.",
            ),
        ] {
            let made = made(secret).unwrap();
            assert_eq!(shape(&made), shape(secret));
            assert!(made.starts_with(kept), "{made}");
            let (drawn, hidden) = (&made[kept.len()..], &secret[kept.len()..]);
            let same = drawn
                .chars()
                .zip(hidden.chars())
                .filter(|(a, b)| a == b && a.is_ascii_alphanumeric())
                .count();
            assert!(same * 4 < drawn.len(), "{made} for {secret}");
            assert!(fits(&made, secret.as_bytes()));
        }
    }

    #[test]
    fn what_cannot_be_told_from_other_text_or_sent_is_no_credential() {
        for (secret, why) in [
            ("", Unfit::Short),
            ("hunter2", Unfit::Short),
            ("ghp_abc", Unfit::Short),
            ("-----/////+++++=====", Unfit::Short),
            ("abcdefghijklmnop\n", Unfit::Unprintable),
            (" abcdefghijklmnop", Unfit::Unprintable),
            ("abcdefghijklmnöp", Unfit::Unprintable),
        ] {
            assert_eq!(made(secret), Err(why), "{secret:?}");
        }
        assert_eq!(made(&"a".repeat(LONGEST + 1)), Err(Unfit::Long));
    }

    #[test]
    fn a_placeholder_goes_on_standing_for_what_has_its_length_and_its_signs() {
        for (secret, fits_it) in [
            ("ghp_zzzzzzzzzzzzzzzz", true),
            ("ghp_ZZZZ0000zzzz1111", true),
            ("ghp_zzzzzzzzzzzzzzz", false),
            ("ghp_zzzzzzzz+zzzzzzz", false),
        ] {
            assert_eq!(fits("ghp_abcdefghijklmnop", secret.as_bytes()), fits_it, "{secret}");
        }
    }
}

//! Names and values: `*` is any run of characters, everything else is itself.

/// A compiled name pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// Before the first `*`; the whole pattern when there is none.
    prefix: Box<str>,
    /// Between one `*` and the next, in order.
    middle: Box<[Box<str>]>,
    /// After the last `*`; `None` when there is no `*`.
    suffix: Option<Box<str>>,
}

impl NamePattern {
    /// Compiles `text`; every text is a pattern.
    pub fn new(text: &str) -> Self {
        let mut pieces = text.split('*');
        let prefix = pieces.next().unwrap_or_default().into();
        let mut middle: Vec<Box<str>> = pieces.map(Into::into).collect();
        let suffix = middle.pop();
        middle.retain(|piece| !piece.is_empty());
        Self { prefix, middle: middle.into(), suffix }
    }

    /// Whether the whole of `text` is what the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        let Some(suffix) = &self.suffix else { return *text == *self.prefix };
        let Some(rest) = text.strip_prefix(&*self.prefix) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**suffix) else { return false };
        // The leftmost place for each piece leaves the most room for the next, so no choice is ever taken back.
        for piece in &self.middle {
            match rest.find(&**piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }

    /// Whether the pattern is exactly this text, with no `*` in it.
    pub fn literal(&self) -> Option<&str> {
        self.suffix.is_none().then_some(&*self.prefix)
    }

    /// The pattern letter by letter.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let bytes = |piece: &str| piece.bytes().map(Token::Byte).collect::<Vec<_>>();
        let mut tokens = bytes(&self.prefix);
        let Some(suffix) = &self.suffix else { return tokens };
        for piece in self.middle.iter().chain([suffix]) {
            tokens.push(Token::Star);
            tokens.extend(bytes(piece));
        }
        tokens
    }

    /// How many characters it fixes; the pattern that fixes more is the more specific.
    pub fn weight(&self) -> usize {
        let middle: usize = self.middle.iter().map(|p| p.len()).sum();
        self.prefix.len() + middle + self.suffix.as_ref().map_or(0, |s| s.len())
    }

    /// Whether some text could match both. Errs on the side of `true`: only clear contradictions are `false`.
    pub(super) fn may_overlap(&self, other: &Self) -> bool {
        match (self.literal(), other.literal()) {
            (Some(a), _) => other.matches(a),
            (_, Some(b)) => self.matches(b),
            _ => {
                let ends = |p: &Self| p.suffix.clone().unwrap_or_default();
                let (a, b) = (ends(self), ends(other));
                let heads =
                    self.prefix.starts_with(&*other.prefix) || other.prefix.starts_with(&*self.prefix);
                heads && (a.ends_with(&*b) || b.ends_with(&*a))
            }
        }
    }
}

/// One letter of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    /// This byte.
    Byte(u8),
    /// Any one byte.
    Any,
    /// Any run of bytes.
    Star,
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.prefix)?;
        let Some(suffix) = &self.suffix else { return Ok(()) };
        self.middle.iter().try_for_each(|piece| write!(f, "*{piece}"))?;
        write!(f, "*{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, want: bool) {
        assert_eq!(NamePattern::new(pattern).matches(text), want, "{pattern} against {text}");
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, yes, no) in [
            ("read_*", "read_file", "xread_file"),
            ("*", "", "\0never"),
            ("admin.*", "admin.users.delete", "admin"),
            ("a*b*c", "abc", "acb"),
            ("a*a", "aa", "a"),
            ("*.key", "id.key", "key"),
            ("ab*bc", "abbc", "abc"),
            ("search", "search", "searches"),
        ] {
            check(pattern, yes, true);
            check(pattern, no, pattern == "*");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = NamePattern::new(&"*a".repeat(1000));
        assert!(!pattern.matches(&"a".repeat(999)));
        assert!(pattern.matches(&"a".repeat(1001)));
    }
}

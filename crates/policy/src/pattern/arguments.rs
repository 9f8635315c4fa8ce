//! The arguments of a program: `*` is any run of characters within one argument, `**` any number of arguments.

use super::{NamePattern, PatternError};

/// A compiled pattern over the arguments that follow a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArgumentPattern(Box<[Word]>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Word {
    /// `**`: any number of arguments, also none.
    Any,
    /// One argument of this form.
    Like(NamePattern),
}

const LIMIT: usize = 64;

impl ArgumentPattern {
    /// Compiles words that are separated by blanks.
    ///
    /// # Errors
    /// `**` joined to other characters, and more words than any rule needs.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let words = text.split_ascii_whitespace().map(word).collect::<Result<Vec<_>, _>>()?;
        if words.len() > LIMIT {
            return Err(PatternError::new(format!("more than {LIMIT} arguments in a pattern")));
        }
        Ok(Self(words.into()))
    }

    /// Its words; `None` is `**`.
    pub(crate) fn words(&self) -> impl Iterator<Item = Option<&NamePattern>> {
        self.0.iter().map(|word| match word {
            Word::Any => None,
            Word::Like(name) => Some(name),
        })
    }

    /// Whether the whole list of arguments is what the pattern says.
    pub fn matches<T: AsRef<str>>(&self, arguments: &[T]) -> bool {
        let (mut word, mut argument) = (0, 0);
        // After a `**`: the words from there, and the first argument that it has not yet swallowed.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(word), arguments.get(argument)) {
                (Some(Word::Any), _) => {
                    word += 1;
                    retry = Some((word, argument));
                    continue;
                }
                (Some(Word::Like(name)), Some(text)) if name.matches(text.as_ref()) => {
                    (word, argument) = (word + 1, argument + 1);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            match retry {
                Some((from, next)) if next < arguments.len() => {
                    (word, argument, retry) = (from, next + 1, Some((from, next + 1)));
                }
                _ => return false,
            }
        }
    }
}

fn word(text: &str) -> Result<Word, PatternError> {
    match text {
        "**" => Ok(Word::Any),
        joined if joined.contains("**") => {
            Err(PatternError::new(format!("`**` stands for whole arguments, not inside one: `{joined}`"))
                .hint("write `*` within an argument, or ` **` for any number of arguments"))
        }
        other => Ok(Word::Like(NamePattern::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_what_the_dialect_says() {
        for (pattern, yes, no) in [
            (
                "push **",
                &[&["push"][..], &["push", "a", "b"]][..],
                &[&["pull"][..], &[], &["-C", "push"]][..],
            ),
            ("** push **", &[&["push"], &["-C", "x", "push", "y"]], &[&["pull"], &[]]),
            ("*", &[&["x"], &[""]], &[&[], &["x", "y"]]),
            ("--exec=*", &[&["--exec=a b"]], &[&["--exec", "a"]]),
            ("** a ** b", &[&["a", "b"], &["x", "a", "a", "y", "b"]], &[&["b", "a"], &["a", "b", "c"]]),
        ] {
            let compiled = ArgumentPattern::new(pattern).unwrap();
            yes.iter().for_each(|a| assert!(compiled.matches(a), "{pattern} should match {a:?}"));
            no.iter().for_each(|a| assert!(!compiled.matches(a), "{pattern} should not match {a:?}"));
        }
        assert!(ArgumentPattern::new("a** b").is_err());
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = ArgumentPattern::new(&"** a ".repeat(32)).unwrap();
        assert!(!pattern.matches(&["a"; 31]));
        assert!(!pattern.matches(&["b"; 20_000]));
    }
}

//! Patterns over paths and texts, read byte by byte, all of a set at once.

use crate::pattern::{NamePattern, PathPattern, SegmentShape, Token};

/// Where in one pattern a reader can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum State {
    /// Before segment `item`, at the end of what was read.
    Between { pattern: u32, item: u16 },
    /// In a segment that `**` takes.
    Deep { pattern: u32, item: u16 },
    /// In the segment of `item`, before its token `token`.
    Within { pattern: u32, item: u16, token: u16 },
}

/// What was read so far, for all patterns; sorted.
pub(super) type States = Vec<State>;

/// Patterns over paths.
pub(super) struct Paths(Vec<Vec<Option<Vec<Token>>>>);

impl Paths {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Self {
        Self(patterns.map(items).collect())
    }

    /// Paths themselves, as their segments, and then patterns.
    pub(super) fn with_literals<'a>(
        paths: impl Iterator<Item = Vec<Vec<u8>>>,
        patterns: impl Iterator<Item = &'a PathPattern>,
    ) -> Self {
        let literal = |segment: Vec<u8>| Some(segment.into_iter().map(Token::Byte).collect());
        let paths = paths.map(|path| path.into_iter().map(literal).collect());
        Self(paths.chain(patterns.map(items)).collect())
    }

    pub(super) fn start(&self) -> States {
        (0..).zip(&self.0).map(|(pattern, _)| State::Between { pattern, item: 0 }).collect()
    }

    /// Which patterns take all of what was read.
    pub(super) fn accepted(&self, states: &[State]) -> Vec<u32> {
        let ends = self.between(states).into_iter();
        let whole = ends.filter(|(pattern, item)| usize::from(*item) == self.0[*pattern as usize].len());
        let mut found: Vec<u32> = whole.map(|(pattern, _)| pattern).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    pub(super) fn step(&self, states: &[State], byte: u8) -> States {
        let mut next = Vec::new();
        if byte == b'/' {
            for (pattern, item) in self.between(states) {
                match self.0[pattern as usize].get(usize::from(item)) {
                    None => {}
                    Some(None) => next.push(State::Deep { pattern, item }),
                    Some(Some(_)) => next.push(State::Within { pattern, item, token: 0 }),
                }
            }
        } else {
            for state in states {
                match *state {
                    State::Between { .. } => {}
                    deep @ State::Deep { .. } => next.push(deep),
                    State::Within { pattern, item, token } => {
                        let tokens = self.tokens(pattern, item);
                        advance(tokens, token, byte, |token| {
                            next.push(State::Within { pattern, item, token })
                        });
                    }
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        next
    }

    /// Every state there is, to tell letters apart by what they do to each.
    pub(super) fn every(&self) -> States {
        let mut all = self.start();
        for (pattern, items) in (0..).zip(&self.0) {
            for (item, tokens) in (0..).zip(items) {
                all.push(State::Between { pattern, item: item + 1 });
                match tokens {
                    None => all.push(State::Deep { pattern, item }),
                    Some(tokens) => {
                        let last = u16::try_from(tokens.len()).unwrap_or(u16::MAX);
                        all.extend((0..=last).map(|token| State::Within { pattern, item, token }));
                    }
                }
            }
        }
        all
    }

    /// The bytes that some pattern names.
    pub(super) fn named(&self) -> Vec<u8> {
        let tokens = self.0.iter().flatten().flatten().flatten();
        let bytes = tokens.filter_map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None });
        let mut bytes: Vec<u8> = bytes.collect();
        bytes.sort_unstable();
        bytes.dedup();
        bytes
    }

    fn tokens(&self, pattern: u32, item: u16) -> &[Token] {
        self.0[pattern as usize].get(usize::from(item)).and_then(Option::as_deref).unwrap_or_default()
    }

    /// The segments that can come next when a segment ends here.
    fn between(&self, states: &[State]) -> Vec<(u32, u16)> {
        let mut found = Vec::new();
        for state in states {
            let (pattern, mut item) = match *state {
                State::Between { pattern, item } | State::Deep { pattern, item } => (pattern, item),
                State::Within { pattern, item, token } => {
                    let rest = &self.tokens(pattern, item)[usize::from(token)..];
                    if !rest.iter().all(|token| *token == Token::Star) {
                        continue;
                    }
                    (pattern, item + 1)
                }
            };
            found.push((pattern, item));
            while let Some(None) = self.0[pattern as usize].get(usize::from(item)) {
                item += 1;
                found.push((pattern, item));
            }
        }
        found
    }
}

fn items(pattern: &PathPattern) -> Vec<Option<Vec<Token>>> {
    let item = |segment: SegmentShape<'_>| match segment {
        SegmentShape::Deep => None,
        SegmentShape::One => Some(vec![Token::Any, Token::Star]),
        SegmentShape::Like(name) => Some(name.tokens()),
    };
    pattern.segments().map(item).collect()
}

/// Where one byte leads within a segment or text.
fn advance(tokens: &[Token], from: u16, byte: u8, mut to: impl FnMut(u16)) {
    for at in from.. {
        match tokens.get(usize::from(at)) {
            Some(Token::Star) => to(at),
            Some(Token::Any) => return to(at + 1),
            Some(Token::Byte(wanted)) if *wanted == byte => return to(at + 1),
            _ => return,
        }
    }
}

/// Patterns over texts that have no segments.
pub(super) struct Texts(Vec<Vec<Token>>);

impl Texts {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a NamePattern>) -> Self {
        Self(patterns.map(NamePattern::tokens).collect())
    }

    pub(super) fn start(&self) -> Vec<(u32, u16)> {
        (0..).zip(&self.0).map(|(pattern, _)| (pattern, 0)).collect()
    }

    pub(super) fn accepted(&self, states: &[(u32, u16)]) -> Vec<u32> {
        let ends = states.iter().filter(|(pattern, token)| {
            self.0[*pattern as usize][usize::from(*token)..].iter().all(|token| *token == Token::Star)
        });
        let mut found: Vec<u32> = ends.map(|(pattern, _)| *pattern).collect();
        found.dedup();
        found
    }

    pub(super) fn step(&self, states: &[(u32, u16)], byte: u8) -> Vec<(u32, u16)> {
        let mut next = Vec::new();
        for (pattern, token) in states {
            advance(&self.0[*pattern as usize], *token, byte, |token| next.push((*pattern, token)));
        }
        next.sort_unstable();
        next.dedup();
        next
    }
}

//! Request paths in canonical form, as an allow compares them and as a deny does.

use super::TooLarge;
use super::explore::explore;
use super::nfa::{Paths, States};
use crate::canonical::{self, CanonicalPath};
use crate::pattern::HttpPattern;
use std::collections::{BTreeMap, BTreeSet};

/// One method of each class that the patterns tell apart.
pub(crate) fn methods<'a>(patterns: impl Iterator<Item = &'a HttpPattern>) -> Vec<String> {
    let named: BTreeSet<&str> =
        patterns.flat_map(|p| p.methods().unwrap_or_default()).map(|m| &**m).collect();
    // `GET` covers `HEAD`. First what people know, last what nobody names.
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD"].into_iter();
    let mut all: Vec<String> = known.map(str::to_owned).collect();
    all.extend(
        named.iter().map(|method| (*method).to_owned()).filter(|m| !all.contains(m)).collect::<Vec<_>>(),
    );
    let other = (0..).map(|n: u32| format!("X{n}")).find(|m| !named.contains(m.as_str()));
    all.extend(other);
    all
}

/// One path of each class that the patterns tell apart, whether they allow or deny.
pub(crate) fn paths<'a>(
    patterns: impl Iterator<Item = &'a HttpPattern> + Clone,
) -> Result<Vec<CanonicalPath>, TooLarge> {
    let exact = Paths::new(patterns.clone().map(HttpPattern::exact));
    let folded = Paths::new(patterns.map(HttpPattern::folded));
    let both = Both { exact, folded };
    let letters = both.letters();
    let found = explore(
        both.start(),
        |_| letters.clone(),
        |state, letter| both.step(state, letter),
        |state| both.sign(state),
    )?;
    let text = |word: Vec<Letter>| word.iter().map(Letter::text).collect::<String>();
    Ok(found.into_iter().filter_map(|(_, word)| canonical::path(&text(word)).ok()).collect())
}

/// One byte of a path, as itself or as an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Letter {
    byte: u8,
    escaped: bool,
}

impl Letter {
    fn text(&self) -> String {
        if self.escaped { format!("%{:02X}", self.byte) } else { char::from(self.byte).to_string() }
    }
}

/// What a path that is read so far still may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// The decoded segment up to here, as far as it matters.
    begun: Begun,
    /// Bytes of a character that are still to come, and between which the next one must be.
    rest: (u8, u8, u8),
    /// How much of a second escape stands here: a `%` that was escaped, and hexadecimal digits.
    percent: u8,
    /// In `;params`, which a deny does not see.
    params: bool,
    /// A slash that a deny sees only if more comes.
    slash: bool,
    /// Whether anything was read at all.
    any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Begun {
    Empty,
    Dot,
    Dots,
    More,
}

type Reading = (Shape, States, States);

struct Both {
    exact: Paths,
    folded: Paths,
}

impl Both {
    fn start(&self) -> Reading {
        let shape = Shape {
            begun: Begun::More,
            rest: (0, 0, 0),
            percent: 0,
            params: false,
            slash: false,
            any: false,
        };
        (shape, self.exact.start(), self.folded.start())
    }

    /// Every letter, one of each kind that neither the patterns nor the canonical form can tell apart.
    fn letters(&self) -> Vec<Letter> {
        let raw =
            (0x21..0x7f_u8).filter(|b| is_raw(*b) || *b == b'/').map(|byte| Letter { byte, escaped: false });
        let escapes = (0x20..=0xf4_u8).filter(|b| is_escaped(*b)).map(|byte| Letter { byte, escaped: true });
        let mut kinds: BTreeMap<_, Letter> = BTreeMap::new();
        let plain = self.effect(Letter { byte: self.unnamed(), escaped: false });
        let mut high = false;
        for letter in raw.chain(escapes) {
            let effect = self.effect(letter);
            high |= letter.byte >= 0x80 && effect != plain;
            kinds.entry((kind(letter), effect)).or_insert(letter);
        }
        // Where no pattern sees a difference between them and a plain letter, they make no class of their own.
        kinds.into_values().filter(|letter| letter.byte < 0x80 || high).collect()
    }

    /// A plain letter that no pattern names.
    fn unnamed(&self) -> u8 {
        let named: Vec<u8> = self.exact.named().into_iter().chain(self.folded.named()).collect();
        (b'g'..=b'z').rev().find(|byte| !named.contains(byte)).unwrap_or(b'z')
    }

    /// What a letter does to each state that a pattern can be in.
    fn effect(&self, letter: Letter) -> (Vec<States>, Vec<States>) {
        let exact = self.exact.every().iter().map(|state| self.feed_exact(&[*state], letter)).collect();
        let folded =
            self.folded.every().iter().map(|state| self.folded.step(&[*state], fold(letter))).collect();
        (exact, folded)
    }

    fn feed_exact(&self, states: &[super::nfa::State], letter: Letter) -> States {
        letter.text().bytes().fold(states.to_vec(), |states, byte| self.exact.step(&states, byte))
    }

    fn step(&self, (shape, exact, folded): &Reading, letter: &Letter) -> Option<Reading> {
        let next = shape.step(*letter)?;
        let exact = self.feed_exact(exact, *letter);
        let mut folded = folded.clone();
        let (slash, seen) = (*letter == SLASH, !next.params && *letter != SLASH);
        if slash && !shape.any {
            folded = self.folded.step(&folded, b'/');
        } else if seen {
            if shape.slash {
                folded = self.folded.step(&folded, b'/');
            }
            folded = self.folded.step(&folded, fold(*letter));
        }
        Some((next, exact, folded))
    }

    fn sign(&self, (shape, exact, folded): &Reading) -> Option<(Vec<u32>, Vec<u32>)> {
        shape.may_end().then(|| (self.exact.accepted(exact), self.folded.accepted(folded)))
    }
}

const SLASH: Letter = Letter { byte: b'/', escaped: false };

impl Shape {
    fn step(self, letter: Letter) -> Option<Self> {
        if letter == SLASH {
            let whole = self.rest.0 == 0 && (self.begun == Begun::More || !self.any);
            let next =
                Self { begun: Begun::Empty, percent: 0, params: false, slash: self.any, any: true, ..self };
            return whole.then_some(next);
        }
        if !self.any {
            return None;
        }
        let rest = self.character(letter)?;
        let percent = match (self.percent, letter.byte) {
            (_, b'%') => 1,
            (1, byte) if byte.is_ascii_hexdigit() => 2,
            (2, byte) if byte.is_ascii_hexdigit() => return None,
            _ => 0,
        };
        let begun = match (self.begun, letter.byte) {
            (Begun::Empty | Begun::Dot | Begun::Dots, b';') => return None,
            (Begun::Empty, b'.') => Begun::Dot,
            (Begun::Dot, b'.') => Begun::Dots,
            _ => Begun::More,
        };
        let params = self.params || letter == Letter { byte: b';', escaped: false };
        Some(Self { begun, rest, percent, params, slash: false, any: true })
    }

    /// UTF-8 (RFC 3629 §4), for escapes of bytes that are not ASCII.
    fn character(self, letter: Letter) -> Option<(u8, u8, u8)> {
        let (left, low, high) = self.rest;
        if left > 0 {
            let fits = letter.escaped && (low..=high).contains(&letter.byte);
            return fits.then_some(if left == 1 { (0, 0, 0) } else { (left - 1, 0x80, 0xbf) });
        }
        match letter.byte {
            0..=0x7f => Some((0, 0, 0)),
            0xc2..=0xdf => Some((1, 0x80, 0xbf)),
            0xe0 => Some((2, 0xa0, 0xbf)),
            0xed => Some((2, 0x80, 0x9f)),
            0xe1..=0xef => Some((2, 0x80, 0xbf)),
            0xf0 => Some((3, 0x90, 0xbf)),
            0xf1..=0xf3 => Some((3, 0x80, 0xbf)),
            0xf4 => Some((3, 0x80, 0x8f)),
            _ => None,
        }
    }

    fn may_end(self) -> bool {
        self.any && self.rest.0 == 0 && !matches!(self.begun, Begun::Dot | Begun::Dots)
    }
}

/// What a deny sees.
fn fold(letter: Letter) -> u8 {
    letter.byte.to_ascii_lowercase()
}

fn is_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn is_escaped(byte: u8) -> bool {
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !unreserved && !b"/\\\x7f".contains(&byte)
}

/// What the canonical form makes of a letter.
fn kind(letter: Letter) -> (bool, u8) {
    let class = match letter.byte {
        special @ (b'/' | b';' | b'.' | b'%') => special,
        digit if digit.is_ascii_hexdigit() => 1,
        0..=0x7f => 2,
        0x80..=0x8f => 3,
        0x90..=0x9f => 4,
        0xa0..=0xbf => 5,
        0xc0..=0xc1 => 6,
        0xc2..=0xdf => 7,
        0xe0 => 8,
        0xed => 9,
        0xe1..=0xef => 10,
        0xf0 => 11,
        0xf1..=0xf3 => 12,
        0xf4 => 13,
        _ => 14,
    };
    // Only of `;` the canonical form itself makes two things.
    (letter.escaped && matches!(letter.byte, b';'), class)
}

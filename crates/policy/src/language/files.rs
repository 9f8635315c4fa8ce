//! Files, by what two policies let be done with them.

use super::TooLarge;
use super::explore::explore;
use super::nfa::{Paths, States};
use crate::pattern::PathPattern;
use crate::{Access, Filesystem};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A segment of a file's path that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Begun {
    /// Nothing was read yet.
    Nothing,
    Empty,
    Dot,
    Dots,
    More,
}

impl Begun {
    pub(super) fn step(self, letter: char) -> Option<Self> {
        match (self, letter) {
            (Self::Nothing | Self::More, '/') => Some(Self::Empty),
            (_, '/') | (Self::Nothing, _) => None,
            (Self::Empty, '.') => Some(Self::Dot),
            (Self::Dot, '.') => Some(Self::Dots),
            _ => Some(Self::More),
        }
    }
}

/// The letters that the texts name, a slash, and one letter that they do not.
pub(super) fn letters<'a>(texts: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> Vec<char> {
    let mut named: BTreeSet<char> = BTreeSet::from(['/']);
    texts.for_each(|text| named.extend(text.chars().filter(|c| *c != '*')));
    let other = ('a'..='z').rev().chain('\u{e000}'..).find(|c| !named.contains(c));
    named.into_iter().chain(other).collect()
}

pub(super) fn feed(paths: &Paths, states: &States, letter: char) -> States {
    let mut bytes = [0; 4];
    letter.encode_utf8(&mut bytes).bytes().fold(states.clone(), |states, byte| paths.step(&states, byte))
}

type Both = (Option<Access>, Option<Access>);

/// One path of each class that two policies treat differently from others, each with what both let be done.
pub(crate) fn accesses(old: &Filesystem, new: &Filesystem) -> Result<Vec<PathBuf>, TooLarge> {
    let sides = [old, new];
    let grants: Vec<(usize, &Path, Access)> = (0..)
        .zip(sides)
        .flat_map(|(side, files)| files.grants().iter().map(move |g| (side, g.path.as_path(), g.access)))
        .collect();
    let hides: Vec<(usize, &PathPattern)> = (0..)
        .zip(sides)
        .flat_map(|(side, files)| files.hidden().iter().map(move |h| (side, h.pattern())))
        .collect();
    let paths = Paths::with_literals(
        grants.iter().map(|(_, path, _)| segments(path)),
        hides.iter().map(|(_, pattern)| *pattern),
    );
    let texts = grants.iter().map(|(_, path, _)| path.to_string_lossy());
    let letters = letters(texts.chain(hides.iter().map(|(_, pattern)| pattern.to_string().into())));
    // What is said of the path that ends here: of two entries for one place a path beats a pattern.
    let said = |states: &States, above: Both| {
        let accepted = paths.accepted(states);
        let one = |side: usize, above: Option<Access>| {
            let granted = accepted.iter().filter_map(|at| grants.get(*at as usize)).find(|g| g.0 == side);
            let hidden =
                accepted.iter().filter_map(|at| hides.get((*at as usize).checked_sub(grants.len())?));
            match granted {
                Some((_, _, access)) => Some(*access),
                None if hidden.into_iter().any(|h| h.0 == side) => Some(Access::Hide),
                None => above,
            }
        };
        (one(0, above.0), one(1, above.1))
    };
    let found = explore(
        (Begun::Nothing, paths.start(), (None, None)),
        |_| letters.clone(),
        |(begun, states, above), letter| {
            let above = if *letter == '/' && *begun == Begun::More { said(states, *above) } else { *above };
            Some((begun.step(*letter)?, feed(&paths, states, *letter), above))
        },
        |(begun, states, above)| (*begun == Begun::More).then(|| said(states, *above)),
    )?;
    Ok(found.into_iter().map(|(_, word)| word.into_iter().collect::<String>().into()).collect())
}

fn segments(path: &Path) -> Vec<Vec<u8>> {
    let normal = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.as_bytes().to_vec()),
        _ => None,
    };
    path.components().filter_map(normal).collect()
}

//! Lists of arguments.

use super::TooLarge;
use super::explore::explore;
use super::files::letters;
use super::nfa::Texts;
use crate::pattern::{ArgumentPattern, NamePattern};

/// One list of each class that the patterns tell apart.
pub(crate) fn arguments(patterns: &[&ArgumentPattern]) -> Result<Vec<Vec<String>>, TooLarge> {
    let names: Vec<&NamePattern> = patterns.iter().flat_map(|pattern| pattern.words().flatten()).collect();
    let classes = words(&names)?;
    let lists: Vec<Vec<Option<&NamePattern>>> =
        patterns.iter().map(|pattern| pattern.words().collect()).collect();
    let start: Vec<(usize, usize)> = closed(&lists, (0..lists.len()).map(|pattern| (pattern, 0)).collect());
    let step = |states: &Vec<(usize, usize)>, word: &String| {
        let mut next = Vec::new();
        for (pattern, at) in states {
            match lists[*pattern].get(*at) {
                Some(None) => next.push((*pattern, *at)),
                Some(Some(name)) if name.matches(word) => next.push((*pattern, at + 1)),
                _ => {}
            }
        }
        Some(closed(&lists, next))
    };
    let accepted = |states: &Vec<(usize, usize)>| {
        let ends = states.iter().filter(|(pattern, at)| *at == lists[*pattern].len());
        Some(ends.map(|(pattern, _)| *pattern).collect::<Vec<_>>())
    };
    let found = explore(start, |_| classes.clone(), step, accepted)?;
    Ok(found.into_iter().map(|(_, list)| list).collect())
}

/// `**` takes none, too.
fn closed(lists: &[Vec<Option<&NamePattern>>], states: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    for (pattern, mut at) in states {
        all.push((pattern, at));
        while let Some(None) = lists[pattern].get(at) {
            at += 1;
            all.push((pattern, at));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// One argument of each class.
fn words(names: &[&NamePattern]) -> Result<Vec<String>, TooLarge> {
    let texts = Texts::new(names.iter().copied());
    let letters = letters(names.iter().map(|name| name.to_string().into()));
    let step = |states: &Vec<(u32, u16)>, letter: &char| {
        let mut bytes = [0; 4];
        let utf8 = letter.encode_utf8(&mut bytes).bytes();
        Some(utf8.fold(states.clone(), |states, byte| texts.step(&states, byte)))
    };
    let found = explore(texts.start(), |_| letters.clone(), step, |states| Some(texts.accepted(states)))?;
    Ok(found.into_iter().map(|(_, word)| word.into_iter().collect()).collect())
}

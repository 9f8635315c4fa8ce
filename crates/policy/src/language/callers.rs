//! Programs, and who started them.

use super::TooLarge;
use super::explore::explore;
use super::files::{Begun, feed, letters};
use super::nfa::Paths;
use crate::network::{From, Program};
use crate::pattern::PathPattern;
use creel_types::{Caller, Digest};
use std::collections::HashSet;

/// Combinations of programs that are looked at.
const MOST: usize = 20_000;

/// One path of each class that the patterns tell apart.
fn paths(patterns: &[&PathPattern]) -> Result<Vec<String>, TooLarge> {
    let automaton = Paths::new(patterns.iter().copied());
    let letters = letters(patterns.iter().map(|pattern| pattern.to_string().into()));
    let found = explore(
        (Begun::Nothing, automaton.start()),
        |_| letters.clone(),
        |(begun, states), letter| Some((begun.step(*letter)?, feed(&automaton, states, *letter))),
        |(begun, states)| (*begun == Begun::More).then(|| automaton.accepted(states)),
    )?;
    Ok(found.into_iter().map(|(_, word)| word.into_iter().collect()).collect())
}

/// One program of each class that the entries tell apart, as its path and its digest.
pub(crate) fn programs<'a>(
    entries: impl Iterator<Item = &'a Program>,
) -> Result<Vec<(String, Option<Digest>)>, TooLarge> {
    let (mut patterns, mut digests) = (Vec::new(), Vec::new());
    for entry in entries {
        match inner(entry) {
            Program::Path(pattern) if !patterns.contains(&pattern) => patterns.push(pattern),
            Program::Digest(digest) if !digests.contains(&Some(*digest)) => digests.push(Some(*digest)),
            _ => {}
        }
    }
    if !digests.is_empty() {
        let other = (0..=u8::MAX).map(|byte| Some(Digest([byte; 32]))).find(|d| !digests.contains(d));
        digests.extend(other);
    }
    digests.push(None);
    let mut all = Vec::new();
    for path in paths(&patterns)? {
        all.extend(digests.iter().map(|digest| (path.clone(), *digest)));
    }
    Ok(all)
}

fn inner(entry: &Program) -> &Program {
    if let Program::Tree(of) = entry { inner(of) } else { entry }
}

/// One caller of each class that the lists tell apart, the usual ones first. Where no list says anything: nobody in
/// particular.
pub(crate) fn callers(lists: &[&From]) -> Result<Vec<Caller>, TooLarge> {
    let entries = || lists.iter().filter_map(|list| list.0.as_deref()).flatten();
    if entries().next().is_none() && lists.iter().all(|list| !list.is_said()) {
        return Ok(vec![Caller::UNKNOWN]);
    }
    let mut acting = Vec::new();
    for odd in [false, true] {
        acting.extend(programs(entries())?.into_iter().map(|(path, digest)| creel_types::Program {
            pid: 0,
            path: path.into(),
            digest,
            foreign_code: odd.then(|| "/foreign/code".into()),
        }));
    }
    let trees: Vec<&Program> = entries().filter(|entry| matches!(entry, Program::Tree(_))).collect();
    let above = lineages(&trees, &acting)?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let chains = acting.iter().flat_map(|first| {
        above.iter().map(move |rest| Caller { chain: std::iter::once(first).chain(rest).cloned().collect() })
    });
    for caller in chains.chain([Caller::UNKNOWN]).take(MOST) {
        let sign: Vec<(bool, bool)> =
            lists.iter().map(|list| (list.admits(&caller), list.may_be(&caller))).collect();
        if seen.insert(sign) {
            found.push(caller);
        }
    }
    if acting.len() * above.len() > MOST { Err(TooLarge) } else { Ok(found) }
}

/// What can stand above a program, as far as `tree:` entries see it: each of them looks for one program among all.
fn lineages(
    trees: &[&Program],
    acting: &[creel_types::Program],
) -> Result<Vec<Vec<creel_types::Program>>, TooLarge> {
    let mut found: Vec<(Vec<bool>, Vec<creel_types::Program>)> = vec![(sign(trees, &[]), Vec::new())];
    let mut at = 0;
    while at < found.len() {
        for program in acting.iter().filter(|_| !trees.is_empty()) {
            let mut chain = found[at].1.clone();
            chain.push(program.clone());
            let signed = sign(trees, &chain);
            if found.iter().all(|(known, _)| *known != signed) {
                found.push((signed, chain));
            }
            if found.len() > MOST / 10 {
                return Err(TooLarge);
            }
        }
        at += 1;
    }
    Ok(found.into_iter().map(|(_, chain)| chain).collect())
}

/// What each entry sees of a chain: for an allow, and for a deny.
fn sign(trees: &[&Program], chain: &[creel_types::Program]) -> Vec<bool> {
    let caller = Caller { chain: chain.to_vec() };
    trees.iter().flat_map(|tree| tree.seen_in(&caller)).collect()
}

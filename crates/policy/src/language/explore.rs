//! Walking an automaton breadth first, so that each example is as short as can be.

use super::TooLarge;
use std::collections::HashMap;
use std::hash::Hash;

/// States that are looked at.
const MOST: usize = 200_000;

/// For each sign that a reachable state bears, the letters of a shortest word to such a state.
pub(super) fn explore<K, L, S>(
    start: K,
    letters: impl Fn(&K) -> Vec<L>,
    step: impl Fn(&K, &L) -> Option<K>,
    sign: impl Fn(&K) -> Option<S>,
) -> Result<Vec<(S, Vec<L>)>, TooLarge>
where
    K: Hash + Eq + Clone,
    L: Clone,
    S: Hash + Eq + Clone,
{
    let mut known: HashMap<K, usize> = HashMap::from([(start.clone(), 0)]);
    let mut walked: Vec<(K, usize, Option<L>)> = vec![(start, 0, None)];
    let mut signs: HashMap<S, usize> = HashMap::new();
    let mut order: Vec<(S, usize)> = Vec::new();
    let mut at = 0;
    while at < walked.len() {
        let state = walked[at].0.clone();
        if let Some(sign) = sign(&state)
            && !signs.contains_key(&sign)
        {
            signs.insert(sign.clone(), at);
            order.push((sign, at));
        }
        for letter in letters(&state) {
            let Some(next) = step(&state, &letter) else { continue };
            if known.contains_key(&next) {
                continue;
            }
            if walked.len() >= MOST {
                return Err(TooLarge);
            }
            known.insert(next.clone(), walked.len());
            walked.push((next, at, Some(letter)));
        }
        at += 1;
    }
    Ok(order.into_iter().map(|(sign, at)| (sign, word(&walked, at))).collect())
}

fn word<K, L: Clone>(walked: &[(K, usize, Option<L>)], mut at: usize) -> Vec<L> {
    let mut letters = Vec::new();
    while let (_, before, Some(letter)) = &walked[at] {
        letters.push(letter.clone());
        at = *before;
    }
    letters.reverse();
    letters
}

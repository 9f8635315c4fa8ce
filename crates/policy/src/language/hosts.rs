//! Host names, label by label from the right.

use super::TooLarge;
use super::explore::explore;
use crate::pattern::HostPattern;
use creel_types::{Host, HostName};
use std::collections::BTreeSet;

/// One name of each class that the patterns tell apart. Addresses are not names: see [`super::addresses`].
pub(crate) fn hosts<'a>(patterns: impl Iterator<Item = &'a HostPattern>) -> Result<Vec<Host>, TooLarge> {
    let patterns: BTreeSet<Vec<String>> = patterns.filter_map(reversed).collect();
    let patterns: Vec<Vec<String>> = patterns.into_iter().collect();
    let named: BTreeSet<&str> = patterns.iter().flatten().map(String::as_str).collect();
    let other = unnamed(&named);
    let start: Vec<(usize, usize)> = (0..patterns.len()).map(|pattern| (pattern, 0)).collect();
    let letters = |state: &(bool, Vec<(usize, usize)>)| {
        let next = state.1.iter().filter_map(|(p, at)| patterns[*p].get(*at));
        let literal: BTreeSet<String> = next.filter(|label| !label.contains('*')).cloned().collect();
        literal.into_iter().chain([other.clone()]).collect()
    };
    let found = explore(
        (false, start),
        letters,
        |state, label: &String| Some((true, step(&patterns, &state.1, label))),
        |state| state.0.then(|| accepted(&patterns, &state.1)),
    )?;
    let names = found.into_iter().filter_map(|(_, labels)| {
        let labels: Vec<&str> = labels.iter().rev().map(String::as_str).collect();
        // What has no room for a name is in nobody's language.
        HostName::new(&labels.join(".")).ok().map(Host::Name)
    });
    Ok(names.collect())
}

fn reversed(pattern: &HostPattern) -> Option<Vec<String>> {
    match pattern {
        HostPattern::Name(name) => Some(name.as_str().rsplit('.').map(str::to_owned).collect()),
        HostPattern::Wild(wild) => Some(wild.labels().map(str::to_owned).collect()),
        HostPattern::Addr(_) | HostPattern::Net(_) => None,
    }
}

fn step(patterns: &[Vec<String>], states: &[(usize, usize)], label: &str) -> Vec<(usize, usize)> {
    let mut next = Vec::new();
    for (pattern, at) in states {
        let labels = &patterns[*pattern];
        match labels.get(*at).map(String::as_str) {
            Some("*" | "**") => next.push((*pattern, at + 1)),
            Some(wanted) if wanted == label => next.push((*pattern, at + 1)),
            // `**` takes all the labels that are left.
            None if labels.last().is_some_and(|last| last == "**") => next.push((*pattern, *at)),
            _ => {}
        }
    }
    next
}

fn accepted(patterns: &[Vec<String>], states: &[(usize, usize)]) -> Vec<usize> {
    states
        .iter()
        .filter(|(pattern, at)| *at == patterns[*pattern].len())
        .map(|(pattern, _)| *pattern)
        .collect()
}

/// A label that no pattern names, as short as can be.
fn unnamed(named: &BTreeSet<&str>) -> String {
    let one = ('a'..='z').rev().map(String::from);
    let more = (0..).map(|number: u32| format!("x{number}"));
    let mut all = one.chain(more).filter(|label| !named.contains(label.as_str()));
    all.next().unwrap_or_default()
}

//! Programs.
//!
//! A file may have several names. Two are enough: one by which it is allowed, and one by which the other policy denies it.

use super::{Found, Kind, Seen};
use crate::language::{arguments, callers, programs};
use crate::{Execute, Policy, Question, Statement, TooLarge};
use creel_types::{Caller, Digest};
use std::collections::BTreeSet;

/// Questions that are asked.
const MOST: usize = 4_000_000;

pub(super) fn compare(found: &mut Found<'_>) -> Result<(), TooLarge> {
    let (old, new) = (found.old.0, found.new.0);
    if old.process.exec == new.process.exec {
        return Ok(());
    }
    let entries = || [old, new].into_iter().flat_map(|p| p.process.exec.entries());
    let classes = programs(entries().map(|entry| &entry.program))?;
    let paths: BTreeSet<&String> = classes.iter().map(|(path, _)| path).collect();
    let digests: BTreeSet<Option<Digest>> = classes.iter().map(|(_, digest)| *digest).collect();
    let lists: Vec<_> = entries().filter_map(|entry| entry.arguments.as_ref()).collect();
    let mut given: Vec<(Vec<String>, bool)> =
        arguments(&lists)?.into_iter().map(|list| (list, true)).collect();
    given.push((Vec::new(), false));
    let from: Vec<_> = entries().map(|entry| &entry.from).collect();
    let parents = callers(&from)?;
    let names = names(&paths);
    if names.len() * digests.len() * given.len() * parents.len() > MOST {
        return Err(TooLarge);
    }
    for names in &names {
        for (digest, (arguments, whole)) in digests.iter().flat_map(|d| given.iter().map(move |g| (d, g))) {
            for parents in &parents {
                let ask = Execute { names, also: &[], digest: *digest, arguments, whole: *whole, parents };
                one(found, &ask, (old, new));
            }
        }
    }
    Ok(())
}

/// No name, each one, and each two.
pub(crate) fn names(paths: &BTreeSet<&String>) -> Vec<Vec<String>> {
    let one = paths.iter().map(|path| vec![(*path).clone()]);
    let two = paths
        .iter()
        .flat_map(|a| paths.iter().filter(move |b| a != *b).map(move |b| vec![(*a).clone(), (*b).clone()]));
    one.chain([Vec::new()]).chain(two).collect()
}

fn one(found: &mut Found<'_>, ask: &Execute<'_>, (old, new): (&Policy, &Policy)) {
    let (before, after) = (old.execute(ask), new.execute(ask));
    let (gained, allows, refusal) = match (before, after) {
        (Err(refusal), Ok(_)) => (true, new, refusal),
        (Ok(_), Err(refusal)) => (false, old, refusal),
        _ => return,
    };
    let by: Option<Statement> = allows.process.exec.allowing(ask).into_iter().next();
    let question = Question::Execute {
        names: ask.names.to_vec(),
        arguments: ask.arguments.to_vec(),
        digest: ask.digest,
        parents: Caller { chain: ask.parents.chain.clone() },
    };
    let otherwise = refusal.reason.to_string();
    if ask.whole {
        return found.question((gained, Kind::Execute), question, by, otherwise);
    }
    let witness = format!("{question}, with more arguments than can be compared");
    let group = otherwise.clone();
    found.add(Seen { gained, kind: Kind::Execute, witness, by, otherwise, question: None }, &group);
}

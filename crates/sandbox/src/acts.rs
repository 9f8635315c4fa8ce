//! What becomes of a workspace under review, written down: the changes with their digests, at the end of the run in
//! the run's own record, and what an operator did with them in a record of its own.
//!
//! A run's record is closed when the run ends, so an act that comes later has its own, closed one:
//! `$XDG_STATE_HOME/creel/acts/NAME/TIME-ID/record.jsonl`. It is begun before anything is done: what cannot be recorded
//! is not applied.

use crate::RunError;
use crate::records;
use creel_audit::{About, Event, Exit, Finding, Record, Severity};
use creel_review::{Change, Entry, Review};
use creel_types::SandboxName;
use std::path::{Path, PathBuf};

/// How much text one event holds; a line of a record has its limit.
const EVENT: usize = 64 * 1024;
/// How many events one list makes. What is beyond is counted.
const EVENTS: usize = 200;
/// How much is read for digests.
const READ: u64 = 1 << 30;

/// An act that was begun; its record is closed by [`Act::end`].
pub struct Act(Record);

impl Act {
    /// Begins the record of `verb` on these changes.
    pub fn begin(review: &Review, verb: &str, changes: &[Change]) -> Result<Self, RunError> {
        let name: SandboxName = review.name().parse()?;
        let id = crate::prepare::identity()?;
        let time = jiff::Timestamp::now().as_second();
        let dir = records::state()?
            .join("acts")
            .join(name.as_str())
            .join(format!("{time:010}-{}", &id.to_string()[..8]));
        let dir = records::make(Some(&dir), &name, id)?;
        let about = About { name, id, version: env!("CARGO_PKG_VERSION").to_owned() };
        let record = Record::create(&dir, about).map_err(RunError::Record)?;
        let by = format!("{verb} by operator uid {}", rustix::process::getuid().as_raw());
        for event in listed(review, &by, changes) {
            record.append(&event).map_err(RunError::Record)?;
        }
        record.sync().map_err(RunError::Record)?;
        Ok(Self(record))
    }

    /// Closes the record with what came of it.
    pub fn end(self, code: i32, outcome: &str) -> Result<PathBuf, RunError> {
        let exit = Exit { code: Some(code), signal: None, reason: outcome.to_owned() };
        self.0.append(&Event::Exit(exit)).map_err(RunError::Record)?;
        Ok(self.0.path().to_owned())
    }
}

/// The changes as events, a line each: what, digest before, digest after, path.
pub fn listed(review: &Review, title: &str, changes: &[Change]) -> Vec<Event> {
    let mut left = READ;
    let (with, without): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| {
        let size: u64 = [change.before(), change.after()].into_iter().flatten().map(|node| node.size).sum();
        let fits = size <= left;
        left = left.saturating_sub(if fits { size } else { 0 });
        fits
    });
    let digested: Vec<Change> = with.into_iter().cloned().collect();
    let lines = match review.entries(&digested) {
        Ok(entries) => entries.iter().map(line).collect(),
        Err(error) => vec![format!("the changes cannot be read: {error}")],
    };
    let undigested =
        without.into_iter().map(|change| format!("{} not digested {}", change.letter(), change.shown()));
    let title = format!("{title}: {} changes in {}", changes.len(), shown(review.workspace()));
    chunks(lines.into_iter().chain(undigested)).into_iter().map(|detail| finding(&title, detail)).collect()
}

fn line(entry: &Entry) -> String {
    let digest = |side: Option<&creel_review::Side>| match side {
        None => "-".to_owned(),
        Some(side) => {
            side.sha256.clone().or_else(|| side.target.clone()).unwrap_or_else(|| side.mode.clone())
        }
    };
    let path = entry.path_bytes.as_ref().map_or_else(|| entry.path.clone(), |bytes| format!("0x{bytes}"));
    format!("{} {} -> {} {path}", entry.change, digest(entry.before.as_ref()), digest(entry.after.as_ref()))
}

/// The lines, as many to a text as fit an event; what is too much is counted.
fn chunks(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut beyond = 0;
    for line in lines {
        let full = texts.last().is_none_or(|text| text.len() + line.len() > EVENT);
        if full && texts.len() == EVENTS {
            beyond += 1;
            continue;
        }
        if full {
            texts.push(String::new());
        }
        if let Some(text) = texts.last_mut() {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if beyond > 0 {
        texts.push(format!("{beyond} more"));
    }
    texts
}

fn finding(title: &str, detail: String) -> Event {
    Event::Finding(Finding {
        title: title.to_owned(),
        detail,
        severity: Severity::Informational,
        layer: "filesystem".to_owned(),
        program: None,
    })
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_makes_several_events_and_what_is_beyond_is_counted() {
        let line = "x".repeat(1000);
        let few = chunks((0..100).map(|_| line.clone()));
        assert_eq!((few.len(), few.iter().map(|text| text.lines().count()).sum::<usize>()), (2, 100));
        let many = chunks((0..EVENTS * 70).map(|_| line.clone()));
        assert_eq!(many.len(), EVENTS + 1);
        assert!(many.last().is_some_and(|text| text.ends_with("more")));
    }
}

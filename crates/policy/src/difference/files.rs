//! Files.

use super::{Found, Kind};
use crate::language::accesses;
use crate::{Access, Filesystem, Question, Statement, TooLarge};
use std::path::Path;

pub(super) fn compare(found: &mut Found<'_>) -> Result<(), TooLarge> {
    let (old, new) = (found.old.0.filesystem(), found.new.0.filesystem());
    if old == new {
        return Ok(());
    }
    let (old, new) = (&old.with_system(), &new.with_system());
    for path in accesses(old, new)? {
        let (before, after) = (rights(old, &path), rights(new, &path));
        for (at, kind) in [Kind::Read, Kind::Write, Kind::Land].into_iter().enumerate() {
            // That it lands at once is news only where it could be written before.
            if before[at] == after[at] || (kind == Kind::Land && before[1] != after[1]) {
                continue;
            }
            let (allows, refuses) = if after[at] { (new, old) } else { (old, new) };
            let question = if at == 0 { Question::Read(path.clone()) } else { Question::Write(path.clone()) };
            found.question(
                (after[at], kind),
                question,
                by(allows, &path),
                otherwise(refuses, &path).to_owned(),
            );
        }
    }
    Ok(())
}

/// Whether it may be read, written in any way, and written at once.
fn rights(files: &Filesystem, path: &Path) -> [bool; 3] {
    match files.access(path) {
        None | Some(Access::Hide) => [false; 3],
        Some(Access::Read) => [true, false, false],
        Some(Access::Review) => [true, true, false],
        Some(Access::Write) => [true; 3],
    }
}

fn by(files: &Filesystem, path: &Path) -> Option<Statement> {
    let granted = files.granting(path)?;
    Some(Statement::Path(granted.to_owned()))
}

fn otherwise(files: &Filesystem, path: &Path) -> &'static str {
    match files.access(path) {
        None => "nothing grants it",
        Some(Access::Hide) => "it is hidden",
        Some(Access::Read) => "it may be read only",
        Some(Access::Review) => "it is written to a view, and lands when a person applies it",
        Some(Access::Write) => "it may be written",
    }
}

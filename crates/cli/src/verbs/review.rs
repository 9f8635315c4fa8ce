//! `creel changes`, `apply`, `discard`, `snapshot`, `rollback`: what becomes of a workspace under review.

use crate::args::{Apply, Changes, Discard, Rollback, Snapshot};
use crate::failure::Failure;
use crate::output;
use creel_review::{Change, Choice, Options, Paint, Recovered, Review, ReviewError, Shelf};
use creel_sandbox::acts::Act;
use creel_sandbox::finisher;
use creel_sandbox::records;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

/// The exit status when nothing was done.
const NOTHING_DONE: u8 = 1;

/// Shows what waits.
pub fn changes(args: &Changes) -> Result<ExitCode, Failure> {
    let shelf = shelf()?;
    let Some(name) = &args.name else { return overview(&shelf, args.json) };
    let review = open(&shelf, name)?;
    let running = review.is_running()?;
    if !running {
        // A run that was killed could not note what the workspace is.
        let _ = review.seal();
    }
    let mut changes = review.changes()?;
    let paths = relative(&review, &args.paths)?;
    if !paths.is_empty() {
        changes.retain(|change| paths.iter().any(|path| change.path.starts_with(path)));
    }
    if args.json {
        output::json(&serde_json::json!({
            "name": name, "workspace": review.workspace(), "running": running,
            "changes": review.entries(&changes)?,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = if output::colour() { Paint::Ansi } else { Paint::None };
    for change in &changes {
        output::print(&if args.list { review.line(change, paint) } else { review.diff(change, paint)? });
    }
    eprintln!("{}", next_step(name, changes.len(), running));
    Ok(ExitCode::SUCCESS)
}

fn next_step(name: &str, count: usize, running: bool) -> String {
    match (count, running) {
        (0, _) => "no changes".into(),
        (_, true) => {
            format!("{} so far; once it ended: creel apply {name}, or creel discard {name}", counted(count))
        }
        (_, false) => format!("{}: creel apply {name} [PATH...], or creel discard {name}", counted(count)),
    }
}

fn overview(shelf: &Shelf, json: bool) -> Result<ExitCode, Failure> {
    let mut rows = Vec::new();
    for name in shelf.names() {
        let Ok(review) = shelf.open(&name) else { continue };
        let (count, running) = (review.changes().map(|changes| changes.len()), review.is_running()?);
        rows.push((name, review.workspace().to_owned(), count.ok(), running));
    }
    if json {
        let rows = rows.iter().map(|(name, workspace, count, running)| {
            serde_json::json!({ "name": name, "workspace": workspace, "changes": count, "running": running })
        });
        output::json(&rows.collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, workspace, count, running)| {
            let count = count.map_or_else(|| "unreadable".into(), |count| count.to_string());
            let state = if running { "running" } else { "ended" };
            vec![name, count, state.into(), workspace.display().to_string()]
        })
        .collect();
    output::print(&output::table(&["NAME", "CHANGES", "SANDBOX", "WORKSPACE"], &rows));
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error which changes wait, and what to do about them.
pub fn remind() {
    let Ok(state) = records::state() else { return };
    let shelf = Shelf::at(&state);
    for name in shelf.names() {
        if let Ok(count @ 1..) = shelf.open(&name).and_then(|review| Ok(review.changes()?.len())) {
            eprintln!("creel: {} of {name} to review; see: creel changes {name}", counted(count));
        }
    }
}

/// Lands what is wanted.
pub fn apply(args: &Apply) -> Result<ExitCode, Failure> {
    let shelf = shelf()?;
    let review = open(&shelf, &args.name)?;
    let choice = if args.overwrite { Choice::Overwrite } else { Choice::Merge };
    let options = Options { paths: relative(&review, &args.paths)?, choice };
    let wanted = review.wanted(&options).map_err(|error| refused(&args.name, error))?;
    let landed = recorded(&review, "apply", &wanted, || review.apply(&options))?;
    if args.json {
        output::json(&serde_json::json!({
            "name": args.name, "workspace": review.workspace(), "left": landed.left,
            "applied": landed.changes.iter().map(Change::shown).collect::<Vec<_>>(),
            "merged": landed.merged.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    for change in &landed.changes {
        let merged = if landed.merged.contains(&change.path) { "  (merged)" } else { "" };
        output::print(&format!("{} {}{merged}\n", change.letter(), change.shown()));
    }
    let left = if landed.left == 0 { String::new() } else { format!("; {} still wait", landed.left) };
    eprintln!(
        "applied {}{left}; creel rollback {} before-apply undoes it",
        counted(landed.changes.len()),
        args.name
    );
    Ok(ExitCode::SUCCESS)
}

/// Forgets what waits.
pub fn discard(args: &Discard) -> Result<ExitCode, Failure> {
    let review = open(&shelf()?, &args.name)?;
    let changes = review.changes();
    let count = changes.as_ref().map_or_else(|_| "what waited".into(), |changes| counted(changes.len()));
    recorded(&review, "discard", &changes.unwrap_or_default(), || review.discard())?;
    eprintln!("discarded {count} of {}", args.name);
    Ok(ExitCode::SUCCESS)
}

/// Keeps what was changed so far.
pub fn snapshot(args: &Snapshot) -> Result<ExitCode, Failure> {
    let review = open(&shelf()?, &args.name)?;
    if args.list {
        return snapshots(&review, args.json);
    }
    let snapshot = review.snapshot(args.label.as_deref()).map_err(|error| refused(&args.name, error))?;
    if args.json {
        output::json(&snapshot);
    } else {
        eprintln!(
            "kept as {}; creel rollback {} {} brings it back",
            snapshot.label, args.name, snapshot.label
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn snapshots(review: &Review, json: bool) -> Result<ExitCode, Failure> {
    let all = review.snapshots()?;
    if json {
        output::json(&all);
    } else {
        let rows: Vec<Vec<String>> = all.into_iter().map(|s| vec![s.label, s.time]).collect();
        output::print(&output::table(&["LABEL", "TAKEN"], &rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings back what a snapshot kept.
pub fn rollback(args: &Rollback) -> Result<ExitCode, Failure> {
    let review = open(&shelf()?, &args.name)?;
    let verb = format!("rollback to {}", args.label.as_deref().unwrap_or("the newest snapshot"));
    let to = recorded(&review, &verb, &[], || review.rollback(args.label.as_deref()))?;
    eprintln!("{} is back at {to}; creel changes {0} shows what waits", args.name);
    Ok(ExitCode::SUCCESS)
}

/// Does something between the first and the last line of a record: what cannot be recorded is not done.
fn recorded<T>(
    review: &Review,
    verb: &str,
    changes: &[Change],
    act: impl FnOnce() -> Result<T, ReviewError>,
) -> Result<T, Failure> {
    let begun = Act::begin(review, verb, changes)?;
    let _finisher = finisher::start(&records::state()?)?;
    let outcome = act();
    let (code, words) = match &outcome {
        Ok(_) => (0, "done".to_owned()),
        Err(error) => (i32::from(NOTHING_DONE), error.to_string()),
    };
    if let Err(error) = begun.end(code, &words) {
        eprintln!("creel: the record of this cannot be finished: {error}");
    }
    outcome.map_err(|error| refused(review.name(), error))
}

/// The shelf, with what an interruption left brought to its end.
fn shelf() -> Result<Shelf, Failure> {
    let shelf = Shelf::at(&records::state()?);
    for (name, outcome) in shelf.recover() {
        match outcome {
            Ok(Recovered::Finished) => {
                eprintln!("creel: finished what was interrupted: the changes of {name}")
            }
            Ok(Recovered::TakenBack { kept }) => {
                eprintln!("creel: took back what was interrupted: the changes of {name} wait as before");
                for path in kept {
                    eprintln!("  {} was changed by somebody else since, and stays", path.display());
                }
            }
            Err(error) => {
                eprintln!("creel: what was interrupted of {name} cannot be brought to its end: {error}")
            }
        }
    }
    Ok(shelf)
}

fn open(shelf: &Shelf, name: &str) -> Result<Review, Failure> {
    shelf.open(name).map_err(|error| refused(name, error))
}

/// What keeps a person from what was asked, with what to do about it.
fn refused(name: &str, error: ReviewError) -> Failure {
    let done = |failure: Failure| failure.code(NOTHING_DONE);
    let mut message = error.to_string();
    match error {
        ReviewError::Nothing(_) => done(Failure::new(message).hint("`creel changes` lists what waits")),
        ReviewError::Running(_) => done(Failure::new(message).hint(format!("creel stop {name}"))),
        ReviewError::Moved(paths) => {
            for (path, moved) in &paths {
                message += &format!("\n  {}: {}", path.display(), moved.as_str());
            }
            done(Failure::new(message + "\nnothing was applied").hint(
                "apply other paths, or --overwrite to replace what stands there with what the sandbox made",
            ))
        }
        ReviewError::Unfit(paths) => {
            for (path, why) in &paths {
                message += &format!("\n  {}: {why}", path.display());
            }
            done(
                Failure::new(message + "\nnothing was applied").hint("name the paths that are to be applied"),
            )
        }
        ReviewError::Hindered { source, .. } => done(
            Failure::new(format!("{message}: {source}\nnothing was applied"))
                .hint("make it writable, or apply other paths"),
        ),
        ReviewError::Busy(_)
        | ReviewError::NotChanged(_)
        | ReviewError::NoSnapshot(_)
        | ReviewError::Label { .. }
        | ReviewError::Replaced(_) => done(Failure::new(message)),
        other => other.into(),
    }
}

/// Paths as the review has them: relative to the workspace.
fn relative(review: &Review, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    paths.iter().map(|path| relative_one(review.workspace(), path)).collect()
}

fn relative_one(workspace: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let inside = path.strip_prefix(workspace).unwrap_or(path);
    let mut plain = PathBuf::new();
    for component in inside.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => {
                let message = format!("{} does not lie in {}", path.display(), workspace.display());
                return Err(Failure::new(message)
                    .hint("name paths relative to the workspace")
                    .code(NOTHING_DONE));
            }
        }
    }
    Ok(plain)
}

fn counted(count: usize) -> String {
    if count == 1 { "1 change".into() } else { format!("{count} changes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_of_the_workspace_or_refused() {
        let workspace = Path::new("/w/s");
        for (path, want) in [
            ("src", Some("src")),
            ("./src/", Some("src")),
            ("/w/s/src/a", Some("src/a")),
            (".", Some("")),
            ("../x", None),
            ("/etc", None),
        ] {
            let got = relative_one(workspace, Path::new(path)).ok();
            assert_eq!(got.as_deref(), want.map(Path::new), "{path}");
        }
    }
}

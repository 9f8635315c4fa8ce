//! `creel image`: the images that sandboxes have as their roots.

use crate::args::{Image, Json, TakeImage};
use crate::failure::Failure;
use crate::output;
use creel_image::{Access, Credentials, Progress, Skipped, Source, Store};
use creel_net::trust::Trust;
use creel_sandbox::root;
use serde::Serialize;
use std::cell::Cell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the shell says of a command that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Carries out `creel image ...`.
pub fn image(args: Image) -> Result<ExitCode, Failure> {
    match args {
        Image::Pull { image, trust } => pull(&image, &trust),
        Image::Ls(args) => ls(&args),
        Image::Rm { image } => {
            let freed = Store::usual()?.remove(&name(&image)?)?;
            output::print(&format!("removed {image}, {}\n", size(freed)));
            Ok(ExitCode::SUCCESS)
        }
        Image::Prune => {
            let freed = Store::usual()?.prune()?;
            output::print(&format!("removed {}\n", size(freed)));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An image as a person names it: one in a registry, unless it says otherwise.
fn source(text: &str) -> Result<Source, Failure> {
    let kinds = ["docker://", "oci:", "oci-archive:", "docker-archive:", "tar:"];
    let known = kinds.iter().any(|kind| text.starts_with(kind));
    Ok(if known { text.parse()? } else { Source::Registry(text.parse()?) })
}

/// The same as the store knows it. What was a file need not be there any more.
fn name(text: &str) -> Result<String, Failure> {
    let source = source(text)?;
    Ok(source.clone().absolute().unwrap_or(source).to_string())
}

fn pull(text: &str, trust: &[PathBuf]) -> Result<ExitCode, Failure> {
    let source = source(text)?;
    let path = source.path().map(|path| path.display().to_string()).unwrap_or_default();
    let source = source.absolute().map_err(|error| Failure::new(format!("cannot read {path}: {error}")))?;
    let id = root::bring(&source, trust)?;
    output::print(&format!("{id}\n"));
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Row {
    name: String,
    id: String,
    pulled: u64,
    /// Absent where a layer was removed by hand.
    bytes: Option<u64>,
    layers: Option<usize>,
}

fn ls(args: &Json) -> Result<ExitCode, Failure> {
    let store = Store::usual()?;
    let rows: Vec<Row> = store
        .list()?
        .into_iter()
        .map(|(named, image)| Row {
            name: named.name,
            id: named.image.to_string(),
            pulled: named.since,
            bytes: image.as_ref().map(|image| store.size(image)),
            layers: image.as_ref().map(|image| image.layers.len()),
        })
        .collect();
    if args.json {
        output::json(&rows);
        return Ok(ExitCode::SUCCESS);
    }
    let line = |row: &Row| {
        let short = row.id.chars().take("sha256:".len() + 12).collect();
        let known = |value: Option<String>| value.unwrap_or_else(|| "incomplete".into());
        vec![row.name.clone(), short, known(row.layers.map(|n| n.to_string())), known(row.bytes.map(size))]
    };
    output::print(&output::table(
        &["NAME", "ID", "LAYERS", "SIZE"],
        &rows.iter().map(line).collect::<Vec<_>>(),
    ));
    Ok(ExitCode::SUCCESS)
}

/// The role `internal-image`: brings an image and prints its id. It reads what strangers wrote, so it first gives up
/// writing anywhere but to the store.
pub fn take(args: &TakeImage) -> Result<ExitCode, Failure> {
    let store = Store::usual()?;
    let mut texts = Vec::new();
    for path in &args.trust {
        let pem = std::fs::read(path);
        let pem =
            pem.map_err(|e| Failure::new(format!("cannot read the authority {}: {e}", path.display())))?;
        texts.push((path.display().to_string(), pem));
    }
    let credentials = match &args.source {
        Source::Registry(reference) => Credentials::find(&reference.host),
        _ => None,
    };
    let access = Access { trust: Trust::new(&texts)?, credentials };
    creel_image::confine(&store)?;
    clean_up_when_interrupted(store.clone())?;
    let line = Line { terminal: std::io::stderr().is_terminal(), shown: Cell::new(0) };
    let taken = creel_image::take(&store, &args.source, &access, &|progress| line.show(progress));
    line.clear();
    let taken = taken?;
    report(taken.skipped);
    output::print(&format!("{}\n", taken.image.id));
    Ok(ExitCode::SUCCESS)
}

/// An interrupt ends the process and takes what is not complete along. What `kill -9` leaves, the next pull removes.
fn clean_up_when_interrupted(store: Store) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    drop(guard);
    std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        runtime.block_on(async {
            let [Ok(a), Ok(b), Ok(c)] = &mut signals else { return };
            tokio::select! { _ = a.recv() => {} _ = b.recv() => {} _ = c.recv() => {} }
            // The other thread goes on writing until the process ends, so once may not be enough.
            let _ = (0..100).find(|_| store.abandon().is_ok());
            std::process::exit(INTERRUPTED);
        });
    })?;
    Ok(())
}

/// What cannot be as the image has it.
fn report(skipped: Skipped) {
    if skipped.devices + skipped.others > 0 {
        eprintln!(
            "creel: {} device nodes and pipes of the image are left out",
            skipped.devices + skipped.others
        );
    }
}

/// A line that changes, on a terminal.
struct Line {
    terminal: bool,
    /// What was shown last, so that not every block is drawn: a percentage, or mebibytes.
    shown: Cell<u64>,
}

impl Line {
    fn show(&self, progress: Progress) {
        if !self.terminal {
            return;
        }
        if let Progress::Bringing { number, of, done, size: whole } = progress {
            let step = (done >> 20) + ((number as u64) << 32);
            if self.shown.replace(step) != step {
                let whole = whole.map(|whole| format!(" of {}", size(whole))).unwrap_or_default();
                eprint!("\r\x1b[Klayer {number} of {of}: {}{whole}", size(done));
            }
        }
    }

    fn clear(&self) {
        if self.terminal && self.shown.get() > 0 {
            eprint!("\r\x1b[K");
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_one_in_a_registry() {
        let check = |text: &str, want: &str| assert_eq!(source(text).unwrap().to_string(), want);
        check("debian:12", "docker://docker.io/library/debian:12");
        check("docker://ghcr.io/a/b", "docker://ghcr.io/a/b:latest");
        check("oci:dir:name", "oci:dir:name");
        assert!(source("Not A Name").is_err());
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(3, "3 B"), (5 << 10, "5 KiB"), (7 << 20, "7 MiB"), (3 << 29, "1.5 GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}

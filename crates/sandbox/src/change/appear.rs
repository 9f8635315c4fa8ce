//! What appears while the policy stays: a file under a hidden name is covered, and a path that was missing when it was
//! granted is granted.
//!
//! The watch only says that names came; everything is judged here against the policy in force and what is mounted.

use super::{Change, Refused, before_now};
use crate::mounts::masks::{self, Mounted};
use crate::mounts::{Step, Trouble};
use crate::plan;
use crate::watch::{Sighting, Wanted, Watch};
use creel_api::plan::{Place, Tier, What};
use creel_audit::{Event, Finding, Severity};
use creel_policy::Access;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many names one line of the record tells.
const TOLD: usize = 20;

impl Change {
    /// What the watch says from now on; `None` when that was asked before.
    pub fn sightings(&mut self) -> Option<mpsc::Receiver<Sighting>> {
        let sightings = self.sightings.take();
        self.watch_anew();
        sightings
    }

    /// Watches for what the policy in force waits for, and for nothing else.
    pub(super) fn watch_anew(&mut self) {
        let missing = |path: &Path| !self.granted(path);
        let wanted = Wanted::of(self.policy.filesystem(), &missing);
        self.watch = None;
        // What is not there at the start cannot be granted later without mounts, and nothing can be hidden.
        if self.policy.tier() == Tier::Confined || wanted.is_empty() {
            return;
        }
        match Watch::start(wanted, self.sighted.clone()) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => self.found("files that appear go unseen", error.to_string(), Severity::High),
        }
    }

    /// Whether what the policy names so stands in the sandbox.
    fn granted(&self, path: &Path) -> bool {
        let source = path.canonicalize().ok();
        self.places.iter().any(|place| match &place.what {
            What::Read(at) | What::Write(at) | What::Review { source: at, .. } => Some(at) == source.as_ref(),
            What::Hidden | What::Scratch => false,
        })
    }

    /// Acts on what was seen.
    pub async fn heed(&mut self, sighting: Sighting) {
        let paths = match sighting {
            Sighting::Paths(paths) => paths,
            Sighting::Blind(why) => {
                let detail = format!("{why}: everything is looked through every two seconds instead");
                return self.found("files that appear may be seen late", detail, Severity::Medium);
            }
        };
        let mounted = match masks::mounted(self.mounts.init) {
            Ok(mounted) => mounted,
            Err(error) => {
                return self.found("files that appeared were not hidden", error.to_string(), Severity::High);
            }
        };
        self.cover(&paths, &mounted).await;
        self.grant_what_was_missing().await;
    }

    async fn cover(&self, paths: &[PathBuf], mounted: &Mounted) {
        let filesystem = self.policy.filesystem();
        let hidden = paths.iter().filter(|path| filesystem.access(path) == Some(Access::Hide));
        let inside = hidden.filter_map(|path| self.inside(path));
        let at: BTreeSet<PathBuf> = inside.filter(|at| !mounted.points.contains(at)).collect();
        if at.is_empty() {
            return;
        }
        let steps = at.iter().map(|at| Step::Mask { at: at.clone() }).collect();
        let done = self.take(steps).await;
        let now = masks::mounted(self.mounts.init).unwrap_or_default();
        match done {
            Ok(()) => {
                let told = told(at.iter().filter(|at| now.masks.contains(*at)));
                if !told.is_empty() {
                    self.found("hidden as it appeared", told, Severity::Informational);
                }
            }
            Err(why) => {
                let detail = format!("{}: {why}", told(at.iter()));
                self.found("files that appeared were not hidden", detail, Severity::High);
            }
        }
    }

    async fn grant_what_was_missing(&mut self) {
        let late = plan::late(self.policy.filesystem(), &self.reserved());
        let late: Vec<Place> =
            late.into_iter().filter(|place| !self.places.iter().any(|now| now.at == place.at)).collect();
        if late.is_empty() {
            return;
        }
        let steps = late.iter().map(|place| Step::Add { at: place.at.clone(), what: (&place.what).into() });
        let done = self.take(steps.collect()).await;
        let names = told(late.iter().map(|place| &place.at));
        match done {
            Ok(()) => {
                self.found("granted as it appeared", names, Severity::Informational);
                self.places.extend(late);
                self.places.sort_by(|a, b| a.at.cmp(&b.at));
            }
            Err(why) => {
                self.found("what appeared was not granted", format!("{names}: {why}"), Severity::Low);
            }
        }
    }

    /// Where the host's file stands in the sandbox, judged by where links lead; nothing where it is not to be seen.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let source = path.canonicalize().ok()?;
        let shown = self.places.iter().filter_map(|place| match &place.what {
            What::Read(from) | What::Write(from) | What::Review { source: from, .. } => {
                Some((from, place.at.join(source.strip_prefix(from).ok()?)))
            }
            What::Hidden | What::Scratch => None,
        });
        let at = shown.max_by_key(|(from, _)| from.as_os_str().len()).map(|(_, at)| at)?;
        // What is granted by its own name within what is hidden stays.
        (!self.places.iter().any(|place| place.at == at && place.what != What::Hidden)).then_some(at)
    }

    async fn take(&self, steps: Vec<Step>) -> Result<(), String> {
        let mounts = Arc::clone(&self.mounts);
        match tokio::task::spawn_blocking(move || mounts.apply(&steps, false)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Trouble { why, .. })) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    fn found(&self, title: &str, detail: String, severity: Severity) {
        let (title, layer) = (title.to_owned(), "filesystem".to_owned());
        let _ = self.scribe.event(&Event::Finding(Finding { title, detail, severity, layer, program: None }));
    }

    /// What a change starts from: what was planned, less the masks that went with what they covered, and the masks
    /// that came since.
    pub(super) fn standing(&self) -> Result<Vec<Place>, Refused> {
        let mounted = masks::mounted(self.mounts.init)
            .map_err(|error| Refused(format!("the sandbox's mounts cannot be read: {error}"), Vec::new()))?;
        Ok(before_now(&self.places, &mounted))
    }
}

fn told<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let mut names: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

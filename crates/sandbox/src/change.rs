//! Live change: another policy for a sandbox that runs, all layers or none.
//!
//! What can fail comes first and changes nothing (compile, keys, plan); then the files, whose steps are taken back
//! when one of them fails; then the policy is swapped, which cannot fail, and every live connection is asked again.

mod appear;

use crate::apart;
use crate::credentials::{self, Stand};
use crate::exit::afar::{Conversation, Unready};
use crate::journal::Scribe;
use crate::limits::Bounded;
use crate::models;
use crate::mounts::masks::Mounted;
use crate::mounts::{Mounts, Shown, Step, Trouble};
use crate::plan::{self, Reserved};
use crate::policies;
use crate::prepare::{self, Prepared};
use crate::watch::{self, Sighting, Watch};
use creel_api::control::{Answer, Document};
use creel_api::enforced::Applied;
use creel_api::plan::{Place, Root, Tier, What};
use creel_audit as audit;
use creel_audit::Event;
use creel_policy::{Access, Policy, Resolution};
use creel_proxy::PolicyCell;
use creel_types::{Digest, Generation};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// The policy in force, and everything that a change of it reaches.
pub struct Change {
    documents: Vec<Document>,
    policy: Arc<Policy>,
    places: Vec<Place>,
    workspace: PathBuf,
    resolve: Vec<Resolution>,
    user: crate::etc::User,
    state: PathBuf,
    images: Option<PathBuf>,
    links: creel_policy::Links,
    stands: Vec<Stand>,
    record: PathBuf,
    layer: PathBuf,
    cell: Arc<PolicyCell>,
    exit: Arc<Conversation>,
    scribe: Arc<Scribe>,
    mounts: Arc<Mounts>,
    bounded: Bounded,
    /// Whether a change broke off between its layers.
    torn: bool,
    watch: Option<Watch>,
    sighted: mpsc::Sender<Sighting>,
    sightings: Option<mpsc::Receiver<Sighting>>,
}

/// SHA-256 of all documents, each with its name and length before it.
pub fn digest(documents: &[Document]) -> Digest {
    let mut hash = Sha256::new();
    for document in documents {
        hash.update(format!("{} {}\n", document.name, document.text.len()));
        hash.update(&document.text);
    }
    Digest(hash.finalize().into())
}

/// The policy's mode as a word.
pub fn mode(policy: &Policy) -> &'static str {
    prepare::mode(policy)
}

/// Why a sandbox is ended whose change broke off half-way.
pub const TORN: &str = "a change of its policy broke off half-way, so nobody can say what it may reach";

impl Change {
    /// Whether a change broke off so that neither the old policy nor the new one can be said to be in force. Such a
    /// sandbox must end.
    pub fn is_torn(&self) -> bool {
        self.mounts.is_torn() || self.torn
    }

    /// Nothing changed yet.
    pub fn new(
        prepared: &Prepared,
        cell: Arc<PolicyCell>,
        exit: Arc<Conversation>,
        parts: (Arc<Scribe>, Mounts, Bounded),
    ) -> Self {
        let (scribe, mounts, bounded) = parts;
        let (sighted, sightings) = watch::channel();
        let user = crate::etc::User {
            name: prepared.user.name.clone(),
            uid: prepared.user.uid,
            gid: prepared.user.gid,
            home: prepared.user.home.clone(),
        };
        Self {
            documents: prepared.documents.clone(),
            policy: Arc::clone(&prepared.policy),
            places: prepared.places.clone(),
            workspace: prepared.workspace.clone(),
            resolve: prepared.resolve.clone(),
            user,
            state: prepared.state.clone(),
            images: creel_image::Store::place().ok(),
            links: prepared.base.links(),
            stands: credentials::stands(&prepared.credentials),
            record: prepared.record.path().parent().unwrap_or(&prepared.state).to_owned(),
            layer: prepared.layer.clone(),
            cell,
            exit,
            scribe,
            mounts: Arc::new(mounts),
            bounded,
            watch: None,
            torn: false,
            sighted,
            sightings: Some(sightings),
        }
    }

    /// The number of the policy in force.
    pub fn generation(&self) -> Generation {
        self.cell.generation()
    }

    /// Its mode.
    pub fn mode(&self) -> &'static str {
        mode(&self.policy)
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.exit.connections()
    }

    /// What is in force.
    pub fn now(&self) -> Answer {
        let documents = match self.documents.as_slice() {
            [] => vec![policies::built_in()],
            documents => documents.to_vec(),
        };
        Answer::Policy { generation: self.generation().0, documents }
    }

    /// Puts `documents` in force, or says why nothing changed.
    pub async fn set(&mut self, documents: Vec<Document>, force: bool) -> Answer {
        let from = self.generation();
        let asked = digest(&documents);
        let outcome = self.try_set(documents, force).await;
        let (to, applied, refused) = match &outcome {
            Ok(applied) => (self.generation(), applied.clone(), None),
            Err(refused) => (from, Vec::new(), Some(refused.0.clone())),
        };
        let event = audit::PolicyChange {
            from: from.0,
            to: to.0,
            digest: asked,
            by: format!("operator uid {}", self.user.uid),
            applied: applied.clone(),
            refused,
        };
        let _ = self.scribe.event(&Event::PolicyChange(event)); // a broken record stops the next admission
        match outcome {
            Ok(applied) => Answer::Changed { generation: to.0, applied },
            Err(Refused(why, details)) => Answer::Refused { why, details },
        }
    }

    async fn try_set(&mut self, documents: Vec<Document>, force: bool) -> Result<Vec<Applied>, Refused> {
        let on = (&*self.workspace, &*self.resolve, self.links.clone());
        let (policy, included) = policies::compile_and_keep(&documents, on)
            .map_err(|error| Refused::lines("the policy has errors", &error))?;
        let (limits_now, limits_next) =
            (self.policy.process().limits().clone(), policy.process().limits().clone());
        self.bounded
            .check(&limits_now, &limits_next)
            .map_err(|details| Refused("the limits cannot be changed so".into(), details))?;
        if policy.tier() != self.policy.tier() {
            return Err(Refused(
                "the tier cannot be changed while the sandbox runs".into(),
                vec!["keep `isolation:` as it is, or start the sandbox anew".into()],
            ));
        }
        if policy.process().limits().disk != self.policy.process().limits().disk {
            return Err(Refused(
                "`disk` cannot be changed while the sandbox runs".into(),
                vec!["keep `process: limits: disk:` as it is, or start the sandbox anew".into()],
            ));
        }
        if policy.process().nested() != self.policy.process().nested() {
            return Err(Refused(
                "`nested` cannot be changed while the sandbox runs".into(),
                vec!["keep `process: nested:` as it is, or start the sandbox anew".into()],
            ));
        }
        if policy.filesystem().home() != self.policy.filesystem().home() {
            return Err(Refused(
                "the home directory cannot be changed while the sandbox runs".into(),
                vec!["keep `filesystem: home:` as it is, or start the sandbox anew".into()],
            ));
        }
        if under_review(&policy) != under_review(&self.policy) {
            return Err(Refused(
                "a workspace cannot come under review, or out of it, while the sandbox runs".into(),
                vec!["keep `filesystem: workspace:` as it is, or start the sandbox anew".into()],
            ));
        }
        let key = models::find_key(&policy)
            .map_err(|error| Refused::lines("a model backend cannot be used", &error))?;
        let held = credentials::find_again(&policy, &self.stands)
            .map_err(|error| Refused::lines("a credential cannot be used", &error))?;
        let sent = documents.clone();
        self.ask_exit(move |exit| exit.prepare(sent, included, (key.as_ref(), held))).await?;
        let places = plan::places(policy.filesystem(), &self.user, &self.reserved())
            .map_err(|error| Refused::lines("the files cannot be granted", &error))?;
        if policy.tier() == Tier::Confined {
            apart::fits(&policy, &places, &Root::Host)
                .map_err(|error| Refused::lines("the files cannot be granted", &error))?;
            if places != self.places {
                return Err(Refused(
                    "files cannot be changed while a sandbox of `tier: confined` runs".into(),
                    vec![
                        "Landlock gives nothing back and takes nothing away later: start the sandbox anew"
                            .into(),
                    ],
                ));
            }
        }
        if policy.process().nested() && places != self.places {
            return Err(Refused(
                "files cannot be changed while a sandbox with `nested: true` runs".into(),
                vec!["sandboxes inside have mounts of their own, which a change would not reach".into()],
            ));
        }
        let files = self.change_files(&places, force).await?;
        let began = Instant::now();
        let did = match self.bounded.apply(&limits_now, &limits_next) {
            Ok(did) => did,
            Err(why) => {
                let before = self.places.clone();
                self.torn = !files.did.is_empty() && self.change_files(&before, false).await.is_err();
                return Err(Refused(format!("the limits could not be changed: {why}"), Vec::new()));
            }
        };
        // From here on what breaks off can no longer be taken back.
        self.torn = true;
        let process = Applied { layer: "process".into(), did, took: began.elapsed() };
        let began = Instant::now();
        let (policy, next) = (Arc::new(policy), self.generation().next());
        // The witness first: until the exit has switched, it may only say more than is asked of it.
        self.cell.swap(next, Arc::clone(&policy));
        let (mut did, kept) = self.ask_exit(move |exit| exit.switch(next)).await?;
        did.push(format!("{kept} open connections go on"));
        let network = Applied { layer: "network".into(), did, took: began.elapsed() };
        (self.documents, self.policy, self.places) = (documents, policy, places);
        self.torn = false;
        self.watch_anew();
        Ok(vec![files, process, network])
    }

    fn reserved(&self) -> Reserved<'_> {
        Reserved {
            state: &self.state,
            record: &self.record,
            images: self.images.as_deref(),
            before: &self.places,
            layer: &self.layer,
        }
    }

    /// Asks the exit, which may take its time.
    async fn ask_exit<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Conversation) -> Result<T, Unready> + Send + 'static,
    ) -> Result<T, Refused> {
        let exit = Arc::clone(&self.exit);
        match tokio::task::spawn_blocking(move || ask(&exit)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Unready { why, details })) => Err(Refused(why, details)),
            Err(error) => Err(Refused(format!("the change broke off: {error}"), Vec::new())),
        }
    }

    /// Makes the sandbox's files what `places` say, or leaves them as they are.
    async fn change_files(&self, places: &[Place], force: bool) -> Result<Applied, Refused> {
        let began = Instant::now();
        let steps =
            if self.policy.tier() == Tier::Confined { Vec::new() } else { steps(&self.standing()?, places) };
        let mut did = Vec::new();
        if !steps.is_empty() {
            let mounts = Arc::clone(&self.mounts);
            let done = tokio::task::spawn_blocking(move || mounts.apply(&steps, force)).await;
            did = match done {
                Ok(Ok(did)) => did,
                Ok(Err(Trouble { why, details })) => return Err(Refused(why, details)),
                Err(error) => return Err(Refused(format!("the change broke off: {error}"), Vec::new())),
            };
        }
        Ok(Applied { layer: "filesystem".into(), did, took: began.elapsed() })
    }
}

/// The workspace that a policy puts under review.
fn under_review(policy: &Policy) -> Option<&std::path::Path> {
    policy.filesystem().workspace().filter(|w| w.access == Access::Review).map(|w| &*w.path)
}

/// Why nothing changed, and details.
struct Refused(String, Vec<String>);

impl Refused {
    fn lines(why: &str, error: &impl std::error::Error) -> Self {
        let mut details: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
        if let Some(source) = error.source() {
            details.push(source.to_string());
        }
        Self(why.to_owned(), details)
    }
}

/// What was planned, less the masks that went with what they covered, and the masks that came since.
fn before_now(planned: &[Place], mounted: &Mounted) -> Vec<Place> {
    let stands = |place: &&Place| place.what != What::Hidden || mounted.points.contains(&place.at);
    let mut now: Vec<Place> = planned.iter().filter(stands).cloned().collect();
    let came = mounted.masks.iter().filter(|at| !planned.iter().any(|place| place.at == **at));
    now.extend(came.map(|at| Place { at: at.clone(), what: What::Hidden }));
    now.sort_by(|a, b| a.at.cmp(&b.at));
    now
}

/// What has to be done so that `before` becomes `after`. What is taken away goes first, the deepest first; a place
/// below one that is taken away or put there anew is put there again.
fn steps(before: &[Place], after: &[Place]) -> Vec<Step> {
    let find = |list: &'_ [Place], at: &std::path::Path| list.iter().find(|place| place.at == at).cloned();
    let mut gone: Vec<&Place> = Vec::new();
    let mut narrowed = Vec::new();
    for place in before {
        match find(after, &place.at) {
            Some(same) if same == *place => {}
            Some(other) => match (&place.what, &other.what) {
                (What::Read(a), What::Write(b)) | (What::Write(a), What::Read(b)) if a == b => {
                    narrowed.push(Step::Access {
                        at: place.at.clone(),
                        write: matches!(other.what, What::Write(_)),
                    });
                }
                _ => gone.push(place),
            },
            None => gone.push(place),
        }
    }
    let beneath = |at: &std::path::Path| gone.iter().any(|g| at != g.at && at.starts_with(&g.at));
    let mut steps: Vec<Step> = gone
        .iter()
        .rev()
        .filter(|place| !beneath(&place.at))
        .map(|place| Step::Remove {
            at: place.at.clone(),
            lost: lost(before, &place.at),
            point: stands_on_own(after, &place.at),
            idle: !allows_as_much(after, place),
        })
        .collect();
    let fresh = |place: &Place| find(before, &place.at).is_none_or(|old| gone.iter().any(|g| g.at == old.at));
    let below_fresh =
        |at: &std::path::Path| after.iter().any(|p| fresh(p) && at != p.at && at.starts_with(&p.at));
    for place in after {
        if fresh(place) || beneath(&place.at) || below_fresh(&place.at) {
            let at = place.at.clone();
            steps.push(match &place.what {
                // What is not there need not be hidden; elsewhere that it went is the agent's doing.
                What::Hidden if !lies_in_a_grant(after, &at) => Step::Mask { at },
                what => Step::Add { at, what: what.into() },
            });
        }
    }
    // What can be refused by the kernel goes first, while there is nothing to take back.
    narrowed.extend(steps);
    narrowed
}

/// Whether the nearest place above `at` shows the host's files, so that what the plan found there is there inside.
fn lies_in_a_grant(after: &[Place], at: &std::path::Path) -> bool {
    let above = after.iter().rev().find(|place| place.at != at && at.starts_with(&place.at));
    above.is_some_and(|place| !matches!(place.what, What::Scratch | What::Hidden))
}

/// Whether the nearest place above `at` is the sandbox's own, so that its mount point was made for it.
fn stands_on_own(after: &[Place], at: &std::path::Path) -> bool {
    let above = after.iter().rev().find(|place| place.at != at && at.starts_with(&place.at));
    above.is_none_or(|place| place.what == What::Scratch)
}

/// Whether what appears where `gone` stood allows everything that it allowed: then nobody need let go of it.
fn allows_as_much(after: &[Place], gone: &Place) -> bool {
    let above = after.iter().rev().find(|place| place.at != gone.at && gone.at.starts_with(&place.at));
    matches!(
        (above.map(|place| &place.what), &gone.what),
        (Some(What::Write(_) | What::Review { .. }), _)
            | (_, What::Hidden)
            | (Some(What::Read(_)), What::Read(_))
    )
}

/// What disappears with the place at `at`, a parent before its children.
fn lost(before: &[Place], at: &std::path::Path) -> Vec<(PathBuf, Shown)> {
    let beneath = before.iter().filter(|place| place.at.starts_with(at));
    beneath.map(|place| (place.at.clone(), (&place.what).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(at: &str) -> Place {
        Place { at: at.into(), what: What::Read(at.into()) }
    }

    fn write(at: &str) -> Place {
        Place { at: at.into(), what: What::Write(at.into()) }
    }

    fn hidden(at: &str) -> Place {
        Place { at: at.into(), what: What::Hidden }
    }

    fn check(before: &[Place], after: &[Place], want: &[&str]) {
        let words: Vec<String> = steps(before, after).iter().map(ToString::to_string).collect();
        assert_eq!(words, want);
    }

    #[test]
    fn only_what_differs_is_touched() {
        check(&[read("/a"), write("/b")], &[read("/a"), write("/b")], &[]);
        check(&[read("/a")], &[read("/a"), write("/b")], &["grant /b for writing"]);
        check(&[read("/a"), write("/b")], &[read("/a")], &["take /b away"]);
        check(&[write("/a")], &[read("/a")], &["make /a read-only"]);
        check(&[read("/a")], &[write("/a")], &["make /a writable"]);
    }

    #[test]
    fn a_change_starts_from_the_masks_that_are_there() {
        let mounted = Mounted {
            points: ["/a".into(), "/a/stays".into(), "/a/came".into()].into(),
            masks: ["/a/stays".into(), "/a/came".into()].into(),
        };
        let now = before_now(&[write("/a"), hidden("/a/gone"), hidden("/a/stays")], &mounted);
        assert_eq!(now, [write("/a"), hidden("/a/came"), hidden("/a/stays")]);
    }

    #[test]
    fn what_lies_beneath_is_put_there_again() {
        check(&[write("/a"), read("/a/b")], &[read("/a/b")], &["take /a away", "grant /a/b for reading"]);
        check(
            &[read("/a/b")],
            &[write("/a"), read("/a/b")],
            &["grant /a for writing", "grant /a/b for reading"],
        );
        check(&[write("/a"), hidden("/a/s")], &[write("/a")], &["take /a/s away"]);
        check(&[write("/a")], &[write("/a"), hidden("/a/s")], &["hide /a/s"]);
    }
}

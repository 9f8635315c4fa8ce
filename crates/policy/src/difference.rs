//! What one policy allows and another does not: their meaning compared, not their text.
//!
//! Exact: both policies are asked about one example of each class that their patterns, taken together, tell apart
//! ([`crate::language`]), so that a difference is found if there is one, and each that is reported is a question which
//! both were asked. Denies, captures, programs, addresses and defaults are in it, because the policies themselves answer.

mod files;
mod layers;
mod network;
mod programs;
mod text;

pub(crate) use network::ports;
pub(crate) use programs::names;

use crate::{Mode, Place, Places, Policy, Question, TooLarge};
use serde::Serialize;
use std::collections::HashMap;

/// Everything that two policies answer differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// What becomes allowed.
    pub allowed: Vec<Difference>,
    /// What becomes denied.
    pub denied: Vec<Difference>,
}

/// One difference, with an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Of which kind it is.
    pub kind: Kind,
    /// Something that one of the policies allows and the other does not.
    pub witness: String,
    /// The statement that allows it, in the policy that does.
    pub by: Option<String>,
    /// Where that stands.
    pub place: Option<Place>,
    /// Why the other policy does not.
    pub otherwise: String,
    /// How many classes of questions differ in this way; the witness is of one.
    pub classes: usize,
    /// The question that both were asked, where it is one.
    #[serde(skip)]
    pub question: Option<Question>,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Whether refusals are carried out.
    Mode,
    /// Reading a file.
    Read,
    /// Writing a file, at once or under review.
    Write,
    /// Writing a file at once, without a person who applies it.
    Land,
    /// Executing a program.
    Execute,
    /// Connecting.
    Connect,
    /// Leading a name to an address.
    Address,
    /// A request.
    Request,
    /// One of the operator's secrets in a request.
    Credential,
    /// A connection whose requests nobody looks at.
    Unseen,
    /// Any bytes, neither TLS nor HTTP.
    Raw,
    /// A connection that ends at the model router.
    Route,
    /// A model call, its backend and key.
    Model,
    /// A limit, a device, a home.
    Resource,
}

/// A policy with its places.
pub type Placed<'a> = (&'a Policy, &'a Places);

/// Compares two policies.
///
/// # Errors
/// When they have so many patterns about the same thing that their classes cannot be looked through.
pub fn compare(old: Placed<'_>, new: Placed<'_>) -> Result<Differences, TooLarge> {
    let mut found = Found { old, new, groups: HashMap::new(), order: Vec::new() };
    if old.0.mode() != new.0.mode() {
        let gained = new.0.mode() == Mode::Observe;
        let witness = "what is refused is recorded and let pass (`mode: observe`)".to_owned();
        found.add(
            Seen {
                gained,
                kind: Kind::Mode,
                witness,
                by: None,
                otherwise: "refusals are carried out".into(),
                question: None,
            },
            "",
        );
    }
    files::compare(&mut found)?;
    programs::compare(&mut found)?;
    network::compare(&mut found)?;
    layers::compare(&mut found);
    Ok(found.finish())
}

impl Differences {
    /// Whether the two policies mean the same.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }
}

/// A difference that was seen once.
struct Seen {
    /// Whether it becomes allowed; else it becomes denied.
    gained: bool,
    kind: Kind,
    witness: String,
    by: Option<crate::Statement>,
    otherwise: String,
    question: Option<Question>,
}

/// Whether it is gained, its kind, and what else is alike of what is told as one.
type Key = (bool, Kind, String);

struct Found<'a> {
    old: Placed<'a>,
    new: Placed<'a>,
    groups: HashMap<Key, Difference>,
    order: Vec<Key>,
}

impl Found<'_> {
    /// Takes a difference in; what has the same `group` is told as one, with the first as its witness.
    fn add(&mut self, seen: Seen, group: &str) {
        let statement = seen.by.as_ref().map(ToString::to_string);
        let key = (seen.gained, seen.kind, format!("{statement:?} {group}"));
        if let Some(known) = self.groups.get_mut(&key) {
            known.classes += 1;
            return;
        }
        let places = if seen.gained { self.new.1 } else { self.old.1 };
        let difference = Difference {
            kind: seen.kind,
            witness: seen.witness,
            place: seen.by.as_ref().and_then(|what| places.of(what).cloned()),
            by: statement,
            otherwise: seen.otherwise,
            classes: 1,
            question: seen.question,
        };
        self.order.push(key.clone());
        self.groups.insert(key, difference);
    }

    /// The same for a question, whose words are the witness.
    fn question(
        &mut self,
        (gained, kind): (bool, Kind),
        question: Question,
        by: Option<crate::Statement>,
        otherwise: String,
    ) {
        let group = otherwise.clone();
        let seen =
            Seen { gained, kind, witness: question.to_string(), by, otherwise, question: Some(question) };
        self.add(seen, &group);
    }

    fn finish(mut self) -> Differences {
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.order) {
            let gained = key.0;
            let Some(difference) = self.groups.remove(&key) else { continue };
            if gained { allowed.push(difference) } else { denied.push(difference) }
        }
        Differences { allowed, denied }
    }
}

//! Why a policy answers as it does: the verdict, the statement that gives it with its place, what came near, and the
//! smallest change.
//!
//! An explanation asks the compiled policy itself, so that it cannot say anything else than what would happen; only
//! what is told beside the verdict is looked up here.

mod layers;
mod network;
mod text;

use crate::{Place, Places, Policy, Question, Refusal, Statement};
use serde::Serialize;

/// What a policy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may be done.
    Allowed,
    /// It may not.
    Refused,
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was asked, in canonical form.
    pub question: String,
    /// The answer.
    pub verdict: Verdict,
    /// The name of the statement that gives it, as a record has it; `None` where it is that nothing allows.
    pub rule: Option<String>,
    /// The statements that give it, the deciding one first.
    pub by: Vec<Said>,
    /// Why it is refused, or what happens to what is allowed.
    pub why: String,
    /// What came near to allowing it, the nearest first.
    pub nearest: Vec<Nearest>,
    /// The smallest change that would allow it, as YAML; empty when there is none.
    pub change: String,
    /// Where that change would stand, when it is a change of something that is there.
    pub change_at: Option<Place>,
}

/// A statement with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// In words.
    pub statement: String,
    /// Where it stands; `None` when no document says it.
    pub place: Option<Place>,
    /// The statement itself.
    #[serde(skip)]
    pub what: Statement,
}

/// A statement that almost allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// In words.
    pub statement: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// What kept it from matching.
    pub missed_by: String,
}

/// More misses than this help nobody.
const MOST_NEAR: usize = 3;

impl Policy {
    /// What the policy answers, and why. `places` are those that were read together with it.
    pub fn explain(&self, places: &Places, question: &Question) -> Explanation {
        let told = match question {
            Question::Request { .. } | Question::Connect { .. } => network::explain(self, places, question),
            Question::Read(path) => layers::file(self, places, path, false),
            Question::Write(path) => layers::file(self, places, path, true),
            Question::Execute { .. } => layers::execution(self, places, question),
            Question::Model(name) => layers::model(self, name),
        };
        let by: Vec<Said> = told.by.into_iter().map(|what| said(places, what)).collect();
        Explanation {
            question: question.to_string(),
            verdict: told.verdict,
            rule: by.first().map(|said| said.what.name()),
            by,
            why: told.why,
            nearest: told.nearest,
            change: told.change,
            change_at: told.change_at,
        }
    }
}

fn said(places: &Places, what: Statement) -> Said {
    Said { statement: what.to_string(), place: places.of(&what).cloned(), what }
}

fn near(places: &Places, what: &Statement, missed_by: String) -> Nearest {
    Nearest { statement: what.to_string(), place: places.of(what).cloned(), missed_by }
}

/// What one layer has to say.
struct Told {
    verdict: Verdict,
    by: Vec<Statement>,
    why: String,
    nearest: Vec<Nearest>,
    change: String,
    change_at: Option<Place>,
}

impl Told {
    fn allowed(by: Vec<Statement>, why: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Allowed,
            by,
            why: why.into(),
            nearest: Vec::new(),
            change: String::new(),
            change_at: None,
        }
    }

    fn refused(by: Vec<Statement>, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused, ..Self::allowed(by, why) }
    }

    /// What a refusal says already. Where `change` belongs to something that is there, its place goes along.
    fn of(refusal: &Refusal, by: Vec<Statement>, nearest: Vec<Nearest>, change_at: Option<Place>) -> Self {
        let change = refusal.suggestion.clone();
        Self { nearest, change, change_at, ..Self::refused(by, refusal.reason.to_string()) }
    }
}

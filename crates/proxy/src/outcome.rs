//! What became of an admitted request, told once: when its answer's last byte left, or whoever had it dropped it.

use crate::exit::Exit;
use crate::identify::Flow;
use crate::record::{RequestAdmitted, RequestEnded};
use crate::watched::Knife;
use creel_types::{Generation, RuleId};
use http::Method;
use std::sync::Arc;
use std::time::Instant;

/// An admitted request on its way. Dropping it writes its end down.
pub(crate) struct Outcome {
    pub exit: Arc<Exit>,
    pub flow: Arc<Flow>,
    pub rule: RuleId,
    pub generation: Generation,
    pub method: Method,
    pub path: String,
    /// What it says, in short, where a rule asked.
    pub said: Option<String>,
    pub tls: bool,
    pub knife: Arc<Knife>,
    pub began: Instant,
    pub status: Option<u16>,
}

impl Outcome {
    /// The request as it was admitted.
    pub fn admitted(&self) -> RequestAdmitted<'_> {
        RequestAdmitted {
            who: self.flow.who(self.generation),
            rule: &self.rule,
            method: self.method.as_str(),
            path: &self.path,
            said: self.said.as_deref(),
            tls: self.tls,
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let (sent, received) = self.knife.moved();
        let ended = RequestEnded {
            admitted: self.admitted(),
            status: self.status,
            sent,
            received,
            lasted: self.began.elapsed(),
        };
        // There is nothing left to refuse; the next event meets the same trouble.
        let _ = self.exit.setting.record.answered(&ended);
    }
}

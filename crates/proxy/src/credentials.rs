//! Secrets that are used for the agent, which never holds them.
//!
//! The agent has a placeholder of each: as long as the secret and of the same shape, and worth nothing. Where a rule binds
//! the credential to a request, the secret takes the placeholder's place on the way out, and the placeholder takes the
//! secret's on the way back. A placeholder that goes anywhere else stops the request and raises an alarm; so does the
//! secret itself, which nobody inside can know by right.

mod loan;
mod placeholder;
mod spelled;

pub(crate) use loan::{Loan, Misuse};
pub use placeholder::{Unfit, fits, placeholder};

use creel_net::swap::Swaps;
use creel_policy::{Policy, Refusal, Request};
use creel_types::Secret;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A credential that is ready for use.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its name in the policy.
    pub name: String,
    /// What the agent holds.
    pub placeholder: String,
    /// What is sent.
    pub secret: Secret,
}

/// The credentials of one policy.
#[derive(Debug, Default)]
pub struct Credentials {
    /// In the order of [`Policy::credentials`].
    held: Vec<Held>,
    /// Every secret, and asterisks in its place.
    masks: Swaps,
    /// What was made for each set of bound credentials, a bit for each: there are few sets.
    loans: Mutex<HashMap<u64, Arc<Loan>>>,
}

impl Credentials {
    /// The credentials of a policy, in the order in which it has them.
    pub fn new(held: Vec<Held>) -> Self {
        let mut masks = Swaps::default();
        for held in &held {
            // Exposed to be found where it must not be written down.
            let Ok(secret) = str::from_utf8(held.secret.expose()) else { continue };
            for spelling in spelled::spellings(secret) {
                masks.put(spelling.as_bytes(), "*".repeat(spelling.len()).as_bytes(), 0);
            }
        }
        Self { held, masks, loans: Mutex::default() }
    }

    /// A text that is to be written down, when there is a secret in it, without the secret.
    pub(crate) fn masked(&self, text: &str) -> Option<String> {
        // Nothing is forbidden in it.
        let masked = self.masks.swapped(text.as_bytes()).ok().flatten()?;
        Some(String::from_utf8_lossy(&masked).into_owned())
    }

    /// The same of a refusal: an agent can write a secret that it has into what is refused.
    pub(crate) fn masked_in(&self, refusal: &Refusal) -> Option<Refusal> {
        if self.held.is_empty() {
            return None;
        }
        let mut masked = refusal.clone();
        let missed = masked.nearest.as_mut().map(|nearest| &mut nearest.missed_by);
        for text in [&mut masked.compared, &mut masked.suggestion].into_iter().chain(missed) {
            if let Some(clean) = self.masked(text) {
                *text = clean;
            }
        }
        Some(masked)
    }

    /// What is done with a request's credentials; `None` where there are none at all. Nothing is lent to a request that
    /// goes out unencrypted.
    pub(crate) fn loan(&self, policy: &Policy, ask: &Request<'_>, tls: bool) -> Option<Arc<Loan>> {
        if self.held.is_empty() {
            return None;
        }
        let bound = if tls { policy.bound(ask) } else { Vec::new() };
        let bits = bound.iter().filter(|at| **at < 64).fold(0_u64, |bits, at| bits | 1 << at);
        let mut loans = self.loans.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(loans.entry(bits).or_insert_with(|| Arc::new(Loan::new(&self.held, bits)))))
    }
}

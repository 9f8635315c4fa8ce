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

use creel_policy::{Policy, Request};
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
    /// What was made for each set of bound credentials, a bit for each: there are few sets.
    loans: Mutex<HashMap<u64, Arc<Loan>>>,
}

impl Credentials {
    /// The credentials of a policy, in the order in which it has them.
    pub fn new(held: Vec<Held>) -> Self {
        Self { held, loans: Mutex::default() }
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

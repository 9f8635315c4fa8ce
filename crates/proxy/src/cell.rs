//! The policy in force, exchanged whole.

use crate::credentials::Credentials;
use arc_swap::{ArcSwap, Guard};
use creel_policy::Policy;
use creel_types::Generation;
use std::sync::Arc;

/// One policy and its number.
pub struct InForce {
    /// Its number.
    pub generation: Generation,
    /// The compiled policy.
    pub policy: Arc<Policy>,
    /// What the policy's credentials stand for; empty in a process that forwards nothing.
    pub credentials: Arc<Credentials>,
}

/// Holds the policy in force. Readers never wait, and see one policy whole.
pub struct PolicyCell(ArcSwap<InForce>);

impl PolicyCell {
    /// Begins with `policy`.
    pub fn new(generation: Generation, policy: Arc<Policy>) -> Self {
        Self(ArcSwap::from_pointee(InForce { generation, policy, credentials: Arc::default() }))
    }

    /// Puts another policy in force. [`crate::Exit::rejudge`] then asks it about what is already running.
    pub fn swap(&self, generation: Generation, policy: Arc<Policy>) {
        self.swap_with(generation, policy, Arc::default());
    }

    /// The same for a policy that has credentials.
    pub fn swap_with(&self, generation: Generation, policy: Arc<Policy>, credentials: Arc<Credentials>) {
        self.0.store(Arc::new(InForce { generation, policy, credentials }));
    }

    /// The policy in force now, borrowed for one decision.
    pub fn load(&self) -> Guard<Arc<InForce>> {
        self.0.load()
    }

    /// The number of the policy in force now.
    pub fn generation(&self) -> Generation {
        self.0.load().generation
    }
}

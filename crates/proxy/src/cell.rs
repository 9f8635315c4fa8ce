//! The policy in force, exchanged whole.

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
}

/// Holds the policy in force. Readers never wait, and see one policy whole.
pub struct PolicyCell(ArcSwap<InForce>);

impl PolicyCell {
    /// Begins with `policy`.
    pub fn new(generation: Generation, policy: Arc<Policy>) -> Self {
        Self(ArcSwap::from_pointee(InForce { generation, policy }))
    }

    /// Puts another policy in force. [`crate::Exit::rejudge`] then asks it about what is already running.
    pub fn swap(&self, generation: Generation, policy: Arc<Policy>) {
        self.0.store(Arc::new(InForce { generation, policy }));
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

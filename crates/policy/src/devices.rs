//! Which devices exist in a sandbox beside the harmless ones.

/// The devices of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    pub(crate) gpu: Gpus,
}

impl Devices {
    /// GPUs.
    pub fn gpu(&self) -> &Gpus {
        &self.gpu
    }
}

/// Which GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gpus {
    /// None.
    #[default]
    None,
    /// Whatever there is, but at least one.
    All,
    /// These, by number.
    These(Vec<u32>),
}

//! What stands between a sandbox and the machine, one by one, for the tests that take one away.
//!
//! In a build that is not a unit test of this crate every wall stands, and nothing can change that.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wall {
    /// The Landlock domain.
    Landlock,
    /// The loss of capabilities.
    Capabilities,
    /// That init cannot be inspected.
    Closedness,
    /// Read-only grants.
    ReadOnly,
    /// The mounts over what is hidden.
    Hiding,
    /// The root's being read-only.
    Root,
    /// The rules that capture connections and refuse the rest.
    Capture,
    /// The filter of system calls.
    #[cfg_attr(not(test), expect(dead_code, reason = "the filter is only taken away in tests"))]
    Filter,
}

/// Whether this wall stands.
#[cfg(not(test))]
pub(crate) const fn stands(_: Wall) -> bool {
    true
}

#[cfg(test)]
pub(crate) use knocked_out::{knock_out, stands};

#[cfg(test)]
mod knocked_out {
    use super::Wall;
    use std::sync::atomic::{AtomicU16, Ordering};

    static DOWN: AtomicU16 = AtomicU16::new(0);

    pub(crate) fn knock_out(walls: &[Wall]) {
        DOWN.store(walls.iter().fold(0, |bits, wall| bits | 1 << *wall as u8), Ordering::Relaxed);
    }

    pub(crate) fn stands(wall: Wall) -> bool {
        DOWN.load(Ordering::Relaxed) & (1 << wall as u8) == 0
    }
}

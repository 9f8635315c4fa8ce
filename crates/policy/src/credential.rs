//! Secrets that are used for the agent, and that it never holds.

use crate::Key;

/// A secret with a name, bound to destinations by the rules that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name that rules use.
    pub name: String,
    /// Where the secret is; never the secret, and never [`Key::None`].
    pub secret: Key,
    /// The variable that holds the placeholder inside.
    pub variable: String,
}

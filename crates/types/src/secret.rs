//! A value that must not be seen.

use std::fmt;

/// How the keys of well-known services begin: it says whose key it is, and nothing else.
#[rustfmt::skip]
pub const KEY_BEGINNINGS: &[&str] = &[
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "npm_", "pypi-", "hf_", "dckr_pat_",
    "sk-", "sk-ant-", "sk-ant-api03-", "sk-proj-", "sk-or-v1-", "nvapi-", "sk_", "sk_live_", "sk_test_", "rk_", "rk_live_",
    "pk_", "pk_live_", "whsec_", "xoxa-", "xoxb-", "xoxp-", "xapp-", "AKIA", "ASIA", "AIza", "ya29.", "eyJ", "lin_api_",
    "ntn_", "secret_", "dop_v1_", "SG.",
];

/// Bytes that never appear in a log, a record, a message or an error.
///
/// No `Display`, no `Serialize`, no `PartialEq`; `Debug` prints a fixed word. The one way to the bytes is
/// [`Secret::expose`], so that every use can be found.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes. Every caller says beside the call why it needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // `black_box` keeps the compiler from proving the store dead; without `unsafe` there is no volatile write.
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", Secret::new(*b"sk-123")), "Secret(hidden)");
    }
}

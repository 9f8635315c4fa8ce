//! Digests with the name of their algorithm, and reading that makes one.

use creel_types::Digest;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read};

/// A digest with its algorithm, `sha256:...`; no other algorithm is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub Digest);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest(sha2::Sha256::digest(bytes).into()))
    }

    /// The digits without the algorithm, which do for a file's name.
    pub fn hex(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| format!("`{text}` is no sha256 digest"))?;
        if hex.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!("`{text}` is not in lower case"));
        }
        hex.parse().map(Self).map_err(|_| format!("`{text}` is no sha256 digest"))
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

/// Reads through, digests and counts.
pub(crate) struct Digesting<R> {
    from: R,
    digest: sha2::Sha256,
    count: u64,
}

impl<R: Read> Digesting<R> {
    pub fn new(from: R) -> Self {
        Self { from, digest: sha2::Sha256::new(), count: 0 }
    }

    /// Bytes that were read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what was read, and how many bytes that was.
    pub fn finish(self) -> (Sha256, u64) {
        (Sha256(Digest(self.digest.finalize().into())), self.count)
    }

    /// The same, of everything that is left to be read.
    pub fn exhaust(mut self) -> io::Result<(Sha256, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.finish())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_names_its_algorithm() {
        let check =
            |text: String, good: bool| assert_eq!(Sha256::try_from(text.clone()).is_ok(), good, "{text}");
        check(format!("sha256:{}", "a".repeat(64)), true);
        check(format!("sha256:{}", "A".repeat(64)), false);
        check(format!("sha512:{}", "a".repeat(128)), false);
        check("a".repeat(64), false);
        check(format!("sha256:{}/../x", "a".repeat(59)), false);
    }
}

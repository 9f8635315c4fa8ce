//! Signed checkpoints: every so many lines, and at the end, a line that only the writer could write.
//!
//! The signing key is made with the record, is held in the writer's memory only and goes with it. So whoever gets at
//! the file later cannot write another history that ends in a checkpoint under the same public key. Who can replace
//! the file, header and all, can make a new key: compare the public key with the one that was printed at the start.

use crate::text;
use creel_types::Digest;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::str::FromStr;

/// An Ed25519 public key (RFC 8032), written as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// When it was written, in milliseconds since 1970 UTC.
    pub time: i64,
    /// Whether this is the end of the record.
    pub closed: bool,
    /// Ed25519 signature of the statement, as 128 hexadecimal digits.
    signature: String,
}

/// What a checkpoint says, and its signature covers: this record had this many lines, the last with this digest.
pub(crate) struct Statement<'a> {
    pub(crate) id: &'a str,
    pub(crate) seq: u64,
    pub(crate) prev: Digest,
    pub(crate) time: i64,
    pub(crate) closed: bool,
}

impl Statement<'_> {
    /// The signed bytes: text, so that anyone can check a signature with any tool.
    fn text(&self) -> String {
        let Self { id, seq, prev, time, closed } = self;
        format!("creel-record checkpoint 1\nid {id}\nseq {seq}\nprev {prev}\ntime {time}\nclosed {closed}\n")
    }
}

/// The key that signs one record's checkpoints.
pub(crate) struct Signer(SigningKey);

impl Signer {
    /// A signer with a key of these random bytes.
    pub(crate) fn from_random(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, statement: &Statement<'_>) -> Checkpoint {
        let signature = text::hex(&self.0.sign(statement.text().as_bytes()).to_bytes());
        Checkpoint { time: statement.time, closed: statement.closed, signature }
    }
}

impl Checkpoint {
    /// Whether `key` signed this checkpoint at this place of this record.
    pub(crate) fn is_signed(&self, key: PublicKey, statement: &Statement<'_>) -> bool {
        text::unhex(&self.signature).is_some_and(|bytes| {
            key.0.verify_strict(statement.text().as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
        })
    }
}

/// The text was not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key: expected 64 lower-case hexadecimal digits of a point on the curve")]
pub struct NotAKey;

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = text::unhex(text).ok_or(NotAKey)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| NotAKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(self.0.as_bytes()))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

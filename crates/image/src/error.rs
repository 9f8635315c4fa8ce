//! Why there is no image.

use crate::Sha256;
use crate::layer::LayerError;
use crate::registry::RegistryError;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file of it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something is not as it must be.
    #[error("{what} cannot be used: {why}")]
    Malformed {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
    /// A document or a layer is another than was named.
    #[error("{what} has the digest {found}, not {wanted}")]
    Digest {
        /// What was read.
        what: String,
        /// What it is.
        found: Sha256,
        /// What it was to be.
        wanted: Sha256,
    },
    /// The image is for other machines.
    #[error("the image is for {found}, and this machine is {wanted}")]
    Platform {
        /// The image's.
        found: String,
        /// This machine's.
        wanted: String,
    },
    /// Nothing of that name.
    #[error("{what} holds no image `{name}`; it has: {known}")]
    NoSuchName {
        /// Where it was looked for.
        what: String,
        /// What was looked for.
        name: String,
        /// What is there.
        known: String,
    },
    /// A layer.
    #[error("cannot unpack layer {number} of {of}")]
    Layer {
        /// Counted from one, the lowest first.
        number: usize,
        /// How many there are.
        of: usize,
        /// Why not.
        source: LayerError,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This process could not be confined, so it reads nothing.
    #[error("cannot confine the process that unpacks, so nothing is read")]
    Confine(#[source] creel_kernel::SysError),
}

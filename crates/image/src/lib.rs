//! Images as roots of sandboxes: read from where they are, checked, unpacked into a store that all share.
//!
//! Everything here parses what strangers wrote. So it runs in a process of its own that may write below the store and
//! nowhere else ([`confine`]); a layer is unpacked through descriptors that cannot lead out of its directory; and
//! nothing is in the store under its name before its digests were compared.
//!
//! No overlay is mounted here and no sandbox is known: the result is a list of directories and what the image says
//! about running it.

mod decompress;
mod digest;
mod documents;
mod error;
mod layer;
mod local;
mod named;
mod platform;
mod recipe;
mod reference;
mod registry;
mod source;
mod store;
mod take;

pub use digest::Sha256;
pub use documents::Process;
pub use error::ImageError;
pub use layer::{LayerError, Limits, Skipped, Unpacked, unpack};
pub use reference::{Reference, ReferenceError};
pub use registry::{Access, Credentials, RegistryError};
pub use source::{Source, SourceError};
pub use store::{Held, Image, Named, Store, StoreError};
pub use take::{Progress, Taken, confine, take};

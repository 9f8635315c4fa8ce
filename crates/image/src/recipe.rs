//! What it takes to have an image: pieces, and where they come from.

use crate::ImageError;
use crate::Sha256;
use crate::documents::{Config, Process};
use std::io::Read;

/// The largest index, manifest or configuration.
pub(crate) const MOST_DOCUMENT: u64 = 4 << 20;
/// As many layers as Docker makes; overlayfs takes 500.
pub(crate) const MOST_LAYERS: usize = 127;

/// An image that may not be here yet.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub id: Sha256,
    pub process: Process,
    /// Lowest first.
    pub layers: Vec<Piece>,
}

/// A layer as it is brought.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The name by which its source knows it.
    pub name: String,
    /// What its bytes as they are brought must be, where that is known.
    pub blob: Option<(Sha256, u64)>,
    /// What it must be without its compression, where that is known.
    pub diff_id: Option<Sha256>,
}

/// Where pieces come from.
pub(crate) trait Pieces {
    /// The bytes of a layer, as they are stored there.
    fn open<'a>(&'a mut self, piece: &Piece, say: &'a dyn Fn(u64)) -> Result<Box<dyn Read + 'a>, ImageError>;
}

impl Recipe {
    /// Puts an image's configuration and its layers together.
    pub fn new(
        id: Sha256,
        config: Config,
        pieces: Vec<(String, Option<(Sha256, u64)>)>,
    ) -> Result<Self, ImageError> {
        if !crate::platform::fits(&config.os, &config.architecture) {
            let found = format!("{}/{}", config.os, config.architecture);
            return Err(ImageError::Platform { found, wanted: crate::platform::name() });
        }
        let diffs = config.rootfs.diff_ids;
        if diffs.len() != pieces.len() {
            let why = format!("it has {} layers, and its configuration {}", pieces.len(), diffs.len());
            return Err(ImageError::Malformed { what: "the image".into(), why });
        }
        if pieces.is_empty() || pieces.len() > MOST_LAYERS {
            let why = format!("it has {} layers; 1 to {MOST_LAYERS} can be used", pieces.len());
            return Err(ImageError::Malformed { what: "the image".into(), why });
        }
        let piece = |((name, blob), diff_id)| Piece { name, blob, diff_id: Some(diff_id) };
        let layers = pieces.into_iter().zip(diffs).map(piece).collect();
        Ok(Self { id, process: config.config, layers })
    }
}

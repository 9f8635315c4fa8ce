//! Images from registries, by the OCI distribution protocol (version 1.1, pulling only).
//!
//! HTTPS only. What a registry says is believed where a digest proves it, and nowhere else: a layer is downloaded
//! whole and compared before any of it is decompressed.

mod auth;
mod client;
mod credentials;

pub use credentials::Credentials;

use crate::digest::Digesting;
use crate::documents::{Descriptor, Document};
use crate::recipe::{MOST_DOCUMENT, Piece, Pieces, Recipe};
use crate::store::Open;
use crate::{ImageError, Reference, Sha256, local, platform};
use client::Client;
use creel_net::trust::Trust;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// What a registry is asked with.
#[derive(Debug, Default)]
pub struct Access {
    /// Who vouches for servers.
    pub trust: Trust,
    /// Who asks; nobody in particular when absent.
    pub credentials: Option<Credentials>,
}

/// Why a registry gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection.
    #[error("cannot connect to {server}")]
    Connect {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection or what came over it.
    #[error("cannot read {what} from {server}: {why}")]
    Exchange {
        /// What was asked for.
        what: String,
        /// The server.
        server: String,
        /// The cause.
        why: String,
    },
    /// The registry said no.
    #[error("{server} answers {status} to the request for {what}{why}")]
    Refused {
        /// The server.
        server: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words, behind a colon.
        why: String,
    },
    /// The registry wants a proof that is not known or cannot be had.
    #[error("{server} wants a login that cannot be made: {why}")]
    Login {
        /// The server.
        server: String,
        /// Why not.
        why: String,
    },
    /// The answer is longer than it may be.
    #[error("{server} sends more than {most} bytes for {what}")]
    TooLong {
        /// The server.
        server: String,
        /// What was asked for.
        what: String,
        /// The bound.
        most: u64,
    },
    /// The process lacks something of its own.
    #[error("cannot set up the connection to a registry")]
    Own(#[source] io::Error),
}

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// One repository of a registry.
pub(crate) struct Registry {
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// Where blobs are put on their way.
    scratch: Vec<File>,
}

impl Registry {
    /// Finds the image that a name stands for now. The scratch files are made before, one for each layer.
    pub fn find(reference: &Reference, access: &Access, open: &Open) -> Result<(Recipe, Self), ImageError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RegistryError::Own)?;
        let tls = access.trust.client(false).map_err(|e| RegistryError::Own(io::Error::other(e)))?;
        let client = Client::new(reference, tls, access.credentials.clone());
        let mut registry = Self { runtime, client, scratch: Vec::new() };
        let bytes = registry.document(&format!("manifests/{}", reference.wanted()), MANIFESTS)?;
        if let Some(digest) = &reference.digest {
            local::verify(&reference.to_string(), &bytes, digest)?;
        }
        let recipe = registry.read(reference, &bytes)?;
        for _ in &recipe.layers {
            let scratch = open.scratch()?;
            registry.scratch.push(scratch);
        }
        Ok((recipe, registry))
    }

    fn read(&mut self, reference: &Reference, bytes: &[u8]) -> Result<Recipe, ImageError> {
        let malformed = |why| ImageError::Malformed { what: reference.to_string(), why };
        match Document::read(bytes).map_err(malformed)? {
            Document::Manifest { config, layers } => self.recipe(Sha256::of(bytes), &config, &layers),
            Document::Index(images) => {
                let chosen = platform::choose(&images).ok_or_else(|| {
                    let of = |p: &crate::documents::Platform| format!("{}/{}", p.os, p.architecture);
                    let found: Vec<String> =
                        images.iter().filter_map(|d| d.platform.as_ref().map(of)).collect();
                    ImageError::Platform { found: found.join(", "), wanted: platform::name() }
                })?;
                let inner = self.document(&format!("manifests/{}", chosen.digest), MANIFESTS)?;
                local::verify(&reference.to_string(), &inner, &chosen.digest)?;
                match Document::read(&inner).map_err(malformed)? {
                    Document::Manifest { config, layers } => self.recipe(chosen.digest, &config, &layers),
                    Document::Index(_) => Err(malformed("an index leads to an index".into())),
                }
            }
        }
    }

    fn recipe(
        &mut self,
        id: Sha256,
        config: &Descriptor,
        layers: &[Descriptor],
    ) -> Result<Recipe, ImageError> {
        let bytes = self.document(&format!("blobs/{}", config.digest), "*/*")?;
        local::verify("the image's configuration", &bytes, &config.digest)?;
        let pieces = layers.iter().map(|d| (d.digest.to_string(), Some((d.digest, d.size)))).collect();
        Recipe::new(id, local::read_config(&bytes)?, pieces)
    }

    fn document(&mut self, what: &str, accept: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut keep = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        self.runtime.block_on(self.client.fetch(what, accept, MOST_DOCUMENT, &mut keep))?;
        Ok(bytes)
    }
}

impl Pieces for Registry {
    fn open<'a>(&'a mut self, piece: &Piece, say: &'a dyn Fn(u64)) -> Result<Box<dyn Read + 'a>, ImageError> {
        let Some(((wanted, size), mut file)) = piece.blob.zip(self.scratch.pop()) else {
            return Err(ImageError::Malformed {
                what: piece.name.clone(),
                why: "its digest is not known".into(),
            });
        };
        let mut done = 0;
        let what = format!("blobs/{}", piece.name);
        let mut keep = |part: &[u8]| {
            done += part.len() as u64;
            say(done);
            file.write_all(part)
        };
        self.runtime.block_on(self.client.fetch(&what, "*/*", size, &mut keep))?;
        let again = |source| ImageError::Read { path: what.clone().into(), source };
        file.seek(SeekFrom::Start(0)).map_err(again)?;
        let (found, _) = Digesting::new(&mut file).exhaust().map_err(again)?;
        if found != wanted {
            return Err(ImageError::Digest { what, found, wanted });
        }
        file.seek(SeekFrom::Start(0)).map_err(again)?;
        Ok(Box::new(file))
    }
}

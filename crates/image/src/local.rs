//! Images in files: an OCI layout, the same in a tar file, what `docker save` writes, a root in a tar file.

use crate::digest::Digesting;
use crate::documents::{Config, Descriptor, Document, Saved};
use crate::named::Files;
use crate::recipe::{MOST_DOCUMENT, Piece, Pieces, Recipe};
use crate::{ImageError, Sha256, platform};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// How an index names what is in it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An index may name an index.
const DEEPEST: usize = 3;

/// The image of an OCI layout, by its name where it holds several.
pub(crate) fn layout(files: &mut Files, name: Option<&str>) -> Result<Recipe, ImageError> {
    let what = files.path().display().to_string();
    let bytes = files.document("index.json", MOST_DOCUMENT)?;
    let mut entries = match Document::read(&bytes) {
        Ok(Document::Index(entries)) => entries,
        Ok(_) => return Err(ImageError::Malformed { what, why: "its index.json is no index".into() }),
        Err(why) => return Err(ImageError::Malformed { what, why: format!("its index.json: {why}") }),
    };
    if let Some(name) = name {
        entries = by_name(entries, name, &what)?;
    }
    for _ in 0..DEEPEST {
        let chosen = choose(&entries, &what)?;
        let bytes = blob(files, chosen)?;
        match Document::read(&bytes) {
            Ok(Document::Index(inner)) => entries = inner,
            Ok(Document::Manifest { config, layers }) => {
                let id = chosen.digest;
                return manifest(files, id, &config, &layers);
            }
            Err(why) => return Err(ImageError::Malformed { what: chosen.digest.to_string(), why }),
        }
    }
    Err(ImageError::Malformed { what, why: format!("indexes lead to indexes more than {DEEPEST} times") })
}

fn by_name(entries: Vec<Descriptor>, name: &str, what: &str) -> Result<Vec<Descriptor>, ImageError> {
    let of = |d: &Descriptor| d.annotations.get(REF_NAME).cloned();
    let known: Vec<String> = entries.iter().filter_map(of).collect();
    // A name is a tag, or a whole name that ends with it.
    let takes = |d: &Descriptor| of(d).is_some_and(|n| n == name || n.ends_with(&format!(":{name}")));
    let found: Vec<_> = entries.into_iter().filter(takes).collect();
    if found.is_empty() {
        let known = if known.is_empty() { "none with a name".into() } else { known.join(", ") };
        return Err(ImageError::NoSuchName { what: what.to_owned(), name: name.to_owned(), known });
    }
    Ok(found)
}

fn choose<'a>(entries: &'a [Descriptor], what: &str) -> Result<&'a Descriptor, ImageError> {
    if let Some(found) = platform::choose(entries) {
        return Ok(found);
    }
    let names: Vec<&str> =
        entries.iter().filter_map(|d| d.annotations.get(REF_NAME)).map(String::as_str).collect();
    let silent = entries.iter().all(|d| d.platform.is_none());
    if silent && names.len() > 1 {
        let why = format!("it holds several images: name one of {}", names.join(", "));
        return Err(ImageError::Malformed { what: what.to_owned(), why });
    }
    let of = |p: &crate::documents::Platform| format!("{}/{}", p.os, p.architecture);
    let found: Vec<String> = entries.iter().filter_map(|d| d.platform.as_ref().map(of)).collect();
    let found = if found.is_empty() { "nothing that is named".into() } else { found.join(", ") };
    Err(ImageError::Platform { found, wanted: platform::name() })
}

/// A document by its digest.
fn blob(files: &mut Files, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let name = blob_name(&descriptor.digest);
    let bytes = files.document(&name, MOST_DOCUMENT)?;
    verify(&name, &bytes, &descriptor.digest)?;
    Ok(bytes)
}

fn blob_name(digest: &Sha256) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Compares a document with the digest that named it.
pub(crate) fn verify(what: &str, bytes: &[u8], wanted: &Sha256) -> Result<(), ImageError> {
    let found = Sha256::of(bytes);
    if found == *wanted {
        Ok(())
    } else {
        Err(ImageError::Digest { what: what.to_owned(), found, wanted: *wanted })
    }
}

fn manifest(
    files: &mut Files,
    id: Sha256,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<Recipe, ImageError> {
    let bytes = blob(files, config)?;
    let read = read_config(&bytes)?;
    Recipe::new(id, read, layers.iter().map(|d| (blob_name(&d.digest), Some((d.digest, d.size)))).collect())
}

/// An image's configuration.
pub(crate) fn read_config(bytes: &[u8]) -> Result<Config, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|e| ImageError::Malformed { what: "the image's configuration".into(), why: e.to_string() })
}

/// The image of a `docker save` archive; its layers are known by what is in them only.
pub(crate) fn saved(files: &mut Files, name: Option<&str>) -> Result<Recipe, ImageError> {
    let what = files.path().display().to_string();
    if !files.has("manifest.json") && files.has("index.json") {
        return layout(files, name);
    }
    let bytes = files.document("manifest.json", MOST_DOCUMENT)?;
    let all: Vec<Saved> = serde_json::from_slice(&bytes)
        .map_err(|e| ImageError::Malformed { what: what.clone(), why: format!("its manifest.json: {e}") })?;
    let known = || all.iter().flat_map(|saved| saved.tags.clone()).collect::<Vec<_>>().join(", ");
    let takes = |saved: &&Saved| match name {
        Some(name) => saved.tags.iter().any(|tag| tag == name || tag.ends_with(&format!(":{name}"))),
        None => all.len() == 1,
    };
    let Some(image) = all.iter().find(takes) else {
        let name = name.unwrap_or("(one of several must be named)").to_owned();
        return Err(ImageError::NoSuchName { what, name, known: known() });
    };
    let bytes = files.document(&image.config, MOST_DOCUMENT)?;
    let layers = image.layers.iter().map(|layer| (layer.clone(), None)).collect();
    Recipe::new(Sha256::of(&bytes), read_config(&bytes)?, layers)
}

impl Pieces for Files {
    fn open<'a>(
        &'a mut self,
        piece: &Piece,
        _say: &'a dyn Fn(u64),
    ) -> Result<Box<dyn Read + 'a>, ImageError> {
        Self::open(self, &piece.name)
    }
}

/// A root in a tar file: one layer, known by the digest of the whole file.
pub(crate) struct Tarball(PathBuf);

impl Tarball {
    pub fn read(path: &Path) -> Result<(Recipe, Self), ImageError> {
        let failed = |source| ImageError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let (id, size) = Digesting::new(file).exhaust().map_err(failed)?;
        let piece = Piece { name: path.display().to_string(), blob: Some((id, size)), diff_id: None };
        Ok((Recipe { id, process: Default::default(), layers: vec![piece] }, Self(path.to_owned())))
    }
}

impl Pieces for Tarball {
    fn open<'a>(&'a mut self, _: &Piece, _say: &'a dyn Fn(u64)) -> Result<Box<dyn Read + 'a>, ImageError> {
        let file = File::open(&self.0).map_err(|source| ImageError::Read { path: self.0.clone(), source })?;
        Ok(Box::new(BufReader::new(file)))
    }
}

//! From where an image is to the store.

use crate::digest::Digesting;
use crate::layer::{LayerError, Limits, Skipped, Unpacked, unpack};
use crate::local::{self, Tarball};
use crate::named::Files;
use crate::recipe::{Piece, Pieces, Recipe};
use crate::registry::{Access, Registry};
use crate::source::Source;
use crate::store::{Image, Open, Store};
use crate::{ImageError, Sha256};
use creel_kernel::landlock::{self, Right};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What is going on, for a person who waits.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// A layer is here already.
    Have {
        /// Counted from one.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A layer is brought.
    Bringing {
        /// Counted from one.
        number: usize,
        /// How many there are.
        of: usize,
        /// Bytes that came.
        done: u64,
        /// Bytes in all, where that is known.
        size: Option<u64>,
    },
}

/// An image that is in the store now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The image.
    pub image: Image,
    /// What was passed over in the layers that were unpacked now.
    pub skipped: Skipped,
}

/// Leaves this process nothing to write but the store. Call it before anything of an image is read.
pub fn confine(store: &Store) -> Result<(), ImageError> {
    let rules = [(PathBuf::from("/"), Right::Read), (store.root().to_owned(), Right::All)];
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| creel_kernel::SysError::new("prctl", "PR_SET_NO_NEW_PRIVS", errno))
        .and_then(|()| landlock::confine(&rules))
        .map(|_| ())
        .map_err(ImageError::Confine)
}

/// Brings an image into the store under its name; what is there already is not brought again.
pub fn take(
    store: &Store,
    source: &Source,
    access: &Access,
    say: &dyn Fn(Progress),
) -> Result<Taken, ImageError> {
    let open = store.open()?;
    let (recipe, mut pieces): (Recipe, Box<dyn Pieces>) = match source {
        Source::Layout(path, name) => local(Files::directory(path), name.as_deref(), local::layout)?,
        Source::Archive(path, name) => local(Files::archive(path)?, name.as_deref(), local::layout)?,
        Source::Saved(path, name) => local(Files::archive(path)?, name.as_deref(), local::saved)?,
        Source::Tar(path) => {
            let (recipe, tarball) = Tarball::read(path)?;
            (recipe, Box::new(tarball))
        }
        Source::Registry(reference) => {
            let (recipe, registry) = Registry::find(reference, access, &open)?;
            (recipe, Box::new(registry))
        }
        Source::Directory(path) => {
            let why = "a directory is used as it is, not brought".to_owned();
            return Err(ImageError::Malformed { what: path.display().to_string(), why });
        }
    };
    let taken = match store.image(&recipe.id) {
        Some(image) => Taken { image, skipped: Skipped::default() },
        None => bring(&open, recipe, &mut *pieces, say)?,
    };
    open.record(&taken.image, &source.to_string())?;
    Ok(taken)
}

type Read1 = fn(&mut Files, Option<&str>) -> Result<Recipe, ImageError>;

fn local(mut files: Files, name: Option<&str>, read: Read1) -> Result<(Recipe, Box<dyn Pieces>), ImageError> {
    let recipe = read(&mut files, name)?;
    Ok((recipe, Box::new(files)))
}

fn bring(
    open: &Open,
    recipe: Recipe,
    pieces: &mut dyn Pieces,
    say: &dyn Fn(Progress),
) -> Result<Taken, ImageError> {
    let of = recipe.layers.len();
    let mut work = Work { open, pieces, say, of, limits: Limits::default(), skipped: Skipped::default() };
    let pieces = recipe.layers.iter().enumerate();
    let layers = pieces.map(|(index, piece)| work.layer(index + 1, piece)).collect::<Result<_, _>>()?;
    Ok(Taken { image: Image { id: recipe.id, layers, process: recipe.process }, skipped: work.skipped })
}

/// One image while its layers are brought.
struct Work<'a> {
    open: &'a Open,
    pieces: &'a mut dyn Pieces,
    say: &'a dyn Fn(Progress),
    of: usize,
    /// What is left of the image's bounds.
    limits: Limits,
    skipped: Skipped,
}

impl Work<'_> {
    /// Brings a layer unless it is here; gives its name in the store.
    fn layer(&mut self, number: usize, piece: &Piece) -> Result<Sha256, ImageError> {
        // Two who want the same layer bring it once.
        let _claim = piece.diff_id.map(|id| self.open.claim(&id)).transpose()?;
        if let Some(diff_id) = piece.diff_id.filter(|id| self.open.has(id)) {
            (self.say)(Progress::Have { number, of: self.of });
            return Ok(diff_id);
        }
        let draft = self.open.draft()?;
        let unpacked = self.unpack(number, piece, draft.directory()?)?;
        self.open.publish(&draft, &unpacked.diff_id)?;
        self.limits.bytes = self.limits.bytes.saturating_sub(unpacked.bytes);
        self.limits.entries = self.limits.entries.saturating_sub(unpacked.entries);
        self.skipped = self.skipped + unpacked.skipped;
        Ok(unpacked.diff_id)
    }

    fn unpack(&mut self, number: usize, piece: &Piece, into: OwnedFd) -> Result<Unpacked, ImageError> {
        let (of, say) = (self.of, self.say);
        let size = piece.blob.map(|(_, size)| size);
        let tell = |done| say(Progress::Bringing { number, of, done, size });
        let mut bytes = Told { from: Digesting::new(self.pieces.open(piece, &tell)?), tell: &tell };
        let failed = |source| ImageError::Layer { number, of, source };
        let unpacked = unpack(&mut bytes, into, self.limits).map_err(failed)?;
        // What lies behind the compressed stream belongs to the digest, too.
        let read = bytes.from.exhaust().map_err(|source| failed(LayerError::Read(source)))?;
        compare(&format!("layer {number} of {of}"), piece, read, unpacked.diff_id)?;
        Ok(unpacked)
    }
}

/// Compares what was read, and what it was without its compression, with what was named.
fn compare(what: &str, piece: &Piece, read: (Sha256, u64), diff_id: Sha256) -> Result<(), ImageError> {
    let (found, count) = read;
    if let Some((wanted, size)) = piece.blob {
        if count != size {
            let why = format!("it has {count} bytes, not {size}");
            return Err(ImageError::Malformed { what: what.to_owned(), why });
        }
        if found != wanted {
            return Err(ImageError::Digest { what: what.to_owned(), found, wanted });
        }
    }
    match piece.diff_id {
        Some(wanted) if wanted != diff_id => {
            let what = format!("{what} without its compression");
            Err(ImageError::Digest { what, found: diff_id, wanted })
        }
        _ => Ok(()),
    }
}

/// Tells how far reading is.
struct Told<'a, R> {
    from: Digesting<R>,
    tell: &'a dyn Fn(u64),
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        (self.tell)(self.from.count());
        Ok(count)
    }
}

impl std::ops::Add for Skipped {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            devices: self.devices + other.devices,
            others: self.others + other.others,
            owners: self.owners + other.owners,
            set_id: self.set_id + other.set_id,
        }
    }
}

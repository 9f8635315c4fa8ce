//! The store: unpacked layers that all images share, and what images there are.
//!
//! ```text
//! lock             shared by who adds or reads, exclusive to who removes
//! layers/DIFF_ID/  one unpacked layer; held by a lock while a sandbox stands on it
//! locks/DIFF_ID    held by who unpacks that layer
//! images/ID.json   an image: its layers and how it wants to be run
//! refs/*.json      a name and the image that it stood for last
//! tmp/             what is not complete; removed by the next who finds nobody at work
//! ```
//!
//! A thing appears under its name by a rename, after its contents are on the disk; so whoever is interrupted, at any
//! moment, leaves the store whole.

mod lock;
mod write;

use crate::Sha256;
use crate::documents::Process;
use lock::Lock;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody's home directory.
    #[error("cannot tell where images are kept: set HOME or XDG_DATA_HOME to an absolute path")]
    NoPlace,
    /// A file or directory of it.
    #[error("cannot {what} {} in the image store", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something else is at work there.
    #[error("images are being pulled or looked up at the moment: try again when that is over")]
    Busy,
    /// The image lacks a layer.
    #[error("the image {0} is not whole any more: pull it again")]
    Incomplete(Sha256),
    /// No such name.
    #[error("there is no image `{0}`: `creel image ls` lists them")]
    Unknown(String),
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of what describes it: its manifest, its configuration where it has no manifest, or the tar file.
    pub id: Sha256,
    /// The digests of its layers' tar streams, which are their names in the store; lowest first.
    pub layers: Vec<Sha256>,
    /// How it wants to be run.
    pub process: Process,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// As a person wrote it, made complete.
    pub name: String,
    /// What it stood for last.
    pub image: Sha256,
    /// When that was, in seconds since 1970.
    pub since: u64,
}

/// The directories of an image, kept from being removed as long as this lives.
#[derive(Debug)]
pub struct Held {
    /// The topmost first.
    pub directories: Vec<PathBuf>,
    _locks: Vec<Lock>,
}

/// The store of one user.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The store while it is added to.
#[derive(Debug)]
pub(crate) struct Open {
    pub store: Store,
    _lock: Lock,
}

impl Store {
    /// Where this user's images are: `$XDG_DATA_HOME/creel/images`; `/var/lib/creel/images` for root.
    pub fn place() -> Result<PathBuf, StoreError> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        if let Some(data) = absolute("XDG_DATA_HOME") {
            return Ok(data.join("creel/images"));
        }
        if rustix::process::getuid().is_root() {
            return Ok(PathBuf::from("/var/lib/creel/images"));
        }
        absolute("HOME").map(|home| home.join(".local/share/creel/images")).ok_or(StoreError::NoPlace)
    }

    /// The store at its place; made if need be.
    pub fn usual() -> Result<Self, StoreError> {
        Self::at(&Self::place()?)
    }

    /// The store in a directory; made if need be.
    pub fn at(root: &Path) -> Result<Self, StoreError> {
        for name in ["layers", "locks", "images", "refs", "tmp"] {
            let path = root.join(name);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|source| StoreError::Io { what: "make", path, source })?;
        }
        let root = root.canonicalize().map_err(failed("find", root))?;
        Ok(Self { root })
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins to add; sweeps first if nobody else is at work.
    pub(crate) fn open(&self) -> Result<Open, StoreError> {
        if let Some(alone) = Lock::exclusive_if_free(&self.root.join("lock"))? {
            self.sweep()?;
            drop(alone);
        }
        Ok(Open { store: self.clone(), _lock: Lock::shared(&self.root.join("lock"))? })
    }

    /// Removes what this process has not completed; for one that is about to end.
    pub fn abandon(&self) -> Result<(), StoreError> {
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&write::mark()))
        };
        write::entries(&self.root.join("tmp"))?
            .iter()
            .filter(|path| ours(path))
            .try_for_each(|path| write::remove(path))
    }

    fn sweep(&self) -> Result<(), StoreError> {
        for path in write::entries(&self.root.join("tmp"))? {
            write::remove(&path)?;
        }
        Ok(())
    }

    fn layer(&self, diff_id: &Sha256) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    /// The image of this digest, if it is here with all its layers.
    pub fn image(&self, id: &Sha256) -> Option<Image> {
        let text = fs::read(self.root.join("images").join(format!("{}.json", id.hex()))).ok()?;
        let image: Image = serde_json::from_slice(&text).ok()?;
        let whole = image.layers.iter().all(|layer| self.layer(layer).is_dir());
        (whole && image.id == *id).then_some(image)
    }

    /// The image that a name stood for last.
    pub fn named(&self, name: &str) -> Option<Image> {
        let text = fs::read(self.name_file(name)).ok()?;
        let named: Named = serde_json::from_slice(&text).ok()?;
        self.image(&named.image).filter(|_| named.name == name)
    }

    fn name_file(&self, name: &str) -> PathBuf {
        self.root.join("refs").join(format!("{}.json", Sha256::of(name.as_bytes()).hex()))
    }

    /// Bytes of an image's files; layers that it shares with others are counted with each.
    pub fn size(&self, image: &Image) -> u64 {
        image.layers.iter().map(|layer| write::size(&self.layer(layer))).sum()
    }

    /// Keeps an image's layers from being removed.
    pub fn hold(&self, image: &Image) -> Result<Held, StoreError> {
        let _shared = Lock::shared(&self.root.join("lock"))?;
        let mut held = Held { directories: Vec::new(), _locks: Vec::new() };
        for layer in image.layers.iter().rev() {
            let path = self.layer(layer);
            // The same layer twice is the same directory, which an overlay refuses; the upper one hides the lower.
            if held.directories.contains(&path) {
                continue;
            }
            let lock = Lock::shared_directory(&path).map_err(|_| StoreError::Incomplete(image.id))?;
            held._locks.push(lock);
            held.directories.push(path);
        }
        if held.directories.is_empty() {
            return Err(StoreError::Incomplete(image.id));
        }
        Ok(held)
    }

    /// All names, in order, with their images where these are whole.
    pub fn list(&self) -> Result<Vec<(Named, Option<Image>)>, StoreError> {
        let mut all = Vec::new();
        for path in write::entries(&self.root.join("refs"))? {
            let named = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Named>(&text).ok());
            all.extend(named.map(|named| (named.clone(), self.image(&named.image))));
        }
        all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Ok(all)
    }

    /// Forgets a name, and removes what nothing else needs.
    pub fn remove(&self, name: &str) -> Result<u64, StoreError> {
        let file = self.name_file(name);
        if !file.exists() {
            return Err(StoreError::Unknown(name.to_owned()));
        }
        fs::remove_file(&file).map_err(failed("remove", &file))?;
        self.prune()
    }

    /// Removes images without a name and layers without an image, but none that a sandbox stands on; gives the bytes
    /// that were freed.
    pub fn prune(&self) -> Result<u64, StoreError> {
        let alone = Lock::exclusive_if_free(&self.root.join("lock"))?;
        let _alone = alone.ok_or(StoreError::Busy)?;
        self.sweep()?;
        let listed = self.list()?;
        let images: BTreeSet<String> = listed.iter().map(|(named, _)| named.image.hex()).collect();
        for path in write::entries(&self.root.join("images"))? {
            if !path.file_stem().is_some_and(|stem| images.contains(&*stem.to_string_lossy())) {
                write::remove(&path)?;
            }
        }
        let kept = listed.iter().filter_map(|(_, image)| image.as_ref()).flat_map(|image| &image.layers);
        let kept: BTreeSet<String> = kept.map(Sha256::hex).collect();
        let mut freed = 0;
        for path in write::entries(&self.root.join("layers"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if kept.contains(&name) {
                continue;
            }
            // A sandbox that stands on it has it locked.
            let Some(_unused) = Lock::exclusive_directory_if_free(&path)? else { continue };
            let away = self.root.join("tmp").join(&name);
            fs::rename(&path, &away).map_err(failed("remove", &path))?;
            freed += write::size(&away);
            write::remove(&away)?;
            let _ = fs::remove_file(self.root.join("locks").join(&name));
        }
        Ok(freed)
    }
}

/// A layer that is not complete; gone when dropped.
pub(crate) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Its directory, to be filled.
    pub fn directory(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.path, flags, Mode::empty())
            .map_err(|errno| failed("open", &self.path)(errno.into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What stays is swept later.
        let _ = write::remove(&self.path);
    }
}

impl Open {
    /// Whether a layer is here.
    pub fn has(&self, diff_id: &Sha256) -> bool {
        self.store.layer(diff_id).is_dir()
    }

    /// Waits until nobody else unpacks this layer.
    pub fn claim(&self, diff_id: &Sha256) -> Result<Lock, StoreError> {
        Lock::exclusive(&self.store.root.join("locks").join(diff_id.hex()))
    }

    /// A new, empty directory for a layer.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        let path = self.store.root.join("tmp").join(write::unique()?);
        fs::DirBuilder::new().mode(0o755).create(&path).map_err(failed("make", &path))?;
        Ok(Draft { path })
    }

    /// A new file for something on its way. Without a name it is gone with this process, however that ends.
    pub fn scratch(&self) -> Result<fs::File, StoreError> {
        let path = self.store.root.join("tmp").join(write::unique()?);
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(failed("make", &path))?;
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        Ok(file)
    }

    /// Gives a complete layer its name; one that is there already stays.
    pub fn publish(&self, draft: &Draft, diff_id: &Sha256) -> Result<(), StoreError> {
        rustix::fs::syncfs(draft.directory()?).map_err(|errno| failed("sync", &draft.path)(errno.into()))?;
        let path = self.store.layer(diff_id);
        match fs::rename(&draft.path, &path) {
            Err(_) if path.is_dir() => Ok(()),
            done => done.and_then(|()| write::sync_parent(&path)).map_err(failed("make", &path)),
        }
    }

    /// Adds an image whose layers are here, under a name.
    pub fn record(&self, image: &Image, name: &str) -> Result<(), StoreError> {
        let root = &self.store.root;
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let named = Named { name: name.to_owned(), image: image.id, since };
        write::whole(root, &root.join("images").join(format!("{}.json", image.id.hex())), image)?;
        write::whole(root, &self.store.name_file(name), &named)
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

//! Files and directories of the store, written whole or not at all.

use super::{StoreError, failed};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a document under its name, over the one that may be there.
pub(super) fn whole(root: &Path, path: &Path, document: &impl Serialize) -> Result<(), StoreError> {
    let text = serde_json::to_vec_pretty(document).map_err(|e| failed("write", path)(e.into()))?;
    let draft = root.join("tmp").join(unique()?);
    let written = || -> io::Result<()> {
        let mut file = fs::File::options().write(true).create_new(true).open(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_parent(path)
    };
    written().map_err(failed("write", path))
}

/// Makes a rename last.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

/// A name that nobody else has, and that tells whose it is.
pub(super) fn unique() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| failed("name", Path::new("a file"))(errno.into()))?;
    Ok(format!("{}{:032x}", mark(), u128::from_le_bytes(bytes)))
}

/// How the names of this process begin.
pub(super) fn mark() -> String {
    format!("{}-", std::process::id())
}

pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read =
        || fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    read().map_err(failed("list", dir))
}

/// Removes a file or a whole directory, without following links, however deep a layer made it.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    creel_kernel::remove::tree(path).map_err(|error| failed("remove", path)(error.errno.into()))
}

/// Bytes of the files below a directory, roughly.
pub(super) fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
            _ => 0,
        })
        .sum()
}

//! One entry of a layer, with its name taken apart and judged.

use super::LayerError;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tar::EntryType;

/// Names that say what is not there (OCI image-spec, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names of aufs' own, which mean nothing here.
const AUFS: &[u8] = b".wh..wh.";

/// Bytes of a name, as `PATH_MAX` has it.
const LONGEST: usize = 4096;

/// What an entry makes, at a path that is relative and normal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A directory; the empty path is the layer's own.
    Directory { at: PathBuf, mode: u32, time: u64 },
    /// A file whose contents follow.
    File { at: PathBuf, mode: u32, time: u64, size: u64 },
    /// A symbolic link; where it leads is the sandbox's affair.
    Symlink { at: PathBuf, to: OsString },
    /// One more name of a file of this layer.
    Link { at: PathBuf, to: PathBuf },
    /// Nothing of this name shows from the layers below.
    Whiteout { at: PathBuf },
    /// Nothing at all shows from the layers below in this directory.
    Opaque { directory: PathBuf },
    /// Not made.
    Device,
}

impl Entry {
    /// `None` for what is passed over.
    pub fn read(raw: &tar::Entry<'_, impl Read>) -> Result<Option<Self>, LayerError> {
        let header = raw.header();
        let name = raw.path_bytes();
        let at = path(&name)?;
        let (mode, time) = (header.mode().unwrap_or(0o644), header.mtime().unwrap_or(0));
        if let Some(entry) = whiteout(&at, &name)? {
            return Ok(entry);
        }
        let to = || raw.link_name_bytes().unwrap_or_default();
        let entry = match header.entry_type() {
            EntryType::Directory => Self::Directory { at, mode, time },
            // As archives older than POSIX have them.
            EntryType::Regular if name.ends_with(b"/") => Self::Directory { at, mode, time },
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                Self::File { at, mode, time, size: raw.size() }
            }
            EntryType::Symlink => {
                let to = to().into_owned();
                if to.is_empty() || to.len() >= LONGEST || to.contains(&0) {
                    return Err(bad(&name, "a symbolic link that leads nowhere"));
                }
                Self::Symlink { at, to: OsString::from_vec(to) }
            }
            EntryType::Link => match path(&to())? {
                to if to.as_os_str().is_empty() => return Err(bad(&name, "it is one more name of nothing")),
                to => Self::Link { at, to },
            },
            EntryType::Char | EntryType::Block => return Ok(Some(Self::Device)),
            _ => return Ok(None),
        };
        match &entry {
            Self::Directory { .. } => {}
            Self::File { at, .. } | Self::Symlink { at, .. } | Self::Link { at, .. }
                if at.as_os_str().is_empty() =>
            {
                return Err(bad(&name, "only a directory can be the layer itself"));
            }
            _ => {}
        }
        Ok(Some(entry))
    }
}

/// What a name that begins with `.wh.` says; the inner `None` is passed over.
#[expect(clippy::option_option, reason = "no whiteout, one that is passed over, one that counts")]
fn whiteout(at: &Path, name: &[u8]) -> Result<Option<Option<Entry>>, LayerError> {
    let last = at.file_name().unwrap_or_default().as_bytes();
    let Some(hidden) = last.strip_prefix(WHITEOUT) else { return Ok(None) };
    let directory = at.parent().unwrap_or(Path::new("")).to_owned();
    if last == OPAQUE {
        return Ok(Some(Some(Entry::Opaque { directory })));
    }
    if last.starts_with(AUFS) {
        return Ok(Some(None));
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(bad(name, "it hides nothing that has a name"));
    }
    Ok(Some(Some(Entry::Whiteout { at: directory.join(OsStr::from_bytes(hidden)) })))
}

/// The name as a relative path. A leading slash is dropped, as all tools do; `..` is refused.
fn path(name: &[u8]) -> Result<PathBuf, LayerError> {
    if name.len() >= LONGEST {
        return Err(bad(&name[..128], "it is longer than 4096 bytes"));
    }
    if name.contains(&0) {
        return Err(bad(name, "there is a NUL in it"));
    }
    let mut path = PathBuf::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(bad(name, "`..` leads out of the layer")),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

fn bad(name: &[u8], why: &'static str) -> LayerError {
    LayerError::Name { name: String::from_utf8_lossy(name).escape_debug().to_string(), why }
}

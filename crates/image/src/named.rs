//! A set of named files: a directory, or a tar file in which they are looked up by their place.

use crate::ImageError;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How many files of an archive are noted.
const MOST_FILES: usize = 65_536;

/// Files by name.
pub(crate) enum Files {
    Directory(PathBuf),
    Archive { path: PathBuf, file: File, members: HashMap<String, Member> },
}

/// Where a member of an archive is.
#[derive(Clone)]
pub(crate) enum Member {
    At {
        offset: u64,
        size: u64,
    },
    /// `docker save` once linked layers that are the same.
    Link(String),
}

impl Files {
    pub fn directory(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }

    /// Looks through a tar file once.
    pub fn archive(path: &Path) -> Result<Self, ImageError> {
        let read = |source| ImageError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let mut members = HashMap::new();
        let mut archive = tar::Archive::new(BufReader::new(file));
        for entry in archive.entries_with_seek().map_err(read)? {
            let entry = entry.map_err(|source| not_tar(path, &source))?;
            let name = plain(&String::from_utf8_lossy(&entry.path_bytes()));
            let member = match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    Member::At { offset: entry.raw_file_position(), size: entry.size() }
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    let hard = entry.header().entry_type() == tar::EntryType::Link;
                    Member::Link(if hard { plain(&target) } else { beside(&name, &target) })
                }
                _ => continue,
            };
            members.insert(name, member);
            if members.len() > MOST_FILES {
                let why = format!("it has more than {MOST_FILES} files");
                return Err(ImageError::Malformed { what: path.display().to_string(), why });
            }
        }
        let file = archive.into_inner().into_inner();
        Ok(Self::Archive { path: path.to_owned(), file, members })
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Archive { path, .. } => path,
        }
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Archive { members, .. } => members.contains_key(&plain(name)),
        }
    }

    /// The bytes of one.
    pub fn open<'a>(&'a mut self, name: &str) -> Result<Box<dyn Read + 'a>, ImageError> {
        let full = self.path().join(name);
        let opened: io::Result<Box<dyn Read>> = match self {
            Self::Directory(path) => below(path, name).map(|file| Box::new(file) as Box<dyn Read>),
            Self::Archive { file, members, .. } => match lookup(members, name) {
                Some((offset, size)) => {
                    file.seek(SeekFrom::Start(offset)).map(|_| Box::new(file.take(size)) as Box<dyn Read>)
                }
                None => Err(io::ErrorKind::NotFound.into()),
            },
        };
        opened.map_err(|source| ImageError::Read { path: full, source })
    }

    /// A small file, whole.
    pub fn document(&mut self, name: &str, most: u64) -> Result<Vec<u8>, ImageError> {
        let path = self.path().join(name);
        let mut bytes = Vec::new();
        let read = self.open(name)?.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|source| ImageError::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > most {
            let why = format!("it is longer than {most} bytes");
            return Err(ImageError::Malformed { what: path.display().to_string(), why });
        }
        Ok(bytes)
    }
}

/// Links of an image's directory lead nowhere outside of it, and only files are opened.
fn below(dir: &Path, name: &str) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, dir, flags, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(rustix::fs::openat2(&dir, name, flags, Mode::empty(), how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}

fn lookup(members: &HashMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = plain(name);
    for _ in 0..8 {
        match members.get(&name)? {
            Member::At { offset, size } => return Some((*offset, *size)),
            Member::Link(to) => name.clone_from(to),
        }
    }
    None
}

fn plain(name: &str) -> String {
    name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// What a relative link in `name` leads to.
fn beside(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn not_tar(path: &Path, error: &io::Error) -> ImageError {
    let why = format!(
        "it cannot be read as a tar file ({error}); one that is compressed must be decompressed first"
    );
    ImageError::Malformed { what: path.display().to_string(), why }
}

//! The directory that a layer becomes.

use super::LayerError;
use super::entry::Entry;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, XattrFlags, fchmod, fsetxattr,
    futimens, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat,
};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The attribute that an overlay mounted with `userxattr` reads.
const OPAQUE: &str = "user.overlay.opaque";

/// A layer's directory while it is filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// The directory that was opened last; most entries follow others of the same one.
    last: Option<(PathBuf, OwnedFd)>,
    /// Times of directories, which change while these are filled.
    times: Vec<(PathBuf, u64)>,
    /// How many directories were made that no entry names.
    implied: u64,
}

impl Tree {
    pub fn new(root: OwnedFd) -> Self {
        Self { root, last: None, times: Vec::new(), implied: 0 }
    }

    /// How many directories were made because something was to stand in them.
    pub fn implied(&self) -> u64 {
        self.implied
    }

    /// Makes what the entry says; `contents` are a file's.
    pub fn make(&mut self, entry: &Entry, contents: &mut impl Read) -> Result<(), LayerError> {
        match entry {
            Entry::Directory { at, mode, time } => self.directory(at, *mode, *time),
            Entry::File { at, mode, time, .. } => self.file(at, *mode, *time, contents),
            Entry::Symlink { at, to } => self.symlink(at, to),
            Entry::Link { at, to } => self.link(at, to),
            Entry::Whiteout { at } => self.whiteout(at),
            Entry::Opaque { directory } => {
                let opened = self.open(directory)?;
                opaque(&opened).map_err(failed("make opaque", directory))
            }
            Entry::Device => Ok(()),
        }
    }

    /// Gives directories their times.
    pub fn finish(self) -> Result<(), LayerError> {
        for (path, time) in &self.times {
            // One that was replaced meanwhile has no time to keep.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
            let Ok(dir) = openat2(&self.root, path, flags, Mode::empty(), how) else { continue };
            futimens(&dir, &times(*time)).map_err(failed("set the time of", path))?;
        }
        Ok(())
    }

    fn directory(&mut self, at: &Path, mode: u32, time: u64) -> Result<(), LayerError> {
        let Some((parent, name)) = self.place(at)? else { return Ok(()) };
        let was = kind(&parent, name);
        if was != Some(FileType::Directory) {
            self.clear(&parent, name, at)?;
            mkdirat(&parent, name, Mode::RWXU).map_err(failed("make the directory", at))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(&parent, name, flags, Mode::empty()).map_err(failed("open the directory", at))?;
        // Its owner must be able to fill it now and to remove it later.
        let mode = Mode::from_raw_mode(mode & 0o1777 | 0o700);
        fchmod(&dir, mode).map_err(failed("set the mode of", at))?;
        if was == Some(FileType::CharacterDevice) {
            // A whiteout came first: what the layers below have in there stays hidden.
            opaque(&dir).map_err(failed("make opaque", at))?;
        }
        self.times.push((at.to_owned(), time));
        Ok(())
    }

    fn file(&mut self, at: &Path, mode: u32, time: u64, contents: &mut impl Read) -> Result<(), LayerError> {
        let Some((parent, name)) = self.place(at)? else { return Ok(()) };
        self.clear(&parent, name, at)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            openat(&parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed("make the file", at))?;
        let mut file = File::from(fd);
        copy(contents, &mut file, at)?;
        let mode = Mode::from_raw_mode(mode & 0o777 | 0o400);
        fchmod(&file, mode).map_err(failed("set the mode of", at))?;
        futimens(&file, &times(time)).map_err(failed("set the time of", at))
    }

    fn symlink(&mut self, at: &Path, to: &OsStr) -> Result<(), LayerError> {
        let Some((parent, name)) = self.place(at)? else { return Ok(()) };
        self.clear(&parent, name, at)?;
        symlinkat(to, &parent, name).map_err(failed("make the symbolic link", at))
    }

    fn link(&mut self, at: &Path, to: &Path) -> Result<(), LayerError> {
        let (Some((parent, name)), Some((from, target))) = (self.place(at)?, self.place(to)?) else {
            return Ok(());
        };
        let good = matches!(kind(&from, target), Some(FileType::RegularFile | FileType::Symlink));
        if !good {
            let why = "it is one more name of what is no file of this layer";
            return Err(LayerError::Name { name: at.display().to_string(), why });
        }
        if at == to {
            return Ok(());
        }
        self.clear(&parent, name, at)?;
        linkat(&from, target, &parent, name, AtFlags::empty()).map_err(failed("link", at))
    }

    /// A whiteout is about the layers below. What this layer itself has of that name stays, but alone.
    fn whiteout(&mut self, at: &Path) -> Result<(), LayerError> {
        let Some((parent, name)) = self.place(at)? else { return Ok(()) };
        match kind(&parent, name) {
            None => mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(failed("make the whiteout", at)),
            Some(FileType::Directory) => {
                let directory = self.open(at)?;
                opaque(&directory).map_err(failed("make opaque", at))
            }
            Some(_) => Ok(()),
        }
    }

    /// The directory that an entry stands in, opened, and its name there; `None` for the layer itself.
    fn place<'a>(&mut self, at: &'a Path) -> Result<Option<(OwnedFd, &'a OsStr)>, LayerError> {
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else { return Ok(None) };
        if name.len() > 255 {
            return Err(failed("make", at)(Errno::NAMETOOLONG));
        }
        Ok(Some((self.open(parent)?, name)))
    }

    /// Opens a directory of the layer, which is made if need be. The kernel keeps the way there inside the layer,
    /// whatever links are on it.
    fn open(&mut self, path: &Path) -> Result<OwnedFd, LayerError> {
        if let Some((known, fd)) = &self.last
            && known == path
        {
            return fd
                .try_clone()
                .map_err(|e| failed("open", path)(Errno::from_io_error(&e).unwrap_or(Errno::IO)));
        }
        let mut opened = self.find(path);
        if matches!(opened, Err(Errno::NOENT)) {
            let mut above = PathBuf::new();
            for part in path.components() {
                let parent = self.find(&above).map_err(failed("open", path))?;
                match mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                    Ok(()) => self.implied += 1,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("make the directory", path)(errno)),
                }
                above.push(part);
            }
            opened = self.find(path);
        }
        let opened = opened.map_err(failed("open", path))?;
        let kept = opened.try_clone().ok();
        self.last = kept.map(|fd| (path.to_owned(), fd));
        Ok(opened)
    }

    fn find(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        openat2(&self.root, path, flags, Mode::empty(), how)
    }

    /// Removes what stands where something new comes.
    fn clear(&mut self, parent: &OwnedFd, name: &OsStr, at: &Path) -> Result<(), LayerError> {
        if kind(parent, name).is_none() {
            return Ok(());
        }
        // The directory that was opened last may be, or lie in, what goes.
        self.last = None;
        let name = CString::new(name.as_bytes()).map_err(|_| failed("replace", at)(Errno::INVAL))?;
        creel_kernel::remove::tree_at(parent, &name).map_err(failed("replace", at))
    }
}

fn kind(parent: &OwnedFd, name: &OsStr) -> Option<FileType> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn opaque(directory: impl AsFd) -> Result<(), Errno> {
    fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())
}

/// Errors of the stream and of the disk are told apart.
fn copy(contents: &mut impl Read, file: &mut File, at: &Path) -> Result<(), LayerError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match contents.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => io::Write::write_all(file, &buffer[..count])
                .map_err(|source| LayerError::Write { name: at.display().to_string(), source })?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LayerError::Read(error)),
        }
    }
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn failed<'a>(what: &'static str, at: &'a Path) -> impl Fn(Errno) -> LayerError + 'a {
    move |source| LayerError::Make { what, name: at.display().to_string(), source }
}

//! Where a sandbox's system directories come from: the host, a directory, or an image.
//!
//! An image is brought by this same program under the name `internal-image`, in a process of its own: the warden must
//! have one thread and no hostile bytes behind it when it makes the sandbox's first process.
//!
//! What a root holds is not trusted here either. The few files of it that are read outside of the sandbox are looked
//! up within it, so a link in it leads nowhere else.

mod merged;

use creel_api::plan::Root;
use creel_image::{Held, Image, Process, Sha256, Source, Store, StoreError};
use creel_policy::Links;
use rustix::fs::{Mode, OFlags, openat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The largest file of a root that is read outside of the sandbox: a bundle of authorities.
const MOST_READ: u64 = 16 << 20;

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The directory, or the image's file.
    #[error("cannot use {} as the root", path.display())]
    Path {
        /// What was asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The host is no root of one's own: all of it would be there.
    #[error(
        "/ is the host itself, and all of it would be seen; leave --root away for its system directories"
    )]
    Host,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process that brings it could not be started.
    #[error("cannot start the process that brings an image")]
    Start(#[source] io::Error),
    /// It said why on standard error.
    #[error("the image {0} could not be brought")]
    NotBrought(String),
}

/// Where the system directories come from.
#[derive(Debug)]
pub struct Base {
    /// How an image wants its program run; nothing where it is none.
    process: Process,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    /// The topmost first.
    layers: Vec<PathBuf>,
    name: String,
    _held: Option<Held>,
}

impl Base {
    /// The host's where nothing is asked for.
    pub fn find(source: Option<Source>, trust: &[PathBuf]) -> Result<Self, RootError> {
        let Some(source) = source else { return Ok(Self { process: Process::default(), own: None }) };
        let asked = source.path().map(Path::to_owned).unwrap_or_default();
        let source = source.absolute().map_err(|source| RootError::Path { path: asked, source })?;
        if let Source::Directory(path) = source {
            if path == Path::new("/") {
                return Err(RootError::Host);
            }
            let name = format!("root {}", path.display());
            let own = Some(Own { layers: vec![path], name, _held: None });
            return Ok(Self { process: Process::default(), own });
        }
        let (store, image) = image(&source, trust)?;
        let held = store.hold(&image)?;
        let name = format!("root {source} {}", image.id);
        let own = Some(Own { layers: held.directories.clone(), name, _held: Some(held) });
        Ok(Self { process: image.process, own })
    }

    /// Whether it is not the host's.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// How an image wants its program run.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// In the plan's words.
    pub fn plan(&self) -> Root {
        self.own.as_ref().map_or(Root::Host, |own| Root::Layers(own.layers.clone()))
    }

    /// In a line, for the record.
    pub fn summary(&self) -> String {
        self.own.as_ref().map_or_else(|| "root of the host".to_owned(), |own| own.name.clone())
    }

    /// A file of it.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let Some(own) = &self.own else { return std::fs::read(path).ok() };
        let (dir, name) = merged::follow(&own.layers, path)?.at?;
        read_in(&dir, &name).ok()
    }

    /// Whether it has this file or directory.
    pub fn has(&self, path: &Path) -> bool {
        let Some(own) = &self.own else { return path.exists() };
        merged::follow(&own.layers, path).is_some()
    }

    /// Where the links of programs' paths lead: in a root of its own as they lie there, and for what is not there, as
    /// it may be granted, on the host.
    pub fn links(&self) -> Links {
        let layers = self.own.as_ref().map(|own| own.layers.clone());
        Links::new(move |path| {
            let own = layers.as_ref().and_then(|layers| merged::follow(layers, path));
            own.map(|found| found.path).or_else(|| path.canonicalize().ok())
        })
    }
}

fn read_in(dir: &OwnedFd, name: &OsStr) -> io::Result<Vec<u8>> {
    // A pipe or a device in its place must neither block nor be read.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(dir, name, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MOST_READ {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    file.take(MOST_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The image in the store: what a registry's name stood for last is used as it is; a file is looked at again.
fn image(source: &Source, trust: &[PathBuf]) -> Result<(Store, Image), RootError> {
    let store = Store::usual()?;
    if matches!(source, Source::Registry(_))
        && let Some(image) = store.named(&source.to_string())
    {
        return Ok((store, image));
    }
    let id = bring(source, trust)?;
    let image = store.image(&id).ok_or(StoreError::Incomplete(id))?;
    Ok((store, image))
}

/// Brings an image into this user's store, in a process of its own that says on standard error what it does.
pub fn bring(source: &Source, trust: &[PathBuf]) -> Result<Sha256, RootError> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("internal-image").stdin(Stdio::null()).stderr(Stdio::inherit());
    for path in trust {
        command.arg("--trust").arg(path);
    }
    let output = command.arg("--").arg(source.to_string()).output().map_err(RootError::Start)?;
    let not_brought = || RootError::NotBrought(source.to_string());
    if !output.status.success() {
        return Err(not_brought());
    }
    let said = String::from_utf8(output.stdout).map_err(|_| not_brought())?;
    Sha256::try_from(said.trim().to_owned()).map_err(|_| not_brought())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn base(layers: &[&Path]) -> Base {
        let layers = layers.iter().map(|layer| layer.to_path_buf()).collect();
        Base { process: Process::default(), own: Some(Own { layers, name: String::new(), _held: None }) }
    }

    #[test]
    fn a_link_of_a_root_does_not_lead_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(dir.path().join("key"), "secret").unwrap();
        fs::write(root.join("etc/real"), "bundle").unwrap();
        symlink(dir.path().join("key"), root.join("etc/absolute")).unwrap();
        symlink("../../key", root.join("etc/relative")).unwrap();
        symlink("/etc/real", root.join("etc/inside")).unwrap();
        let base = base(&[&root]);
        let check = |path: &str, want: Option<&str>| {
            assert_eq!(base.read(Path::new(path)).as_deref(), want.map(str::as_bytes), "{path}");
            assert_eq!(base.has(Path::new(path)), want.is_some(), "{path}");
        };
        check("/etc/real", Some("bundle"));
        check("/etc/inside", Some("bundle"));
        check("/etc/absolute", None);
        check("/etc/relative", None);
    }

    #[test]
    fn the_topmost_layer_that_has_a_file_gives_it() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(low.path().join("a"), "low").unwrap();
        fs::write(low.path().join("b"), "low").unwrap();
        fs::write(high.path().join("a"), "high").unwrap();
        let base = base(&[high.path(), low.path()]);
        assert_eq!(base.read(Path::new("/a")).unwrap(), b"high");
        assert_eq!(base.read(Path::new("/b")).unwrap(), b"low");
        assert!(base.read(Path::new("/c")).is_none());
    }

    #[test]
    fn paths_lead_where_the_overlay_will_show_them() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (l, h) = (low.path(), high.path());
        fs::create_dir_all(l.join("usr/bin")).unwrap();
        fs::create_dir_all(h.join("usr/bin")).unwrap();
        fs::create_dir_all(l.join("old/in")).unwrap();
        fs::create_dir_all(h.join("old")).unwrap();
        fs::create_dir_all(h.join("plain")).unwrap();
        fs::write(l.join("plain"), "a file below a directory").unwrap();
        fs::write(l.join("usr/bin/python3.11"), "").unwrap();
        fs::write(l.join("gone"), "").unwrap();
        symlink("usr/bin", l.join("bin")).unwrap();
        symlink("python3.11", h.join("usr/bin/python3")).unwrap();
        symlink("/bin/python3", h.join("python")).unwrap();
        symlink("../../../bin", h.join("up")).unwrap();
        symlink("loop", h.join("loop")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            h.join("gone"),
            rustix::fs::FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .unwrap();
        rustix::fs::setxattr(h.join("old"), "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
            .unwrap();
        let layers = [h.to_owned(), l.to_owned()];
        let check = |path: &str, want: Option<&str>| {
            let found = merged::follow(&layers, Path::new(path)).map(|found| found.path);
            assert_eq!(found.as_deref(), want.map(Path::new), "{path}");
        };
        check("/bin/python3", Some("/usr/bin/python3.11"));
        check("/python", Some("/usr/bin/python3.11"));
        check("/up/python3.11", Some("/usr/bin/python3.11"));
        check("/usr/../bin", Some("/usr/bin"));
        check("/", Some("/"));
        check("/plain", Some("/plain"));
        for nothing in ["/gone", "/old/in", "/loop", "/plain/x", "/usr/bin/python3.11/x", "/none"] {
            check(nothing, None);
        }
        check("/old", Some("/old"));
    }
}

//! The ground of a sandbox without namespaces: a private directory on the host for what is its own, the host's files
//! where they stand, and a refusal of whatever cannot be had so.
//!
//! Landlock only ever adds up: a rule for a directory reaches everything beneath it, and nothing can be taken out of it
//! again. So what a policy hides or narrows within what it grants is refused, before anything starts.

use crate::environment::CA_BUNDLE;
use crate::survivor::Survivor;
use crate::sweeper;
use creel_api::plan::{Injected, Place, Plan, Root, Tier, What};
use creel_policy::{Access, Gpus, Policy};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a policy cannot be carried out without namespaces.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// It asks for what there is no means for.
    #[error("`isolation: {{ tier: confined }}` cannot do what the policy asks for: {}", .0.join("; "))]
    Beyond(Vec<String>),
    /// No private directory.
    #[error("cannot make {} for the sandbox's own files", path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The private directory of one sandbox; removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Apart {
    directory: PathBuf,
    /// Where the policy's home directory really is.
    home: PathBuf,
    /// Removes the directory when this process cannot.
    _sweeper: Survivor,
}

/// Whether what the policy asks for can be had without namespaces; else everything that cannot.
pub fn fits(policy: &Policy, places: &[Place], root: &Root) -> Result<(), ApartError> {
    let mut beyond = Vec::new();
    if *root != Root::Host {
        beyond.push("a root of its own (--root)".to_owned());
    }
    if policy.process().nested() {
        beyond.push("`process.nested`".to_owned());
    }
    if *policy.devices().gpu() != Gpus::None {
        beyond.push("`devices.gpu`".to_owned());
    }
    let files = policy.filesystem();
    beyond.extend(files.hidden().iter().map(|hide| {
        format!(
            "hiding `{}`: only what is not granted is out of reach; grant what lies beside it",
            hide.as_str()
        )
    }));
    let holds = |path: &Path| shown(places).find(|(at, _)| path.starts_with(at) && path != *at);
    let hides = files.grants().iter().filter(|grant| grant.access == Access::Hide);
    beyond.extend(hides.filter_map(|grant| {
        let path = grant.path.canonicalize().unwrap_or_else(|_| grant.path.clone());
        let (at, _) = holds(&path)?;
        Some(format!(
            "hiding {} within {}: grant what lies beside it instead",
            grant.path.display(),
            at.display()
        ))
    }));
    beyond.extend(places.iter().filter_map(|place| match &place.what {
        What::Review { source, .. } => Some(format!("`access: review` of {}", source.display())),
        What::Read(source) => {
            let above = shown(places).find(|(at, write)| *write && source.starts_with(at) && source != at)?;
            Some(format!(
                "reading only {} within {}, which may be written: grant what lies beside it instead",
                source.display(),
                above.0.display()
            ))
        }
        _ => None,
    }));
    if beyond.is_empty() { Ok(()) } else { Err(ApartError::Beyond(beyond)) }
}

/// What is shown of the host, and whether it may be written.
fn shown(places: &[Place]) -> impl Iterator<Item = (&Path, bool)> {
    places.iter().filter_map(|place| match &place.what {
        What::Read(source) => Some((source.as_path(), false)),
        What::Write(source) | What::Review { source, .. } => Some((source.as_path(), true)),
        What::Hidden | What::Scratch => None,
    })
}

impl Apart {
    /// Makes the private directory, which only this user can enter.
    pub fn stand(places: &[Place], home: &Path) -> Result<Self, ApartError> {
        // Whether a file lies in it is told by its true name.
        let above = std::env::temp_dir();
        let directory = above.canonicalize().unwrap_or(above).join(name());
        let make = |path: &Path| {
            let made = fs::DirBuilder::new().mode(0o700).create(path);
            made.map_err(|source| ApartError::Directory { path: path.to_owned(), source })
        };
        let sweeper = sweeper::start_for_tree(&directory)
            .map_err(|source| ApartError::Directory { path: directory.clone(), source })?;
        make(&directory)?;
        let kept = places.iter().find_map(|place| match &place.what {
            What::Write(source) if place.at == home && source != home => Some(source.clone()),
            _ => None,
        });
        let home = kept.unwrap_or_else(|| directory.join("home"));
        let apart = Self { home, directory, _sweeper: sweeper };
        make(&apart.directory.join("home"))?;
        make(&apart.temporary())?;
        Ok(apart)
    }

    fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    fn bundle(&self) -> PathBuf {
        self.directory.join("ca-certificates.crt")
    }

    /// Turns a plan with namespaces into one without.
    pub fn settle(&self, plan: &mut Plan, home: &Path) -> Result<(), ApartError> {
        self.write_bundle(&plan.etc)?;
        plan.tier = Tier::Confined;
        plan.etc.retain(|file| file.mode & 0o777 == 0);
        plan.places = self.places(&plan.places);
        plan.env = self.environment(std::mem::take(&mut plan.env), home);
        if plan.cwd == home {
            plan.cwd.clone_from(&self.home);
        }
        Ok(())
    }

    /// The places as they stand on the host. What is scratch is the private directory's.
    fn places(&self, places: &[Place]) -> Vec<Place> {
        let stand = |what: What| match &what {
            What::Read(source) | What::Write(source) => Some(Place { at: source.clone(), what }),
            What::Review { .. } | What::Hidden | What::Scratch => None,
        };
        let own = [
            What::Write(self.directory.join("home")),
            What::Write(self.temporary()),
            What::Read(self.bundle()),
        ];
        places.iter().map(|place| place.what.clone()).chain(own).filter_map(stand).collect()
    }

    fn write_bundle(&self, etc: &[Injected]) -> Result<(), ApartError> {
        let path = self.bundle();
        let found = etc.iter().find(|file| Path::new("/etc").join(&file.path) == Path::new(CA_BUNDLE));
        let bytes = found.map(|file| file.bytes.as_slice()).unwrap_or_default();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o400);
        let written = options.open(&path).and_then(|mut file| io::Write::write_all(&mut file, bytes));
        written.map_err(|source| ApartError::Directory { path, source })
    }

    /// The environment with what is elsewhere here; what the operator set otherwise stays.
    fn environment(&self, env: Vec<(OsString, OsString)>, home: &Path) -> Vec<(OsString, OsString)> {
        let instead = |(key, value): (OsString, OsString)| {
            let value = match key.to_str() {
                Some("HOME") if value == home => self.home.clone().into(),
                Some("TMPDIR") if value == "/tmp" => self.temporary().into(),
                _ if value == CA_BUNDLE => self.bundle().into(),
                _ => value,
            };
            (key, value)
        };
        let mut env: Vec<_> = env.into_iter().map(instead).collect();
        // The C library asks name servers by connections then, which are captured; there are no datagrams.
        if !env.iter().any(|(key, _)| key == "RES_OPTIONS") {
            env.push(("RES_OPTIONS".into(), "use-vc".into()));
        }
        env
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // What is left over holds nothing that others can read.
        let _ = creel_kernel::remove::tree(&self.directory);
    }
}

/// A name that nobody else makes.
fn name() -> String {
    let mut bits = [0u8; 16];
    // Where there is no chance to be had, a name that exists is refused when the directory is made.
    let _ = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty());
    bits.iter().fold("creel-".to_owned(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}"); // writing to a String does not fail
        name
    })
}

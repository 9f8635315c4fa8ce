//! From a policy to a plan: which of the host's files stand where.

mod links;

use crate::etc::User;
use creel_api::plan::{Place, What};
use creel_policy::{Access, Filesystem, Grant, Home, Policy};
use links::Astray;
use std::io;
use std::path::{Path, PathBuf};

/// How many entries are looked at to find what a pattern hides.
const MOST_ENTRIES: usize = 200_000;

/// Why a policy makes no plan on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A granted path is not there.
    #[error("the policy grants {}, which cannot be used", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A grant that would show what is never shown.
    #[error("the policy grants {}: {why}", path.display())]
    Forbidden {
        /// The path.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A link that may be the sandbox's own doing.
    #[error(
        "the policy grants {}, but the symbolic link {} leads to {} and a sandbox could have made it; \
         grant what it leads to by its own name",
        path.display(), link.display(), to.display()
    )]
    Planted {
        /// The path.
        path: PathBuf,
        /// The link on the way.
        link: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// It cannot be told what is to be hidden.
    #[error("cannot look at {}, where the policy hides something", path.display())]
    Unseen {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The workspace is too large to look through.
    #[error("{} has more than {MOST_ENTRIES} entries, too many to find what `{pattern}` hides", base.display())]
    TooLarge {
        /// Where the search began.
        base: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// The kept home cannot be made.
    #[error("cannot make {} for the kept home", path.display())]
    Home {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What must never be granted, whatever a policy says.
pub struct Reserved<'a> {
    /// Creel's own state: records of this and other sandboxes.
    pub state: &'a Path,
    /// This run's record.
    pub record: &'a Path,
    /// The store of images, which sandboxes share.
    pub images: Option<&'a Path>,
    /// What stood there before a live change.
    pub before: &'a [Place],
    /// Where what is written under review is kept.
    pub layer: &'a Path,
}

/// Every place in the sandbox's tree beyond the system directories, parents first.
pub fn places(
    filesystem: &Filesystem,
    user: &User,
    reserved: &Reserved<'_>,
) -> Result<Vec<Place>, PlanError> {
    let mut places = vec![home(filesystem.home(), user, reserved)?];
    for grant in filesystem.grants() {
        places.extend(place(grant, filesystem, reserved)?);
    }
    for path in hidden_by_pattern(filesystem)? {
        let at = path.canonicalize().unwrap_or(path);
        places.push(Place { at, what: What::Hidden });
    }
    places.sort_by(|a, b| a.at.cmp(&b.at));
    places.dedup_by(|later, first| later.at == first.at);
    Ok(anchored(places))
}

/// The same places with each directory between a writable place and one inside it held by a mount of its own.
///
/// The kernel refuses to rename or remove a mount point, but not a directory above it: without this, `mv .git away`
/// would take the read-only `.git/hooks` along and leave its name free.
fn anchored(places: Vec<Place>) -> Vec<Place> {
    let mut anchors = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let above = places[..index]
            .iter()
            .rev()
            .find(|outer| place.at.starts_with(&outer.at) && place.at != outer.at);
        let Some(Place { at: outer, what: What::Write(source) }) = above else { continue };
        let between = place.at.ancestors().skip(1).take_while(|dir| *dir != outer);
        anchors.extend(between.filter_map(|dir| {
            let source = source.join(dir.strip_prefix(outer).ok()?);
            Some(Place { at: dir.to_owned(), what: What::Write(source) })
        }));
    }
    let mut all = places;
    for anchor in anchors {
        if !all.iter().any(|place| place.at == anchor.at) {
            all.push(anchor);
        }
    }
    all.sort_by(|a, b| a.at.cmp(&b.at));
    all
}

fn home(home: &Home, user: &User, reserved: &Reserved<'_>) -> Result<Place, PlanError> {
    let what = match home {
        Home::Scratch => What::Scratch,
        Home::Keep(name) => {
            let path = reserved.state.join("homes").join(name.as_str());
            std::fs::create_dir_all(&path)
                .map_err(|source| PlanError::Home { path: path.clone(), source })?;
            What::Write(path)
        }
    };
    Ok(Place { at: user.home.clone(), what })
}

/// The place that one grant asks for; nothing when it is optional and not there, or hides what is not there.
fn place(
    grant: &Grant,
    filesystem: &Filesystem,
    reserved: &Reserved<'_>,
) -> Result<Option<Place>, PlanError> {
    let writable = |dir: &Path| writable_root(dir, filesystem, reserved);
    let source = match links::follow(&grant.path, &writable) {
        Ok(source) => source,
        Err(Astray::Io(source)) if grant.access == Access::Hide && !is_absent(&source) => {
            return Err(PlanError::Unseen { path: grant.path.clone(), source });
        }
        Err(_) if grant.access == Access::Hide => return Ok(None),
        Err(Astray::Planted { link, to }) => {
            return Err(PlanError::Planted { path: grant.path.clone(), link, to });
        }
        Err(Astray::Io(_)) if grant.optional => return Ok(None),
        Err(Astray::Io(source)) => return Err(PlanError::Missing { path: grant.path.clone(), source }),
    };
    let what = match grant.access {
        Access::Hide => What::Hidden,
        Access::Read => What::Read(source.clone()),
        Access::Review => What::Review { source: source.clone(), layer: reserved.layer.to_owned() },
        Access::Write => What::Write(source.clone()),
    };
    if grant.access != Access::Hide {
        forbid(&source, grant, reserved)?;
    }
    let at = position(grant, filesystem, &source, &writable).map_err(|(link, to)| PlanError::Planted {
        path: grant.path.clone(),
        link,
        to,
    })?;
    Ok(Some(Place { at, what }))
}

/// Whether the error says that nothing is there, or nothing that this user, and so the sandbox, could reach. After
/// any other it may be there.
fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let nothing = [Errno::NOENT, Errno::NOTDIR, Errno::ACCESS, Errno::LOOP, Errno::NAMETOOLONG];
    error.raw_os_error().is_some_and(|number| nothing.iter().any(|errno| errno.raw_os_error() == number))
}

/// Where what may be missing stands, of that which is there. What cannot be granted is left out, as if it were missing.
pub fn late(filesystem: &Filesystem, reserved: &Reserved<'_>) -> Vec<Place> {
    let optional = filesystem.grants().iter().filter(|g| g.optional && g.access != Access::Hide);
    optional.filter_map(|grant| place(grant, filesystem, reserved).ok().flatten()).collect()
}

/// The place that holds `dir` and that a sandbox can or could write: by this policy, by the one before it, or as the
/// home that is kept from run to run.
fn writable_root(dir: &Path, filesystem: &Filesystem, reserved: &Reserved<'_>) -> Option<PathBuf> {
    let granted =
        filesystem.grants().iter().filter(|grant| matches!(grant.access, Access::Write | Access::Review));
    let before = reserved.before.iter().filter_map(|place| match &place.what {
        What::Write(source) | What::Review { source, .. } => Some(&**source),
        _ => None,
    });
    let homes = reserved.state.join("homes");
    let roots = granted.map(|grant| &*grant.path).chain(before).chain([&*homes]);
    roots.filter(|root| dir.starts_with(root)).max_by_key(|root| root.as_os_str().len()).map(Path::to_owned)
}

/// Where a grant stands inside. Within another grant the host's own links are there to lead to it, so it stands where
/// they lead; elsewhere it stands under the name that the policy gives it, below a parent that is no link.
///
/// The parent is followed a second time, and a sandbox may have put a link there since: then it would choose where its
/// own files appear, over the system's programs for one. Such a link is refused, with where it leads.
fn position(
    grant: &Grant,
    filesystem: &Filesystem,
    source: &Path,
    writable: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Result<PathBuf, (PathBuf, PathBuf)> {
    let shown = |access| matches!(access, Some(Access::Read | Access::Review | Access::Write));
    let (Some(parent), Some(name)) = (grant.path.parent(), grant.path.file_name()) else {
        return Ok(source.to_owned());
    };
    match links::follow(parent, writable) {
        Err(Astray::Planted { link, to }) => Err((link, to)),
        Ok(parent) if !shown(filesystem.access(&parent)) => Ok(parent.join(name)),
        _ => Ok(source.to_owned()),
    }
}

/// A symbolic link is judged by where it leads, so this looks at the source and not at the name.
fn forbid(source: &Path, grant: &Grant, reserved: &Reserved<'_>) -> Result<(), PlanError> {
    let forbidden = |why| Err(PlanError::Forbidden { path: grant.path.clone(), why });
    if source == Path::new("/") {
        return forbidden("that is everything; grant the directories that are needed");
    }
    for kernel in ["/proc", "/sys", "/dev"] {
        if source.starts_with(kernel) && source != Path::new("/dev/null") {
            return forbidden("the kernel's own files are the sandbox's to make");
        }
    }
    let shared =
        reserved.images.is_some_and(|images| images.starts_with(source) || source.starts_with(images));
    if shared && grant.access == Access::Write {
        return forbidden("it holds the images that other sandboxes stand on; grant what is beside them");
    }
    for own in [reserved.state, reserved.record] {
        if own.starts_with(source) || source.starts_with(own) {
            return forbidden(
                "it holds Creel's own records, which no sandbox may see; use --record or XDG_STATE_HOME to keep them elsewhere",
            );
        }
    }
    Ok(())
}

/// Everything that exists now and that a pattern of `hide:` takes.
fn hidden_by_pattern(filesystem: &Filesystem) -> Result<Vec<PathBuf>, PlanError> {
    let mut found = Vec::new();
    for pattern in filesystem.hidden() {
        let mut left = MOST_ENTRIES;
        let too_large =
            || PlanError::TooLarge { base: pattern.base().to_owned(), pattern: pattern.as_str().to_owned() };
        search(pattern.base(), &mut left, &mut |path| {
            let takes = pattern.matches(path) && filesystem.access(path) == Some(Access::Hide);
            if takes {
                found.push(path.to_owned());
            }
            takes
        })
        .map_err(|stopped| {
            stopped.map_or_else(too_large, |(path, source)| PlanError::Unseen { path, source })
        })?;
    }
    Ok(found)
}

/// What could not be looked at, and why; nothing when there is more than may be looked at.
type Stopped = Option<(PathBuf, io::Error)>;

/// Calls `take` for every entry beneath `dir`, not following links, not into what was taken. Stops when there are more
/// than `left`, and at what may be there and cannot be looked at.
fn search(dir: &Path, left: &mut usize, take: &mut dyn FnMut(&Path) -> bool) -> Result<(), Stopped> {
    let unseen = |path: &Path| {
        let path = path.to_owned();
        move |error| Some((path, error))
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if is_absent(&error) => return Ok(()),
        read => read.map_err(unseen(dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(unseen(dir))?;
        *left = left.checked_sub(1).ok_or(None)?;
        let path = entry.path();
        if !take(&path) && entry.file_type().map_err(unseen(&path))?.is_dir() {
            search(&path, left, take)?;
        }
    }
    Ok(())
}

/// The plan in words, for the record.
pub fn summary(root: String, places: &[Place], policy: &Policy) -> Vec<String> {
    let places = places.iter().map(|place| {
        let verb = match place.what {
            What::Read(_) => "read",
            What::Write(_) => "write",
            What::Review { .. } => "review",
            What::Hidden => "hide",
            What::Scratch => "scratch",
        };
        format!("{verb} {}", place.at.display())
    });
    let mut lines: Vec<String> = std::iter::once(root).chain(places).collect();
    lines.extend(
        policy.inference().backends().iter().map(|b| format!("model backend {} at {}", b.name, b.base_url)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn user() -> User {
        User { name: "ada".into(), uid: 1000, gid: 1000, home: "/home/ada".into() }
    }

    fn planned(workspace: &Path, yaml: &str) -> Result<Vec<Place>, PlanError> {
        let document = creel_api::control::Document {
            name: "test".into(),
            text: format!("version: 1\nname: test\nfilesystem:\n{yaml}\n"),
            base: "/".into(),
        };
        let policy = crate::policies::compile(&[document], workspace, &[]).expect("a valid policy");
        let reserved = Reserved {
            state: Path::new("/nonexistent/state"),
            record: Path::new("/nonexistent/record"),
            images: Some(Path::new("/nonexistent/images")),
            before: &[],
            layer: Path::new("/nonexistent/layer"),
        };
        places(policy.filesystem(), &user(), &reserved)
    }

    #[test]
    fn what_a_pattern_hides_is_found_and_not_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let ws = dir.path().canonicalize().unwrap();
        fs::create_dir_all(ws.join("a/b")).unwrap();
        fs::write(ws.join("a/b/.env"), "").unwrap();
        fs::write(ws.join(".env"), "").unwrap();
        let places =
            planned(&ws, "  workspace: { path: ., access: write }\n  hide: [\"./**/.env\"]").unwrap();
        let hidden: Vec<_> = places.iter().filter(|p| p.what == What::Hidden).map(|p| p.at.clone()).collect();
        assert_eq!(hidden, [ws.join(".env"), ws.join("a/b/.env")]);
    }

    #[test]
    fn a_directory_above_a_read_only_one_cannot_be_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let ws = dir.path().canonicalize().unwrap();
        fs::create_dir_all(ws.join("a/b/c")).unwrap();
        let places = planned(&ws, "  read: [./a/b/c]").unwrap();
        let held = |path: &str| places.iter().find(|p| p.at == ws.join(path)).map(|p| p.what.clone());
        assert_eq!(held("a"), Some(What::Write(ws.join("a"))));
        assert_eq!(held("a/b"), Some(What::Write(ws.join("a/b"))));
        assert_eq!(held("a/b/c"), Some(What::Read(ws.join("a/b/c"))));
    }

    #[test]
    fn a_link_that_a_sandbox_could_have_made_grants_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("ws")).unwrap();
        fs::create_dir_all(top.join("victim")).unwrap();
        std::os::unix::fs::symlink(top.join("victim"), top.join("ws/out")).unwrap();
        let result = planned(&top.join("ws"), "  write: [{ path: ./out, optional: true }]");
        assert!(matches!(result, Err(PlanError::Planted { .. })), "{result:?}");
    }

    #[test]
    fn a_link_into_the_kernels_files_is_judged_by_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let ws = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("/proc/self", ws.join("link")).unwrap();
        let result =
            planned(&ws, &format!("  workspace: {{ access: none }}\n  read: [\"{}/link\"]", ws.display()));
        assert!(matches!(result, Err(PlanError::Forbidden { .. })), "{result:?}");
    }

    #[test]
    fn a_path_that_is_missing_is_an_error_unless_it_is_optional() {
        let dir = tempfile::tempdir().unwrap();
        let ws = dir.path().canonicalize().unwrap();
        let missing = planned(&ws, "  read: [./none]");
        assert!(matches!(missing, Err(PlanError::Missing { .. })), "{missing:?}");
        assert!(planned(&ws, "  read: [{ path: ./none, optional: true }]").is_ok());
    }
}

//! Control groups: bounds on what a whole sandbox uses, where this machine lets the caller make any.
//!
//! For each controller a group is made beside or below the caller's own, in the unified hierarchy (v2) if the
//! controller is delegated there, else in its own hierarchy (v1). What cannot be bounded is told, never ignored.

use crate::{Named, SysError};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a CPU.
    pub millicpus: Option<u64>,
}

/// A controller that bounds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Number of processes and threads.
    Pids,
    /// Memory.
    Memory,
    /// CPU time.
    Cpu,
}

impl Controller {
    /// Its name in the file system.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pids => "pids",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// Moves the calling process, which has one thread, through these doors.
///
/// A thread that moves itself needs no lock over all processes and no grace period; moving it from outside costs
/// twelve milliseconds and more.
pub fn enter(doors: &[OwnedFd]) -> Result<(), SysError> {
    doors.iter().try_for_each(|door| rustix::io::write(door, b"0").map(drop).named("write", "cgroup tasks"))
}

/// A group in every hierarchy that takes part; removed when dropped.
#[derive(Debug, Default)]
pub struct Group {
    unified: Option<(PathBuf, OwnedFd)>,
    separate: Vec<PathBuf>,
    freezer: Option<PathBuf>,
    bounded: Vec<(Controller, String)>,
    unbounded: Vec<(Controller, SysError)>,
    name: String,
    world: World,
}

impl Group {
    /// A group of this name without bounds. In the unified hierarchy it is made now, so that a process can be born
    /// into it; elsewhere when there is something to bound.
    pub fn reserve(name: &str) -> Self {
        let mut group = Self::default();
        (group.name, group.world) = (name.to_owned(), World::read());
        let all = [Controller::Pids, Controller::Memory, Controller::Cpu];
        if let Some(parent) = all.iter().find_map(|controller| group.world.unified(controller.name())) {
            // Whoever cannot make it here is told so when a bound needs it.
            let _ = group.make_unified(&parent);
        }
        group
    }

    /// Sets the bounds. What cannot be bounded is told by [`Group::unbounded`].
    pub fn bound(&mut self, bounds: Bounds) {
        let wanted: Vec<(Controller, u64)> = [
            (Controller::Pids, bounds.pids),
            (Controller::Memory, bounds.memory),
            (Controller::Cpu, bounds.millicpus),
        ]
        .into_iter()
        .filter_map(|(controller, bound)| Some((controller, bound?)))
        .collect();
        if wanted.is_empty() {
            return;
        }
        for (controller, bound) in wanted {
            match self.bound_one(controller, bound) {
                Ok(means) => self.bounded.push((controller, means)),
                Err(error) => self.unbounded.push((controller, error)),
            }
        }
        let freezer = self.world.separate("freezer");
        self.freezer = freezer.and_then(|parent| self.make_separate(&parent).ok());
        // It was read for this alone.
        self.world = World::default();
    }

    fn bound_one(&mut self, controller: Controller, bound: u64) -> Result<String, SysError> {
        if let Some(parent) = self.world.unified(controller.name()) {
            let dir = self.make_unified(&parent)?;
            for (file, text) in unified_files(controller, bound) {
                write(&dir.join(file), &text)?;
            }
            return Ok(format!("cgroup v2 {}.max", controller.name()));
        }
        let parent = self.world.separate(controller.name()).ok_or_else(|| {
            SysError::new("mkdir", format_args!("cgroup with {} controller", controller.name()), Errno::NOENT)
        })?;
        let dir = self.make_separate(&parent)?;
        for (file, text) in separate_files(controller, bound) {
            write(&dir.join(file), &text)?;
        }
        Ok(format!("cgroup v1 {}", controller.name()))
    }

    fn make_unified(&mut self, parent: &Path) -> Result<PathBuf, SysError> {
        if let Some((dir, _)) = &self.unified {
            return Ok(dir.clone());
        }
        let dir = parent.join(&self.name);
        fs::create_dir(&dir).named("mkdir", dir.display())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&dir, flags, Mode::empty()).named("open", dir.display())?;
        self.unified = Some((dir.clone(), fd));
        Ok(dir)
    }

    fn make_separate(&mut self, parent: &Path) -> Result<PathBuf, SysError> {
        let dir = parent.join(&self.name);
        if !self.separate.contains(&dir) {
            fs::create_dir(&dir).named("mkdir", dir.display())?;
            self.separate.push(dir.clone());
        }
        Ok(dir)
    }

    /// The group of the unified hierarchy, to be born into (`CLONE_INTO_CGROUP`).
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(|(_, fd)| fd.as_fd())
    }

    /// Changes the bounds of controllers that bound something already; those without a bound here stay as they are.
    pub fn adjust(&self, bounds: Bounds) -> Result<(), SysError> {
        for (controller, means) in &self.bounded {
            let bound = match controller {
                Controller::Pids => bounds.pids,
                Controller::Memory => bounds.memory,
                Controller::Cpu => bounds.millicpus,
            };
            let Some(bound) = bound else { continue };
            let unified = self.unified.as_ref().filter(|_| means.starts_with("cgroup v2"));
            let (dirs, files) = match unified {
                Some((dir, _)) => (vec![dir], unified_files(*controller, bound)),
                None => (self.separate.iter().collect(), separate_files(*controller, bound)),
            };
            for (file, text) in files {
                for path in dirs.iter().map(|dir| dir.join(file)).filter(|path| path.exists()) {
                    write(&path, &text)?;
                }
            }
        }
        Ok(())
    }

    /// The ways into the groups that a process cannot be born into; it takes them itself with [`enter`].
    pub fn doors(&self) -> Result<Vec<OwnedFd>, SysError> {
        let open = |dir: &PathBuf| {
            let path = dir.join("tasks");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::open(&path, flags, Mode::empty()).named("open", path.display())
        };
        self.separate.iter().map(open).collect()
    }

    /// What is bounded, and by which means.
    pub fn bounded(&self) -> &[(Controller, String)] {
        &self.bounded
    }

    /// What could not be bounded, and why.
    pub fn unbounded(&self) -> &[(Controller, SysError)] {
        &self.unbounded
    }

    /// Directories that this group owns, for a caller that confines itself and still wants to freeze or remove them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.unified.iter().map(|(dir, _)| dir.as_path()).chain(self.separate.iter().map(PathBuf::as_path))
    }

    /// Stops everything in the group, or lets it go on. `EOPNOTSUPP` where no group can.
    pub fn freeze(&self, frozen: bool) -> Result<(), SysError> {
        if let Some((dir, _)) = &self.unified {
            return write(&dir.join("cgroup.freeze"), if frozen { "1" } else { "0" });
        }
        match &self.freezer {
            Some(dir) => write(&dir.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" }),
            None => Err(SysError::new("cgroup.freeze", "no group", Errno::OPNOTSUPP)),
        }
    }

    /// What can hold this group still: the freezer of either version; `None` where neither is to be had.
    pub fn brake(&self) -> Option<&'static str> {
        match (&self.unified, &self.freezer) {
            (Some(_), _) => Some("cgroup v2 freeze"),
            (None, Some(_)) => Some("cgroup v1 freezer"),
            (None, None) => None,
        }
    }

    /// Whether everything in the group stands still; freezing takes a moment.
    pub fn frozen(&self) -> Result<bool, SysError> {
        let (file, word) = match (&self.unified, &self.freezer) {
            (Some((dir, _)), _) => (dir.join("cgroup.events"), "frozen 1"),
            (None, Some(dir)) => (dir.join("freezer.state"), "FROZEN"),
            (None, None) => return Ok(false),
        };
        let text = fs::read_to_string(&file).named("read", file.display())?;
        Ok(text.lines().any(|line| line == word))
    }

    /// Kills everything in the group at once (v2, Linux 5.14). Elsewhere killing init does the same.
    pub fn kill(&self) -> Result<(), SysError> {
        match &self.unified {
            Some((dir, _)) => write(&dir.join("cgroup.kill"), "1"),
            None => Err(SysError::new("cgroup.kill", "no unified group", Errno::OPNOTSUPP)),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let dirs: Vec<PathBuf> = self.paths().map(Path::to_owned).collect();
        for dir in dirs {
            // The kernel may still be putting the last process away, for long on a busy machine: half a second in all.
            // A group that stays is empty and harmless.
            for pause in (0..9).map(|power| Duration::from_millis(1 << power)) {
                match fs::remove_dir(&dir) {
                    Err(e) if Errno::from_io_error(&e) == Some(Errno::BUSY) => {
                        std::thread::sleep(pause);
                    }
                    _ => break,
                }
            }
        }
    }
}

fn unified_files(controller: Controller, bound: u64) -> Vec<(&'static str, String)> {
    match controller {
        Controller::Pids => vec![("pids.max", bound.to_string())],
        Controller::Memory => vec![("memory.max", bound.to_string())],
        Controller::Cpu => vec![("cpu.max", format!("{} 100000", quota(bound)))],
    }
}

fn separate_files(controller: Controller, bound: u64) -> Vec<(&'static str, String)> {
    match controller {
        Controller::Pids => vec![("pids.max", bound.to_string())],
        Controller::Memory => vec![("memory.limit_in_bytes", bound.to_string())],
        Controller::Cpu => {
            vec![("cpu.cfs_period_us", "100000".into()), ("cpu.cfs_quota_us", quota(bound).to_string())]
        }
    }
}

/// Microseconds of CPU time in a period of 100 ms; the kernel takes no less than 1 ms.
fn quota(millicpus: u64) -> u64 {
    millicpus.saturating_mul(100).max(1000)
}

fn write(file: &Path, text: &str) -> Result<(), SysError> {
    fs::write(file, text).named("write", file.display())
}

/// The hierarchies of this machine and the caller's place in them.
#[derive(Debug, Default)]
struct World {
    mountinfo: String,
    own: String,
}

impl World {
    fn read() -> Self {
        // The kernel makes these up as they are read and says no size: a wide buffer saves a dozen short reads.
        let file = |path| {
            let mut text = String::with_capacity(16 * 1024);
            let read = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
            read.map_or_else(|_| String::new(), |_| text)
        };
        Self { mountinfo: file("/proc/self/mountinfo"), own: file("/proc/self/cgroup") }
    }

    /// The nearest group at or above the caller's own in which the caller may make a child with this controller.
    fn unified(&self, controller: &str) -> Option<PathBuf> {
        let (root, _) = self.mounts().find(|m| m.kind == "cgroup2").map(|m| (m.at, m.root))?;
        let own = self.own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let own = root.join(own);
        own.ancestors()
            .take_while(|dir| dir.starts_with(&root))
            .find(|dir| delegates(dir, controller))
            .map(Path::to_owned)
    }

    /// The caller's own group in the controller's separate hierarchy, if it may make a child there.
    fn separate(&self, controller: &str) -> Option<PathBuf> {
        let listed = |list: &str| list.split(',').any(|c| c == controller);
        let mount = self.mounts().find(|m| m.kind == "cgroup" && listed(m.options))?;
        let own = self.own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            if listed(fields.next()?) { fields.next() } else { None }
        })?;
        // In a container the mount may show only a part of the hierarchy, which `root` names.
        let below = own.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or("/");
        let dir = mount.at.join(below.trim_start_matches('/'));
        may_write(&dir).then_some(dir)
    }

    fn mounts(&self) -> impl Iterator<Item = Hierarchy<'_>> {
        self.mountinfo.lines().filter_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            let mut front = front.split(' ').skip(3);
            let mut back = back.split(' ');
            let (root, at) = (front.next()?, PathBuf::from(front.next()?));
            let kind = back.next()?;
            Some(Hierarchy { root, at, kind, options: back.nth(1)? })
        })
    }
}

struct Hierarchy<'a> {
    root: &'a str,
    at: PathBuf,
    kind: &'a str,
    options: &'a str,
}

fn may_write(dir: &Path) -> bool {
    rustix::fs::accessat(CWD, dir, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

fn delegates(dir: &Path, controller: &str) -> bool {
    let has = |file: &str| {
        fs::read_to_string(dir.join(file)).is_ok_and(|list| list.split_whitespace().any(|c| c == controller))
    };
    may_write(dir)
        && may_write(&dir.join("cgroup.procs"))
        && (has("cgroup.subtree_control")
            || (has("cgroup.controllers")
                && fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_place_is_found_in_both_kinds_of_hierarchy() {
        let world = World {
            mountinfo: "30 25 0:26 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
                        31 25 0:27 /docker/x /none rw - cgroup cgroup rw,cpu,cpuacct\n"
                .into(),
            own: "5:pids:/a/b\n4:cpu,cpuacct:/docker/x/y\n0::/\n".into(),
        };
        let found: Vec<_> = world.mounts().map(|m| (m.at, m.root, m.kind, m.options)).collect();
        assert_eq!(found[0], ("/sys/fs/cgroup/pids".into(), "/", "cgroup", "rw,pids"));
        assert_eq!(world.separate("cpu"), None);
        assert_eq!(world.separate("memory"), None);
    }

    #[test]
    fn a_bound_below_what_the_kernel_takes_is_the_least_it_takes() {
        assert_eq!([quota(1), quota(500), quota(u64::MAX)], [1000, 50_000, u64::MAX]);
    }
}

//! Control groups: bounds on what a whole sandbox uses, where this machine lets the caller make any.
//!
//! For each controller a group is made beside or below the caller's own, in the unified hierarchy (v2) if the
//! controller is delegated there, else in its own hierarchy (v1). What cannot be bounded is told, never ignored.

mod files;
mod hits;
mod world;

pub use hits::{Count, Watch};

use crate::{Named, SysError};
use files::{separate_files, unified_files};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use world::World;

/// What to bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of swap, beside the memory.
    pub swap: Option<u64>,
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
    /// Swap.
    Swap,
    /// CPU time.
    Cpu,
}

impl Controller {
    /// What it bounds, in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pids => "pids",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Cpu => "cpu",
        }
    }

    /// The hierarchy that bounds it.
    fn hierarchy(self) -> &'static str {
        match self {
            Self::Memory | Self::Swap => "memory",
            other => other.name(),
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

impl Bounds {
    /// What there is a bound for, memory before swap.
    fn wanted(self) -> impl Iterator<Item = Controller> {
        let each = [
            (Controller::Pids, self.pids),
            (Controller::Memory, self.memory),
            (Controller::Swap, self.swap),
            (Controller::Cpu, self.millicpus),
        ];
        each.into_iter().filter_map(|(controller, bound)| bound.map(|_| controller))
    }
}

/// Where a controller's bound stands.
#[derive(Debug)]
struct Means {
    unified: bool,
    dir: PathBuf,
}

impl Means {
    fn in_words(&self, controller: Controller) -> String {
        match (self.unified, controller) {
            (true, Controller::Swap) => "cgroup v2 memory.swap.max".into(),
            (true, _) => format!("cgroup v2 {}.max", controller.name()),
            (false, Controller::Swap) => "cgroup v1 memory.memsw".into(),
            (false, _) => format!("cgroup v1 {}", controller.name()),
        }
    }
}

/// A group in every hierarchy that takes part; removed when dropped.
#[derive(Debug, Default)]
pub struct Group {
    unified: Option<(PathBuf, OwnedFd)>,
    separate: Vec<PathBuf>,
    freezer: Option<PathBuf>,
    bounded: Vec<(Controller, Means)>,
    unbounded: Vec<(Controller, SysError)>,
    name: String,
    world: World,
}

impl Group {
    /// A group of this name without bounds. In the unified hierarchy it is made now, so that a process can be born
    /// into it; elsewhere when there is something to bound.
    pub fn reserve(name: &str) -> Self {
        Self::reserve_in(name, World::read())
    }

    fn reserve_in(name: &str, world: World) -> Self {
        let mut group = Self::default();
        (group.name, group.world) = (name.to_owned(), world);
        let all = [Controller::Pids, Controller::Memory, Controller::Cpu];
        if let Some(parent) = all.iter().find_map(|controller| group.world.unified(controller.hierarchy())) {
            // Whoever cannot make it here is told so when a bound needs it.
            let _ = group.make_unified(&parent);
        }
        group
    }

    /// Sets the bounds. What cannot be bounded is told by [`Group::unbounded`].
    pub fn bound(&mut self, bounds: Bounds) {
        let wanted: Vec<Controller> = bounds.wanted().collect();
        if wanted.is_empty() {
            return;
        }
        for controller in wanted {
            match self.bound_one(controller, bounds) {
                Ok(means) => self.bounded.push((controller, means)),
                Err(error) => self.unbounded.push((controller, error)),
            }
        }
        let freezer = self.world.separate("freezer");
        self.freezer = freezer.and_then(|parent| self.make_separate(&parent).ok());
        // It was read for this alone.
        self.world = World::default();
    }

    fn bound_one(&mut self, controller: Controller, bounds: Bounds) -> Result<Means, SysError> {
        let hierarchy = controller.hierarchy();
        if let Some(parent) = self.world.unified(hierarchy) {
            let dir = self.make_unified(&parent)?;
            write_all(&dir, &unified_files(controller, bounds))?;
            return Ok(Means { unified: true, dir });
        }
        let parent = self.world.separate(hierarchy).ok_or_else(|| {
            SysError::new("mkdir", format_args!("cgroup with {hierarchy} controller"), Errno::NOENT)
        })?;
        let dir = self.make_separate(&parent)?;
        write_all(&dir, &separate_files(controller, bounds)?)?;
        Ok(Means { unified: false, dir })
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
        let mut files = Vec::new();
        for (controller, means) in &self.bounded {
            if !bounds.wanted().any(|wanted| wanted == *controller) {
                continue;
            }
            let of_one = match means.unified {
                true => unified_files(*controller, bounds),
                false => separate_files(*controller, bounds)?,
            };
            files.extend(of_one.into_iter().map(|(file, text)| (means.dir.join(file), text)));
        }
        // Memory alone must never be more than memory and swap together: raised in the other order than lowered.
        let refused: Vec<_> = files.iter().filter(|(file, text)| write(file, text).is_err()).collect();
        refused.into_iter().try_for_each(|(file, text)| write(file, text))
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
    pub fn bounded(&self) -> impl Iterator<Item = (Controller, String)> {
        self.bounded.iter().map(|(controller, means)| (*controller, means.in_words(*controller)))
    }

    /// Whether it bounds this.
    pub fn bounds(&self, controller: Controller) -> bool {
        self.bounded.iter().any(|(bounded, _)| *bounded == controller)
    }

    /// What tells that a limit was reached, for each that can be told. To be asked for while the caller may still open
    /// files here.
    pub fn watch(&self) -> Vec<Watch> {
        self.bounded.iter().filter_map(|(controller, means)| Watch::open(*controller, means).ok()).collect()
    }

    /// What could not be bounded, and why.
    pub fn unbounded(&self) -> &[(Controller, SysError)] {
        &self.unbounded
    }

    /// Every directory that this group has or may still make, for whoever is to remove them when the caller cannot.
    pub fn places(&self) -> Vec<PathBuf> {
        let hierarchies = ["pids", "memory", "cpu", "freezer"];
        let may_make = hierarchies.iter().filter_map(|hierarchy| self.world.separate(hierarchy));
        let mut places: Vec<PathBuf> = self.paths().map(Path::to_owned).collect();
        places.extend(may_make.map(|parent| parent.join(&self.name)));
        places.sort();
        places.dedup();
        places
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

fn write_all(dir: &Path, files: &[(&str, String)]) -> Result<(), SysError> {
    files.iter().try_for_each(|(file, text)| write(&dir.join(file), text))
}

fn write(file: &Path, text: &str) -> Result<(), SysError> {
    fs::write(file, text).named("write", file.display())
}

#[cfg(test)]
mod tests;

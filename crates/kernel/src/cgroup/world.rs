//! Where groups can be made: the hierarchies that are mounted, and the caller's place in each.

use rustix::fs::{Access, AtFlags, CWD};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The hierarchies of this machine and the caller's place in them.
#[derive(Debug, Default)]
pub(super) struct World {
    mountinfo: String,
    own: String,
}

impl World {
    pub fn read() -> Self {
        // The kernel makes these up as they are read and says no size: a wide buffer saves a dozen short reads.
        let file = |path| {
            let mut text = String::with_capacity(16 * 1024);
            let read = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
            read.map_or_else(|_| String::new(), |_| text)
        };
        Self { mountinfo: file("/proc/self/mountinfo"), own: file("/proc/self/cgroup") }
    }

    #[cfg(test)]
    pub fn of(mountinfo: &str, own: &str) -> Self {
        Self { mountinfo: mountinfo.to_owned(), own: own.to_owned() }
    }

    /// The nearest group at or above the caller's own in which the caller may make a child with this controller.
    pub fn unified(&self, controller: &str) -> Option<PathBuf> {
        let (root, _) = self.mounts().find(|m| m.kind == "cgroup2").map(|m| (m.at, m.root))?;
        let own = self.own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let own = root.join(own);
        own.ancestors()
            .take_while(|dir| dir.starts_with(&root))
            .find(|dir| delegates(dir, controller))
            .map(Path::to_owned)
    }

    /// The caller's own group in the controller's separate hierarchy, if it may make a child there.
    pub fn separate(&self, controller: &str) -> Option<PathBuf> {
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
}

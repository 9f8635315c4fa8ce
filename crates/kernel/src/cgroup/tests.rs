//! Groups against trees of plain files that look like the kernel's.

use super::*;
use tempfile::TempDir;

/// A tree, and what a process somewhere in it reads about it.
struct Tree {
    dir: TempDir,
    mounts: String,
    own: String,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, mounts: String::new(), own: String::new() }
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A unified hierarchy, whose group of the caller's holds these controllers.
    fn unified(mut self, controllers: &str, enabled: &str) -> Self {
        let at = self.dir.path().join("v2").display().to_string();
        self.mounts += &format!("30 25 0:26 / {at} rw - cgroup2 cgroup2 rw,nsdelegate\n");
        self.own += "0::/user/own\n";
        for group in ["v2/user", "v2/user/own"] {
            self.file(&format!("{group}/cgroup.procs"), "");
            self.file(&format!("{group}/cgroup.controllers"), controllers);
            self.file(&format!("{group}/cgroup.subtree_control"), enabled);
        }
        self
    }

    fn separate(mut self, controller: &str) -> Self {
        let at = self.dir.path().join(controller).display().to_string();
        self.mounts += &format!("31 25 0:27 / {at} rw - cgroup cgroup rw,{controller}\n");
        self.own += &format!("5:{controller}:/own\n");
        self.file(&format!("{controller}/own/tasks"), "");
        self
    }

    fn group(&self) -> Group {
        Group::reserve_in("creel-1", World::of(&self.mounts, &self.own))
    }

    fn says(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap_or_else(|e| format!("{file}: {e}"))
    }
}

fn all() -> Bounds {
    Bounds { pids: Some(64), memory: Some(1 << 20), swap: Some(0), millicpus: Some(500) }
}

#[test]
fn what_is_delegated_in_the_unified_hierarchy_is_bounded_there() {
    let tree = Tree::new().unified("cpu memory pids", "cpu memory pids");
    let mut group = tree.group();
    assert!(group.birthplace().is_some(), "a process can be born into it");
    group.bound(all());
    assert!(group.unbounded().is_empty(), "{:?}", group.unbounded());
    for (file, want) in
        [("pids.max", "64"), ("memory.max", "1048576"), ("memory.swap.max", "0"), ("cpu.max", "50000 100000")]
    {
        assert_eq!(tree.says(&format!("v2/user/own/creel-1/{file}")), want, "{file}");
    }
    group.adjust(Bounds { pids: Some(128), ..Bounds::default() }).unwrap();
    assert_eq!(tree.says("v2/user/own/creel-1/pids.max"), "128");
    assert_eq!(tree.says("v2/user/own/creel-1/memory.max"), "1048576");
}

#[test]
fn a_controller_that_is_there_and_not_given_on_is_given_on() {
    let tree = Tree::new().unified("memory pids", "");
    let mut group = tree.group();
    group.bound(Bounds { pids: Some(64), ..Bounds::default() });
    assert_eq!(tree.says("v2/user/own/cgroup.subtree_control"), "+pids");
    assert!(group.bounds(Controller::Pids));
}

#[test]
fn what_no_hierarchy_has_is_told_and_the_rest_is_bounded() {
    let tree = Tree::new().unified("pids", "pids");
    let mut group = tree.group();
    group.bound(all());
    let lacking: Vec<&str> = group.unbounded().iter().map(|(controller, _)| controller.name()).collect();
    assert_eq!(lacking, ["memory", "swap", "cpu"]);
    assert!(group.bounds(Controller::Pids));
    let mut nowhere = Tree::new().group();
    nowhere.bound(all());
    assert_eq!(nowhere.unbounded().len(), 4);
    assert!(nowhere.birthplace().is_none() && nowhere.paths().next().is_none());
}

#[test]
fn separate_hierarchies_bound_what_the_unified_one_does_not_have() {
    let tree = Tree::new().unified("", "").separate("pids").separate("memory");
    let mut group = tree.group();
    assert!(group.birthplace().is_none());
    group.bound(Bounds { swap: Some(1 << 20), ..all() });
    assert_eq!(tree.says("pids/own/creel-1/pids.max"), "64");
    assert_eq!(tree.says("memory/own/creel-1/memory.limit_in_bytes"), "1048576");
    assert_eq!(tree.says("memory/own/creel-1/memory.memsw.limit_in_bytes"), "2097152");
    let words: Vec<String> = group.bounded().map(|(_, means)| means).collect();
    assert_eq!(words, ["cgroup v1 pids", "cgroup v1 memory", "cgroup v1 memory.memsw"]);
}

#[test]
fn how_often_a_limit_was_reached_is_what_the_kernel_counted() {
    let tree = Tree::new().unified("memory pids", "memory pids");
    let mut group = tree.group();
    group.bound(Bounds { swap: None, millicpus: None, ..all() });
    tree.file("v2/user/own/creel-1/pids.events", "max 0\n");
    tree.file("v2/user/own/creel-1/memory.events", "max 9\noom 1\noom_kill 0\n");
    let watches = group.watch();
    let counts = || watches.iter().map(Watch::so_far).collect::<Vec<_>>();
    assert_eq!(counts(), [0, 0]);
    tree.file("v2/user/own/creel-1/memory.events", "max 9\noom 1\noom_kill 3\n");
    tree.file("v2/user/own/creel-1/pids.events", "max 7\n");
    assert_eq!(counts(), [7, 3]);
}

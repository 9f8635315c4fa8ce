//! Every change of what may be done with a path, there and back, seen from inside.
#![allow(clippy::unwrap_used)]

use creel_e2e::Scene;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

const STATES: [&str; 4] = ["none", "read", "write", "hide"];
/// Where the path lies: in nothing that is granted, in what may be read, in what may be written.
const OUTER: [&str; 3] = ["plain", "read", "write"];

/// One path, what it is at first and what it becomes.
struct Case {
    outer: &'static str,
    from: &'static str,
    to: &'static str,
    directory: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for outer in OUTER {
            for from in STATES {
                for to in STATES {
                    all.extend([false, true].map(|directory| Self { outer, from, to, directory }));
                }
            }
        }
        all
    }

    fn name(&self) -> String {
        format!("{}-{}-{}", self.from, self.to, if self.directory { "dir" } else { "file" })
    }

    /// What a program can do: read, write.
    fn want(&self, state: &str) -> &'static str {
        match (state, self.outer) {
            ("hide", _) | ("none", "plain") => "--",
            ("read", _) | ("none", "read") => "r-",
            _ => "rw",
        }
    }
}

/// Tries every path by its own name and by a link to it.
const PROBE: &str = r"
import os, sys
def can(act):
    try: return act()
    except OSError: return False
def read(path):
    with open(path) as file: return file.read() == 'SECRET'
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return True
def make(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)
    return True
for link in sorted(os.listdir('links')):
    for path in (os.readlink('links/' + link), 'links/' + link):
        directory = link.endswith('-dir')
        r = can(lambda: read(path + '/inner' if directory else path))
        w = can(lambda: make(path + '/made') if directory else write(path))
        print(link, ('r' if r else '-') + ('w' if w else '-'))
";

fn policy(scene: &Scene, cases: &[Case], state: impl Fn(&Case) -> &'static str) -> String {
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for outer in ["read", "write"] {
        lists.entry(outer).or_default().push(scene.outside().join(outer).display().to_string());
    }
    for case in cases.iter().filter(|case| state(case) != "none") {
        let path = scene.outside().join(case.outer).join(case.name());
        lists.entry(state(case)).or_default().push(path.display().to_string());
    }
    let mut yaml = "filesystem:\n  workspace: { path: ., access: write }".to_owned();
    for (key, paths) in lists {
        write!(yaml, "\n  {key}: {paths:?}").unwrap();
    }
    yaml
}

fn check(scene: &Scene, cases: &[Case], when: &str, state: impl Fn(&Case) -> &'static str) {
    let shown = scene.verb(&["exec", "-T", &scene.name, "--", "/usr/bin/env", "python3", "-c", PROBE]).ok();
    let seen: Vec<&str> = shown.stdout.lines().collect();
    assert_eq!(seen.len(), cases.len() * 2, "{shown:?}");
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let (link, want) = (format!("{}-{}", case.outer, case.name()), case.want(state(case)));
            let line = format!("{link} {want}");
            let right = seen.iter().filter(|seen| **seen == line).count();
            (right != 2).then(|| format!("{link}: {right} of 2 are {want}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{when}: {wrong:#?}");
}

#[test]
fn every_change_of_a_path_holds_from_inside_there_and_back() {
    let cases = Case::all();
    let scene = Scene::new();
    fs::create_dir(scene.workspace().join("links")).unwrap();
    for case in &cases {
        let path = scene.outside().join(case.outer).join(case.name());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if case.directory {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inner"), "SECRET").unwrap();
        } else {
            fs::write(&path, "SECRET").unwrap();
        }
        let link = scene.workspace().join("links").join(format!("{}-{}", case.outer, case.name()));
        std::os::unix::fs::symlink(&path, link).unwrap();
    }
    let (before, after) = (policy(&scene, &cases, |case| case.from), policy(&scene, &cases, |case| case.to));
    let scene = scene.policy(&before);
    let set = |name: &str, yaml: &str| {
        let path = scene.write_policy(name, yaml);
        scene.verb(&["policy", "set", &scene.name, path.to_str().unwrap()]).ok();
    };
    let _running = scene.start(&["sleep", "1000"]);
    check(&scene, &cases, "before", |case| case.from);
    set("after.yaml", &after);
    check(&scene, &cases, "after", |case| case.to);
    set("back.yaml", &before);
    check(&scene, &cases, "back", |case| case.from);
}

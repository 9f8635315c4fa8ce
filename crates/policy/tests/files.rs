//! Which files a policy grants.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Access, Home};
use std::path::Path;
use support::policy;

const POLICY: &str = "version: 1
name: agent
filesystem:
  workspace: { path: . }
  read: [~/.gitconfig, ./vendor, { path: /data, optional: true }]
  write: [/tmp, ./app/.env]
  hide: [\"./**/.env\", ./vendor/secret, \"~/*.key\"]
  home: keep
";

#[test]
fn the_most_specific_entry_decides() {
    let p = policy(POLICY);
    for (path, want) in [
        ("/home/u/work", Some(Access::Write)),
        ("/home/u/work/src/a.rs", Some(Access::Write)),
        ("/home/u/work/vendor/x", Some(Access::Read)),
        ("/home/u/work/vendor/secret/y", Some(Access::Hide)),
        ("/home/u/work/.env", Some(Access::Hide)),
        ("/home/u/work/a/b/.env/x", Some(Access::Hide)),
        ("/home/u/work/app/.env", Some(Access::Write)),
        ("/home/u/work/.envrc", Some(Access::Write)),
        ("/home/u/.gitconfig", Some(Access::Read)),
        ("/home/u/id.key", Some(Access::Hide)),
        ("/home/u/.ssh/id", None),
        ("/data/x", Some(Access::Read)),
        ("/datax", None),
        ("/tmp/x", Some(Access::Write)),
    ] {
        assert_eq!(p.filesystem().access(Path::new(path)), want, "{path}");
    }
}

#[test]
fn grants_are_ready_for_a_plan() {
    let p = policy(POLICY);
    let files = p.filesystem();
    let grants: Vec<&Path> = files.grants().iter().map(|g| g.path.as_path()).collect();
    assert!(grants.is_sorted(), "a parent stands before its children");
    assert_eq!(files.workspace().unwrap().path, Path::new("/home/u/work"));
    assert_eq!(files.home(), &Home::Keep("agent".parse().unwrap()));
    assert_eq!(files.hidden()[0].base(), Path::new("/home/u/work"));
    assert!(files.grants().iter().find(|g| g.path == Path::new("/data")).unwrap().optional);
}

#[test]
fn creels_own_files_are_hidden_from_a_wider_grant() {
    let p = policy("version: 1\nfilesystem: { write: [\"~/\", /run] }\n");
    for path in
        ["/home/u/.config/creel/p.yaml", "/home/u/.local/state/creel", "/run/creel/x", "/run/user/1/creel/s"]
    {
        assert_eq!(p.filesystem().access(Path::new(path)), Some(Access::Hide), "{path}");
    }
}

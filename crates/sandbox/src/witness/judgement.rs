//! A launch held against the policy: each of its files is asked about, the script and the interpreter.

use super::ground::Ground;
use super::launch::{Launch, Launched};
use creel_policy::{Execute, Policy, Reason, Refusal};
use creel_types::{Caller, RuleId};
use rustix::fs::{OFlags, ResolveFlags, fstat};
use std::path::Path;

/// Where dynamic loaders are, and how their files are named.
const LOADERS: [&str; 6] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/usr/bin/ld.so",
];
const LOADER_NAMES: [&str; 4] = ["ld-linux", "ld-musl-", "ld.so", "ld-2."];

/// Asks the policy about every file of the launch; the rule that allows the first.
pub fn judge(
    policy: &Policy,
    launch: &Launch,
    ground: &Ground,
    parents: &Caller,
) -> Result<Option<RuleId>, Box<Refusal>> {
    let mut rule = None;
    for (at, file) in launch.files.iter().enumerate() {
        let allowed = ask(policy, file, ground, parents)?;
        if at == 0 {
            rule = allowed;
        }
    }
    Ok(rule)
}

/// A refusal of what could not even be put together.
pub fn untold(why: &str, asked: &str, parents: &Caller) -> Box<Refusal> {
    let also = [asked.to_owned()];
    let ask = Execute { names: &[], also: &also, digest: None, arguments: &[], whole: false, parents };
    Box::new(ask.refuse(Reason::Untold(why.to_owned())))
}

fn ask(
    policy: &Policy,
    file: &Launched,
    ground: &Ground,
    parents: &Caller,
) -> Result<Option<RuleId>, Box<Refusal>> {
    let mut names = Vec::new();
    let mut also = vec![text(&file.asked)];
    if file.named {
        names.push(text(&file.path));
        names.extend(
            policy.process().exec_files().iter().filter(|name| leads_to(ground, name, file)).cloned(),
        );
    } else {
        let path = text(&file.path);
        also.extend(path.strip_suffix(" (deleted)").map(str::to_owned));
        also.push(path);
    }
    let arguments: Vec<String> =
        file.arguments.iter().skip(1).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let (digest, whole) = (file.digest, file.whole);
    let ask = Execute { names: &names, also: &also, digest, arguments: &arguments, whole, parents };
    if is_loader(ground, file) {
        let why = "a dynamic loader runs whatever its arguments name; execute the program itself";
        return Err(Box::new(ask.refuse(Reason::Untold(why.to_owned()))));
    }
    policy.execute(&ask).map_err(Box::new)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Whether a name that a rule uses leads to this file: it may be a link to it, or another name of it.
fn leads_to(ground: &Ground, name: &str, file: &Launched) -> bool {
    let found = ground.open(Path::new(name), OFlags::empty(), ResolveFlags::empty());
    found.is_ok_and(|found| fstat(&found).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == file.state.file()))
}

fn is_loader(ground: &Ground, file: &Launched) -> bool {
    let name = file.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    LOADER_NAMES.iter().any(|loader| name.starts_with(loader))
        || LOADERS.iter().any(|loader| leads_to(ground, loader, file))
}

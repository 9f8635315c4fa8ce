//! Files, programs and models.

use super::{MOST_NEAR, Nearest, Told, near};
use crate::filesystem::Decider;
use crate::{Access, Key, Places, Policy, Question, Reason, Statement};
use creel_types::SYSTEM_DIRECTORIES;
use std::path::Path;

/// Directories that every sandbox has of its own, in place of the host's.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

pub(super) fn file(policy: &Policy, places: &Places, path: &Path, write: bool) -> Told {
    let decided = policy.filesystem.deciding(path);
    let by: Vec<Statement> = decided.iter().map(|(decider, _)| statement(decider)).collect();
    let verb = if write { "write" } else { "read" };
    let grant = format!("filesystem:\n  {verb}: [{:?}]   # add to the list", path.to_string_lossy());
    match decided {
        Some((_, Access::Write)) => Told::allowed(by, "it may be read and written, also what is beneath it"),
        Some((_, Access::Review)) if write => {
            Told::allowed(by, "it is written to a view, and lands when a person applies it")
        }
        Some((_, Access::Read | Access::Review)) if !write => {
            Told::allowed(by, "it may be read and executed, also what is beneath it")
        }
        Some((decider, Access::Hide)) => hidden(places, (&decider, path), by, grant),
        Some((decider, _)) => Told {
            nearest: vec![near(places, &statement(&decider), "writing: it may be read only".to_owned())],
            change: grant,
            ..Told::refused(Vec::new(), "no entry lets it be written")
        },
        None => not_granted(policy, places, path, write, grant),
    }
}

fn statement(decider: &Decider<'_>) -> Statement {
    match decider {
        Decider::Path(path) => Statement::Path((*path).to_owned()),
        Decider::Pattern(pattern) => Statement::Hide(pattern.as_str().to_owned()),
    }
}

fn hidden(
    places: &Places,
    (decider, path): (&Decider<'_>, &Path),
    by: Vec<Statement>,
    grant: String,
) -> Told {
    let said = by.first().and_then(|what| places.of(what).cloned());
    let exactly = matches!(decider, Decider::Path(hidden) if *hidden == path);
    let change = match (&said, exactly) {
        // Creel's own directories, which no document can show.
        (None, _) => String::new(),
        (Some(_), true) => "filesystem:\n  hide: []   # leave this entry out".to_owned(),
        (Some(_), false) => format!("{grant}, where it is more specific than what hides it"),
    };
    Told { change_at: said.filter(|_| exactly), change, ..Told::refused(by, "it is hidden: as if absent") }
}

fn not_granted(policy: &Policy, places: &Places, path: &Path, write: bool, grant: String) -> Told {
    let system = SYSTEM_DIRECTORIES.iter().any(|dir| path.starts_with(Path::new("/").join(dir)));
    if system && !write {
        return Told::allowed(Vec::new(), "the system's directories are there for reading in every sandbox");
    }
    if path.starts_with("/etc") && !write {
        let why = "the system's /etc is there for reading, with files of Creel's own over it";
        return Told::allowed(Vec::new(), why);
    }
    let own = PRIVATE.iter().find(|dir| path.starts_with(dir));
    let why = match own {
        Some(own) => {
            format!("nothing grants it: the sandbox has a {own} of its own, and the host's is not there")
        }
        None => "nothing grants it".to_owned(),
    };
    let never = ["/proc", "/sys", "/dev"].iter().any(|dir| path.starts_with(dir))
        || path == Path::new("/")
        || policy.filesystem.own.iter().any(|own| path.starts_with(own));
    let change = if never { String::new() } else { grant };
    Told { nearest: beside(policy, places, path), change, ..Told::refused(Vec::new(), why) }
}

/// Granted paths that begin like this one.
fn beside(policy: &Policy, places: &Places, path: &Path) -> Vec<Nearest> {
    let shared = |other: &Path| path.components().zip(other.components()).take_while(|(a, b)| a == b).count();
    let mut found: Vec<(usize, &Path)> = policy
        .filesystem
        .grants()
        .iter()
        .filter(|grant| grant.access != Access::Hide)
        .map(|grant| (shared(&grant.path), grant.path.as_path()))
        // The root is in every path, and a first directory in too many.
        .filter(|(shared, _)| *shared > 2)
        .collect();
    found.sort_by_key(|(shared, path)| (std::cmp::Reverse(*shared), *path));
    let miss = |(_, other): (usize, &Path)| {
        let what = Statement::Path(other.to_owned());
        near(places, &what, format!("the path: it grants {}", other.to_string_lossy().escape_debug()))
    };
    found.into_iter().take(MOST_NEAR).map(miss).collect()
}

pub(super) fn execution(policy: &Policy, places: &Places, question: &Question) -> Told {
    let Some(ask) = question.execution() else { return Told::refused(Vec::new(), "not a program") };
    let rules = &policy.process.exec;
    match policy.execute(&ask) {
        Ok(_) if !rules.are_said() => {
            Told::allowed(Vec::new(), "the policy says nothing of programs: what can be seen may be executed")
        }
        Ok(None) => Told::allowed(Vec::new(), "no deny takes it, and nothing else is asked"),
        Ok(Some(_)) => Told::allowed(rules.allowing(&ask), "it may be executed by whoever the entry says"),
        Err(refusal) => {
            let by = match refusal.reason {
                Reason::Denied(_) => rules.denying(&ask),
                _ => Vec::new(),
            };
            let misses = rules.near(&ask).into_iter().take(MOST_NEAR);
            let nearest = misses.map(|(what, missed)| near(places, &what, missed)).collect();
            let at = by.first().and_then(|what| places.of(what).cloned());
            Told::of(&refusal, by, nearest, at)
        }
    }
}

pub(super) fn model(policy: &Policy, name: &str) -> Told {
    let Some(route) = policy.inference.route(name) else {
        let example = "inference:\n  backends:\n    - { name: NAME, base_url: \"https://HOST/v1\", key: \"env:VARIABLE\" }\n  \
                       models: { default: [\"NAME/*\"] }";
        return Told {
            change: example.to_owned(),
            ..Told::refused(Vec::new(), "the policy routes no model calls")
        };
    };
    let by = vec![Statement::Models(route.name.clone())];
    let answered = route.models.iter().filter_map(|model| {
        let backend = policy.backend(&model.backend)?;
        let asked = model.model.as_deref().unwrap_or(name);
        let key = match &backend.key {
            Key::None => "without a key".to_owned(),
            Key::Env(variable) => format!("with the operator's key from ${variable}"),
            Key::File(path) => format!("with the operator's key from {}", path.display()),
        };
        Some(format!("{} at {} is asked for {}, {key}", backend.name, backend.base_url, asked.escape_debug()))
    });
    Told::allowed(by, answered.collect::<Vec<_>>().join("; then "))
}

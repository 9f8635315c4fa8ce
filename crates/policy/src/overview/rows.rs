//! Files, programs and what is used up.

use super::Row;
use crate::{Access, Gpus, Grant, Home, Key, Places, Policy, Statement};
use creel_types::SYSTEM_DIRECTORIES;
use std::path::Path;

pub(super) fn read(policy: &Policy, places: &Places) -> Vec<Row> {
    let system = SYSTEM_DIRECTORIES.map(|dir| format!("/{dir}")).join(" ");
    let mut rows =
        vec![Row::always(system, "the system's directories, where they exist; and a view of /etc")];
    rows.extend(granted(policy, places, Access::Read, "read and execute"));
    if policy.filesystem.grants().iter().any(|g| matches!(g.access, Access::Write | Access::Review)) {
        rows.push(Row::always("whatever it can write", "see there"));
    }
    for pattern in policy.filesystem.hidden() {
        let what = Statement::Hide(pattern.as_str().to_owned());
        rows.push(Row::by(
            format!("not {}", shown(Path::new(pattern.as_str()))),
            "hidden wherever it appears",
            &what,
            places,
        ));
    }
    rows
}

pub(super) fn write(policy: &Policy, places: &Places) -> Vec<Row> {
    let mut rows = granted(policy, places, Access::Write, "read, write and execute");
    rows.extend(granted(policy, places, Access::Review, "written to a view; lands when a person applies it"));
    let home = match policy.filesystem.home() {
        Home::Scratch => "a home of its own, empty at the start and gone at the end".to_owned(),
        Home::Keep(name) => format!("a home of its own, kept from one run to the next as `{name}`"),
    };
    rows.push(Row::always("its own home", home));
    rows.push(Row::always("/tmp /var/tmp /dev/shm", "directories of its own, gone at the end"));
    rows
}

fn granted(policy: &Policy, places: &Places, access: Access, how: &str) -> Vec<Row> {
    let grants = policy.filesystem.grants();
    let row = |grant: &Grant| {
        let beneath = |g: &&Grant| g.path != grant.path && g.path.starts_with(&grant.path);
        // What is beneath another entry is an exception of that one.
        let nearest = |g: &&Grant| {
            !grants.iter().any(|o| beneath(&o) && o.path != g.path && g.path.starts_with(&o.path))
        };
        let others = grants.iter().filter(beneath).filter(nearest).filter(|g| g.access != access);
        let except: Vec<String> =
            others.map(|g| format!("{} ({})", shown(&g.path), word(g.access))).collect();
        let mut how = format!("{how}, with all beneath it");
        if !except.is_empty() {
            how += &format!(", except {}", except.join(", "));
        }
        if grant.optional {
            how += "; may be missing";
        }
        Row::by(shown(&grant.path), how, &Statement::Path(grant.path.clone()), places)
    };
    grants.iter().filter(|grant| grant.access == access).map(row).collect()
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Hide => "hidden",
        Access::Read => "read only",
        Access::Review => "under review",
        Access::Write => "writable",
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

pub(super) fn run(policy: &Policy, places: &Places) -> Vec<Row> {
    let rules = &policy.process.exec;
    let mut rows = Vec::new();
    match &rules.allow {
        None => rows.push(Row::always(
            "every program that it can read",
            "also those that it writes or fetches itself",
        )),
        Some(allow) => {
            for entry in allow {
                let what = Statement::Run(entry.written.to_string());
                rows.push(Row::by(&*entry.written, entry.from.in_words(), &what, places));
            }
        }
    }
    for entry in &rules.deny {
        let what = Statement::NotRun(entry.written.to_string());
        rows.push(Row::by(format!("not {}", entry.written), entry.from.in_words(), &what, places));
    }
    if policy.process.nested() {
        rows.push(Row::always(
            "sandboxes of its own inside",
            "namespaces and mounts in them: `process.nested`",
        ));
    }
    match policy.devices.gpu() {
        Gpus::None => {}
        Gpus::All => rows.push(Row::always("on every GPU", "devices.gpu")),
        Gpus::These(list) => {
            let list: Vec<String> = list.iter().map(u32::to_string).collect();
            rows.push(Row::always(format!("on GPU {}", list.join(", ")), "devices.gpu"));
        }
    }
    rows
}

pub(super) fn spend(policy: &Policy, places: &Places) -> Vec<Row> {
    let mut rows = Vec::new();
    for route in policy.inference.routes() {
        for model in &route.models {
            let Some(backend) = policy.backend(&model.backend) else { continue };
            let which = model.model.as_deref().unwrap_or("any model that it names");
            let key = match &backend.key {
                Key::None => "without a key".to_owned(),
                Key::Env(name) => format!("with the operator's key from ${name}"),
                Key::File(path) => format!("with the operator's key from {}", shown(path)),
            };
            let how = format!("{key}; calls are not bounded");
            let what = format!("{} at {}: {which}", backend.name, backend.base_url);
            rows.push(Row::by(what, how, &Statement::Models(route.name.clone()), places));
        }
    }
    rows.extend(limits(policy).into_iter().map(|(what, bound)| Row::always(what, bound)));
    rows
}

fn limits(policy: &Policy) -> Vec<(&'static str, String)> {
    let limits = policy.process.limits();
    let said = |bound: Option<String>| bound.unwrap_or_else(|| "not bounded".to_owned());
    let cpus = limits.millicpus.map(|m| format!("{}.{:03}", m / 1000, m % 1000));
    let cpus = cpus.map(|text| text.trim_end_matches('0').trim_end_matches('.').to_owned());
    vec![
        ("processes", said(limits.processes.map(|n| n.to_string()))),
        ("memory", said(limits.memory.map(|size| size.to_string()))),
        ("processors", said(cpus)),
        ("time", said(limits.time.map(|time| format!("{} seconds", time.as_secs())))),
    ]
}

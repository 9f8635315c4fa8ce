//! Models, limits, devices and what else is not a language.

use super::{Found, Kind, Seen};
use crate::{Gpus, Home, Key, Policy, Statement};

pub(super) fn compare(found: &mut Found<'_>) {
    let (old, new) = (found.old.0, found.new.0);
    let (before, after) = (calls(old), calls(new));
    for (gained, these, those) in [(true, &after, &before), (false, &before, &after)] {
        for (name, call) in these.iter().filter(|call| !those.contains(call)) {
            let other = those.iter().find(|(other, _)| other == name);
            let otherwise = other.map_or("no model answers".to_owned(), |(_, call)| call.clone());
            let by = Some(Statement::Models(name.clone()));
            found.add(
                Seen { gained, kind: Kind::Model, witness: call.clone(), by, otherwise, question: None },
                call,
            );
        }
    }
    resources(found, old, new);
}

/// Each name of a model, with who answers it.
fn calls(policy: &Policy) -> Vec<(String, String)> {
    let routes = policy.inference.routes().iter();
    routes
        .flat_map(|route| {
            route.models.iter().filter_map(move |model| {
                let backend = policy.backend(&model.backend)?;
                let key = match &backend.key {
                    Key::None => "without a key".to_owned(),
                    Key::Env(name) => format!("with the key from ${name}"),
                    Key::File(path) => format!("with the key from {}", path.display()),
                };
                let which = model.model.as_deref().unwrap_or("the model that it names");
                let call = format!("{which} at {} ({:?}) {key}", backend.base_url, backend.api);
                Some((route.name.clone(), call))
            })
        })
        .collect()
}

fn resources(found: &mut Found<'_>, old: &Policy, new: &Policy) {
    for ((what, before), (_, after)) in bounds(old).into_iter().zip(bounds(new)) {
        // Without a bound is more than any.
        let gained = after.unwrap_or(u128::MAX) > before.unwrap_or(u128::MAX);
        if before != after {
            let said = |bound: Option<u128>| {
                bound.map_or(format!("{what} without a bound"), |n| format!("{what}: {n}"))
            };
            let (witness, otherwise) =
                if gained { (said(after), said(before)) } else { (said(before), said(after)) };
            found.add(
                Seen { gained, kind: Kind::Resource, witness, by: None, otherwise, question: None },
                what,
            );
        }
    }
    let (before, after) = (extras(old), extras(new));
    for (gained, these, those) in [(true, &after, &before), (false, &before, &after)] {
        for extra in these.iter().filter(|extra| !those.contains(extra)) {
            let otherwise = "not there".to_owned();
            let seen = Seen {
                gained,
                kind: Kind::Resource,
                witness: extra.clone(),
                by: None,
                otherwise,
                question: None,
            };
            found.add(seen, extra);
        }
    }
}

fn bounds(policy: &Policy) -> [(&'static str, Option<u128>); 8] {
    let limits = policy.process.limits();
    [
        ("processes", limits.processes.map(u128::from)),
        ("open files", limits.open_files.map(u128::from)),
        ("bytes of memory", limits.memory.map(|size| size.0.into())),
        ("bytes of swap", limits.swap.map(|size| size.0.into())),
        ("bytes in a file", limits.file_size.map(|size| size.0.into())),
        ("bytes in private directories", limits.disk.map(|size| size.0.into())),
        ("thousandths of a processor", limits.millicpus.map(u128::from)),
        ("seconds", limits.time.map(|time| time.as_secs().into())),
    ]
}

fn extras(policy: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    if policy.process.nested() {
        all.push("sandboxes of its own inside".to_owned());
    }
    match policy.devices.gpu() {
        Gpus::None => {}
        Gpus::All => all.push("every GPU".to_owned()),
        Gpus::These(list) => all.extend(list.iter().map(|number| format!("GPU {number}"))),
    }
    if let Home::Keep(name) = policy.filesystem.home() {
        all.push(format!("a home that is kept as `{name}`"));
    }
    all
}

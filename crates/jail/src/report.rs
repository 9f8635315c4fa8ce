//! What was enforced, in words: an entry for each layer, with the kernel's means and with what could not be bounded.

use crate::answer::Ready;
use creel_api::enforced::{Enforced, Layer};
use creel_api::plan::{Plan, Tier, What};
use creel_kernel::cgroup::{Controller, Group};
use creel_types::Weakness;

pub(crate) fn enforced(plan: &Plan, ready: &Ready, group: &Group) -> Enforced {
    if plan.tier == Tier::Confined {
        return confined(plan, ready, group);
    }
    Enforced {
        layers: vec![filesystem(plan, ready), process(plan, ready), network(ready), limits(plan, group)],
        ..Enforced::default()
    }
}

/// Without namespaces: what is weaker is said where it is.
fn confined(plan: &Plan, ready: &Ready, group: &Group) -> Enforced {
    use Weakness as W;
    let weak = |all: &[W]| all.iter().map(|w| format!("{} ({})", w.about(), w.name())).collect::<Vec<_>>();
    let words = |all: &[&str]| all.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let landlock = format!("landlock abi {} on the host's files", ready.landlock_abi);
    let files =
        layer("filesystem", vec!["tier confined".to_owned(), landlock], weak(&[W::SeenFiles, W::HostSystem]));
    let process = words(&[
        "no capabilities",
        "seccomp allow-list",
        "seccomp notification of exec, connect, listen, modes and times of files",
        "landlock scopes for signals and abstract sockets",
    ]);
    let process = layer("process", process, weak(&[W::SeenProcesses]));
    let network = words(&[
        "landlock: no TCP is connected or bound",
        "every connection made by the warden, to the exit",
    ]);
    let network = layer("network", network, weak(&[W::SeenNetwork, W::FewSockets]));
    let mut limits = limits(plan, group);
    limits.mechanisms.retain(|means| !means.starts_with("private directories"));
    limits.lacking.extend(weak(&[W::LooseLimits]));
    Enforced { layers: vec![files, process, network, limits], ..Enforced::default() }
}

fn layer(name: &str, mechanisms: Vec<String>, lacking: Vec<String>) -> Layer {
    Layer { layer: name.to_owned(), mechanisms, lacking }
}

fn filesystem(plan: &Plan, ready: &Ready) -> Layer {
    let abi = ready.landlock_abi;
    let second = if plan.nested {
        "no landlock: what runs inside may mount (nested)".to_owned()
    } else {
        format!("landlock abi {abi}")
    };
    let mechanisms = vec!["mount namespace".to_owned(), second];
    layer("filesystem", mechanisms, Vec::new())
}

fn process(plan: &Plan, ready: &Ready) -> Layer {
    let mut mechanisms = vec![
        "user, pid, ipc, uts and cgroup namespaces".to_owned(),
        "no capabilities".to_owned(),
        "seccomp allow-list".to_owned(),
        "seccomp notification of connect and exec".to_owned(),
    ];
    if plan.nested {
        mechanisms.push("nested: user, pid, mount, network, ipc and uts namespaces of its own".to_owned());
    }
    // Without the scopes the namespaces alone keep signals and abstract sockets inside, which they do.
    if ready.landlock_abi >= 6 {
        mechanisms.push("landlock scopes for signals and abstract sockets".to_owned());
    }
    layer("process", mechanisms, Vec::new())
}

fn network(ready: &Ready) -> Layer {
    let capture = if ready.redirect { "redirect" } else { "tproxy" };
    let families = if ready.v6 { "IPv4 and IPv6" } else { "IPv4; no IPv6 here" };
    let mechanisms = vec!["network namespace".to_owned(), format!("{capture} of all TCP, {families}")];
    layer("network", mechanisms, Vec::new())
}

fn limits(plan: &Plan, group: &Group) -> Layer {
    let mut mechanisms: Vec<String> = group.bounded().map(|(_, means)| means).collect();
    let mut lacking = Vec::new();
    // Root of the host is exempt from RLIMIT_NPROC; everybody else is counted per sandbox.
    let counted = !rustix::process::getuid().is_root();
    for (controller, error) in group.unbounded() {
        match controller {
            Controller::Pids if counted => mechanisms.push("RLIMIT_NPROC".to_owned()),
            _ => lacking.push(format!("{} is not bounded: no control group ({error})", controller.name())),
        }
    }
    if plan.places.iter().any(|place| matches!(place.what, What::Write(_) | What::Review { .. })) {
        mechanisms
            .push("private directories by size; what is written to granted ones is not bounded".to_owned());
    } else {
        mechanisms.push("private directories by size".to_owned());
    }
    mechanisms.push("RLIMIT_CORE".to_owned());
    mechanisms.extend(plan.limits.open_files.map(|_| "RLIMIT_NOFILE".to_owned()));
    mechanisms.extend(plan.limits.file_size.map(|_| "RLIMIT_FSIZE".to_owned()));
    layer("limits", mechanisms, lacking)
}

//! Who still has files open on a mount, and their end.

use creel_kernel::proc;
pub use creel_kernel::proc::Holder;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everybody below `init` who holds anything on one of these mounts.
pub fn all(init: u32, mounts: &[u64]) -> Vec<Holder> {
    let pids = descendants(init);
    mounts.iter().flat_map(|&mount| proc::holders(&pids, mount)).collect()
}

/// Everybody below `init` who has a file open for writing on this mount.
pub fn writers(init: u32, mount: u64) -> Vec<Holder> {
    proc::holders(&descendants(init), mount).into_iter().filter(writes).collect()
}

/// Whether the holder's descriptor is open for writing (`flags` of `proc(5)`: octal, the access mode lowest).
fn writes(holder: &Holder) -> bool {
    let Some(number) = holder.what.strip_prefix("fd ") else { return holder.what.starts_with("map ") };
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", holder.pid)).unwrap_or_default();
    let flags =
        info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_none_or(|flags| flags & 0b11 != 0)
}

/// Every process of the sandbox except init: orphans become init's children, so its line holds all.
pub fn descendants(init: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = children(init);
    while let Some(pid) = next.pop() {
        next.extend(children(pid));
        found.push(pid);
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// `sleep[123]: fd 3`, a line for each.
pub fn lines(holders: &[Holder]) -> Vec<String> {
    holders
        .iter()
        .map(|holder| {
            let name = fs::read_to_string(format!("/proc/{}/comm", holder.pid)).unwrap_or_default();
            format!("{}[{}]: {}", name.trim(), holder.pid, holder.what)
        })
        .collect()
}

/// Kills the holders and waits until they are gone.
pub fn end(holders: &[Holder]) {
    let pids: BTreeSet<i32> = holders.iter().filter_map(|holder| i32::try_from(holder.pid).ok()).collect();
    let pids: Vec<Pid> = pids.into_iter().filter_map(Pid::from_raw).collect();
    for pid in &pids {
        let _ = kill_process(*pid, Signal::KILL);
    }
    let began = Instant::now();
    while began.elapsed() < PATIENCE && pids.iter().any(|pid| test_kill_process(*pid).is_ok()) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

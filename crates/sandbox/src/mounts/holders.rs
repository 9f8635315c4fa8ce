//! Who still has files open on a mount, and their end.

use creel_kernel::proc;
pub use creel_kernel::proc::Holder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
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

/// Kills the holders and waits until they are gone. A number may have become another process's since it was read: the
/// process is held first, then looked at, and only one in the sandbox's pid namespace is killed. Nobody inside can make
/// a further one.
pub fn end(holders: &[Holder], namespace: BorrowedFd<'_>) {
    let Ok(namespace) = rustix::fs::fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino)) else { return };
    let numbers: BTreeSet<u32> = holders.iter().map(|holder| holder.pid).collect();
    let held: Vec<OwnedFd> = numbers.into_iter().filter_map(|number| hold(number, namespace)).collect();
    for process in &held {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
    let began = Instant::now();
    for process in &held {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let left = Timespec::try_from(left).unwrap_or_default();
        let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left));
    }
}

/// A process of this pid namespace, held so that it stays what it is.
fn hold(number: u32, namespace: (u64, u64)) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(number).ok()?)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let its = fs::metadata(format!("/proc/{number}/ns/pid")).ok()?;
    ((its.dev(), its.ino()) == namespace).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::process::{Child, Command};

    /// A process that is ended when the test is.
    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn only_a_process_of_the_namespace_is_ended() {
        let mut sleeper = Sleeper(Command::new("sleep").arg("1000").spawn().unwrap());
        let holder = [Holder { pid: sleeper.0.id(), what: "cwd".into() }];
        let another = fs::File::open("/proc/self/ns/mnt").unwrap();
        end(&holder, another.as_fd());
        assert!(sleeper.0.try_wait().unwrap().is_none(), "it is of another namespace");
        let own = fs::File::open("/proc/self/ns/pid").unwrap();
        end(&holder, own.as_fd());
        assert!(sleeper.0.try_wait().unwrap().is_some(), "it was waited for");
    }
}

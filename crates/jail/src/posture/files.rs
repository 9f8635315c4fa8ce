//! Promises about files: from the plan's places, and from what no plan grants.

use super::{Attempt, Promise};
use creel_api::plan::{Place, Plan, What};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many hidden paths are tried; more are sampled evenly.
const HIDDEN: usize = 256;
/// How many read-only paths are tried; more are sampled evenly.
const READ_ONLY: usize = 64;

const ABSENT: &[Errno] = &[Errno::NOENT, Errno::ACCESS, Errno::NOTDIR];
const UNWRITABLE: &[Errno] = &[Errno::ROFS, Errno::ACCESS, Errno::PERM];
const CLOSED: &[Errno] = &[Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::ROFS];

pub(super) fn promises(plan: &Plan) -> Vec<Promise> {
    vec![
        hidden(plan),
        out_of_reach(plan),
        read_only(plan),
        system(plan),
        landlock(plan),
        kernel_files(),
        devices(),
    ]
}

fn hidden(plan: &Plan) -> Promise {
    let etc =
        plan.etc.iter().filter(|file| file.mode & 0o777 == 0).map(|file| Path::new("/etc").join(&file.path));
    let places = plan.places.iter().filter(|place| place.what == What::Hidden).map(|place| place.at.clone());
    let all: Vec<PathBuf> = places.chain(etc).collect();
    let attempts = sample(&all, HIDDEN).map(|path| Attempt::Read(path.clone())).collect();
    let by = ("filesystem", "mounts over what is hidden");
    Promise { of: all.len(), ..Promise::new(by, "what is hidden cannot be read", ABSENT, attempts) }
}

fn out_of_reach(plan: &Plan) -> Promise {
    let attempts = plan.out_of_reach.iter().filter_map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        Some(Attempt::Reach { path: path.clone(), device: meta.dev(), inode: meta.ino() })
    });
    let by = ("filesystem", "mount namespace");
    Promise::new(by, "the warden's own files are not there", ABSENT, attempts.collect())
}

fn read_only(plan: &Plan) -> Promise {
    let all: Vec<Attempt> = plan.places.iter().filter_map(read_only_place).collect();
    let attempts = sample(&all, READ_ONLY).cloned().collect();
    let by = ("filesystem", "read-only mounts");
    Promise { of: all.len(), ..Promise::new(by, "what is read-only cannot be written", UNWRITABLE, attempts) }
}

/// Devices, sockets and pipes are no part of what a read-only mount promises.
fn read_only_place(place: &Place) -> Option<Attempt> {
    let What::Read(source) = &place.what else { return None };
    let kind = std::fs::metadata(source).ok()?.file_type();
    match () {
        () if kind.is_dir() => Some(Attempt::MakeIn(place.at.clone())),
        () if kind.is_file() => Some(Attempt::Write(place.at.clone())),
        () => None,
    }
}

/// What the plan makes writable beneath these is not meant.
fn system(plan: &Plan) -> Promise {
    let granted = |dir: &str| plan.places.iter().any(|place| place.at == Path::new(dir));
    let dirs = ["/", "/usr", "/etc", "/dev", "/proc"].into_iter().filter(|dir| !granted(dir));
    let attempts = dirs.map(|dir| Attempt::MakeIn(dir.into())).collect();
    Promise::new(("filesystem", "read-only mounts"), "the system cannot be changed", CLOSED, attempts)
}

/// Landlock refuses every mount; where sandboxes may be nested it leaves files alone.
fn landlock(plan: &Plan) -> Promise {
    let attempts = if plan.nested { Vec::new() } else { vec![Attempt::MakeBehindLandlock] };
    let name = "no file is out of Landlock's sight";
    Promise::new(("filesystem", "Landlock"), name, &[Errno::ACCESS], attempts)
}

fn kernel_files() -> Promise {
    let write = ["/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/tcp_fastopen", "/proc/sysrq-trigger"];
    let read =
        ["/proc/kcore", "/proc/kmsg", "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/debug", "/sys/fs/bpf"];
    let attempts = write.into_iter().map(|path| Attempt::Write(path.into()));
    let attempts = attempts.chain(read.into_iter().map(|path| Attempt::Read(path.into()))).collect();
    let by = ("filesystem", "read-only /proc, no /sys");
    Promise::new(by, "the kernel's files and settings are closed", CLOSED, attempts)
}

fn devices() -> Promise {
    let files = ["/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/sda", "/dev/vda", "/dev/net/tun"];
    let mut attempts: Vec<Attempt> = files.into_iter().map(|path| Attempt::Read(path.into())).collect();
    attempts.push(Attempt::MakeDevice("/tmp".into()));
    let by = ("filesystem", "a /dev of its own, no capabilities");
    Promise::new(by, "no device of the machine is there, and none can be made", CLOSED, attempts)
}

/// At most `most` of them, evenly spread, in their order.
fn sample<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let count = all.len().min(most);
    (0..count).map(move |index| &all[index * all.len() / count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_whole_up_to_its_bound_and_spread_beyond() {
        for (length, most, expected) in
            [(0, 3, vec![]), (2, 3, vec![0, 1]), (3, 3, vec![0, 1, 2]), (10, 3, vec![0, 3, 6])]
        {
            let all: Vec<usize> = (0..length).collect();
            assert_eq!(sample(&all, most).copied().collect::<Vec<_>>(), expected);
        }
    }
}

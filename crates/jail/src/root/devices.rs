//! `/proc`, `/dev` and the directories that every program expects to be able to write.

use super::Ground;
use super::etc::Voids;
use creel_api::plan::Plan;
use creel_kernel::mount::{self, Flags};
use creel_kernel::{Named, SysError};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The device nodes that exist inside; each is the host's.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
    ("dev/ptmx", "pts/ptmx"),
];

/// What `/proc` shows of the whole machine. Being read-only already keeps a sandbox of the host's root from writing
/// there; these are not even to be read.
const MASKED: [&str; 9] =
    ["sysrq-trigger", "kcore", "keys", "timer_list", "kallsyms", "kmsg", "sched_debug", "acpi", "scsi"];

pub(super) fn place(ground: &mut Ground, plan: &Plan, voids: &Voids) -> Result<(), SysError> {
    let size = plan.scratch.0;
    proc(ground, plan.nested, voids)?;
    dev(ground, size, &plan.devices)?;
    ground.scratch("tmp", "1777", size)?;
    ground.make_dir(Path::new("var"), 0o755)?;
    ground.scratch("var/tmp", "1777", size)?;
    ground.scratch("run", "0755", 16 << 20)?;
    Ok(())
}

/// Where sandboxes may be nested, a process has to write its own maps of ids. So `/proc` is writable there and each of
/// its entries that is no process's is read-only; and as these mounts are locked, nobody inside can mount another one.
fn proc(ground: &Ground, nested: bool, voids: &Voids) -> Result<(), SysError> {
    let writable = Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NODEV | Flags::MOUNT_ATTR_NOEXEC;
    let tree = mount::new("proc", &[], if nested { writable } else { mount::READ_NOEXEC })?;
    ground.attach(&tree, "proc")?;
    if nested {
        close_settings(&tree)?;
    }
    for name in MASKED {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(at) = rustix::fs::openat(&tree, name, flags, Mode::empty()) else { continue };
        mount::attach(voids.one(is_dir(&at)?)?, at, name)?;
    }
    Ok(())
}

/// Makes everything of `/proc` read-only that belongs to the machine and not to a process.
fn close_settings(proc: &OwnedFd) -> Result<(), SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listed = rustix::fs::openat(proc, ".", flags, Mode::empty()).named("open", "/proc")?;
    for entry in rustix::fs::Dir::read_from(&listed).named("readdir", "/proc")? {
        let entry = entry.named("readdir", "/proc")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_a_process = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if of_a_process || entry.file_type() == FileType::Symlink || MASKED.contains(&&*name) {
            continue;
        }
        let source = mount::clone_tree(proc, Path::new(&name))?;
        mount::set_tree(&source, mount::READ_NOEXEC, Flags::empty())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = rustix::fs::openat(proc, &*name, flags, Mode::empty()).named("open", &name)?;
        mount::attach(source, at, &name)?;
    }
    Ok(())
}

fn is_dir(at: &OwnedFd) -> Result<bool, SysError> {
    let stat = rustix::fs::fstat(at).named("fstat", "a place")?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn dev(ground: &mut Ground, size: u64, further: &[PathBuf]) -> Result<(), SysError> {
    let flags = Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NOEXEC;
    let tree = mount::new("tmpfs", &[("mode", "0755"), ("size", "64k")], flags)?;
    ground.attach(&tree, "dev")?;
    for name in NODES {
        node(&tree, Path::new(name))?;
    }
    further.iter().try_for_each(|name| node_below(&tree, name))?;
    for (path, target) in LINKS {
        ground.link(path, Path::new(target))?;
    }
    let terminals =
        mount::new("devpts", &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")], flags)
            .or_else(|_| mount::new("devpts", &[("ptmxmode", "0666"), ("mode", "0620")], flags))?;
    ground.attach(terminals, "dev/pts")?;
    ground.scratch("dev/shm", "1777", size)?;
    mount::set_one(&tree, Flags::MOUNT_ATTR_RDONLY, Flags::empty())
}

/// A device that may be in a directory of its own, as `nvidia-caps/nvidia-cap1`.
fn node_below(dev: &OwnedFd, name: &Path) -> Result<(), SysError> {
    if !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(SysError::new("mknod", name.display(), Errno::INVAL));
    }
    for dir in name.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
        match rustix::fs::mkdirat(dev, dir, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(SysError::new("mkdir", dir.display(), errno)),
        }
    }
    let source = Path::new("/dev").join(name);
    let stat = rustix::fs::lstat(&source).named("lstat", source.display())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
        return Err(SysError::new("mknod", format_args!("{} is no device", source.display()), Errno::NODEV));
    }
    node(dev, name)
}

/// Read-only does not keep anyone from writing to a device, but the host's root from changing its owner or mode.
fn node(dev: &OwnedFd, name: &Path) -> Result<(), SysError> {
    let source = mount::clone_tree(CWD, &Path::new("/dev").join(name))?;
    let flags = Flags::MOUNT_ATTR_RDONLY | Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NOEXEC;
    mount::set_one(&source, flags, Flags::empty())?;
    rustix::fs::mknodat(dev, name, FileType::RegularFile, Mode::empty(), 0).named("mknod", name.display())?;
    let at = rustix::fs::openat(dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .named("open", name.display())?;
    mount::attach(source, at.as_fd(), name.display())?;
    rustix::fs::statat(dev, name, AtFlags::empty()).named("stat", name.display()).map(|_| ())
}

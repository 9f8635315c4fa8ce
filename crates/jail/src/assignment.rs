//! The plan on its way to the child, which is there before the plan is.
//!
//! The child makes its namespaces and its network while the warden still reads the policy and makes its keys: the two
//! work side by side, and the child has a copy of neither. The plan follows in memory that a message on the link hands
//! over, because what `/etc` is to hold can be longer than a message; from there it goes into its files without
//! another copy in the memory that init keeps.

use crate::link::{garbled, recv, send};
use crate::posture::{Attempt, Promise};
use crate::wire::{Reader, Writer};
use crate::{JailError, Step};
use creel_api::plan::{Injected, Limits, Place, Plan, Root, Tier, What};
use creel_kernel::{Named, SysError};
use creel_types::Size;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the child gets.
pub(crate) struct Assignment {
    /// The plan; of the files in `/etc` it holds names and modes only.
    pub plan: Plan,
    /// The ways into the control groups.
    pub doors: Vec<OwnedFd>,
    /// What is tried before the command runs.
    pub attempts: Vec<Attempt>,
    /// Where in `store` the contents of each of the plan's files for `/etc` lie: begin and length.
    extents: Vec<(u64, u64)>,
    store: OwnedFd,
}

/// Hands the plan over, with the limits that each process is to carry.
pub(crate) fn give(
    link: &OwnedFd,
    (plan, limits): (&Plan, &Limits),
    promises: &[Promise],
    doors: &[OwnedFd],
) -> Result<(), SysError> {
    let store = rustix::fs::memfd_create("plan", MemfdFlags::CLOEXEC).named("memfd_create", "the plan")?;
    let mut file = File::from(store);
    let head = encode(plan, limits);
    let mut attempts = Writer::default();
    promises.iter().flat_map(|promise| &promise.attempts).for_each(|attempt| attempt.encode(&mut attempts));
    let contents = plan.etc.iter().map(|injected| injected.bytes.as_slice());
    for bytes in [head.as_slice(), attempts.0.as_slice()].into_iter().chain(contents) {
        file.write_all(bytes).named("write", "the plan")?;
    }
    let mut note = Writer::default();
    note.u64(head.len() as u64);
    note.u64(attempts.0.len() as u64);
    let fds: Vec<BorrowedFd<'_>> =
        std::iter::once(file.as_fd()).chain(doors.iter().map(AsFd::as_fd)).collect();
    send(link, &note.0, &fds)
}

/// Waits for the plan. Without a warden there will be none.
pub(crate) fn receive(link: &OwnedFd) -> Result<Assignment, JailError> {
    let failed = JailError::step(Step::Assignment);
    let Ok(Some((bytes, fds))) = recv(link, true) else { return Err(JailError::Vanished) };
    let mut note = Reader(&bytes);
    let mut fds = fds.into_iter();
    let (Some(length), Some(more), Some(store)) = (note.u64(), note.u64(), fds.next()) else {
        return Err(failed(garbled("a plan")));
    };
    let file = File::from(store);
    let read = |begin, length| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, begin).named("read", "the plan").map_err(&failed)?;
        Ok(bytes)
    };
    let head = read(0, length)?;
    let attempts = decode_attempts(&read(length, more)?).ok_or_else(|| failed(garbled("an attempt")))?;
    let (plan, lengths) = decode(&head).ok_or_else(|| failed(garbled("a plan")))?;
    let mut begin = length + more;
    let extents = lengths.into_iter().map(|length| {
        begin += length;
        (begin - length, length)
    });
    Ok(Assignment { plan, doors: fds.collect(), attempts, extents: extents.collect(), store: file.into() })
}

impl Assignment {
    /// The plan's files for `/etc`, each with its contents.
    pub fn etc(&self) -> impl Iterator<Item = (&Injected, Contents<'_>)> {
        let contents = |&(begin, length)| Contents { store: &self.store, begin, length };
        self.plan.etc.iter().zip(self.extents.iter().map(contents))
    }
}

/// What one file is to hold.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    store: &'a OwnedFd,
    begin: u64,
    length: u64,
}

impl Contents<'_> {
    /// Writes them into `file`, inside the kernel.
    pub fn pour(self, file: &OwnedFd) -> Result<(), Errno> {
        let (mut at, end) = (self.begin, self.begin + self.length);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            if rustix::fs::sendfile(file, self.store, Some(&mut at), left)? == 0 {
                return Err(Errno::IO);
            }
        }
        Ok(())
    }
}

fn decode_attempts(bytes: &[u8]) -> Option<Vec<Attempt>> {
    let mut r = Reader(bytes);
    let mut attempts = Vec::new();
    while !r.0.is_empty() {
        attempts.push(Attempt::decode(&mut r)?);
    }
    Some(attempts)
}

fn encode(plan: &Plan, limits: &Limits) -> Vec<u8> {
    let Plan {
        tier,
        hostname,
        root,
        places,
        devices,
        etc,
        scratch,
        cwd,
        env,
        command,
        terminal,
        nested,
        limits: _,
        out_of_reach: _,
    } = plan;
    let mut w = Writer::default();
    w.u8(u8::from(*tier == Tier::Confined));
    w.bytes(hostname.as_bytes());
    match root {
        Root::Host => w.u8(0),
        Root::Layers(layers) => {
            w.u8(1);
            w.count(layers.len());
            layers.iter().for_each(|layer| path(&mut w, layer));
        }
    }
    w.count(places.len());
    places.iter().for_each(|place| encode_place(&mut w, place));
    w.count(devices.len());
    devices.iter().for_each(|device| path(&mut w, device));
    w.count(etc.len());
    for Injected { path: at, bytes, mode } in etc {
        path(&mut w, at);
        w.u64(bytes.len() as u64);
        w.u32(*mode);
    }
    w.u64(scratch.0);
    path(&mut w, cwd);
    let (names, values): (Vec<_>, Vec<_>) = env.iter().cloned().unzip();
    w.list(&names);
    w.list(&values);
    w.list(command);
    w.window(*terminal);
    w.u8(u8::from(*nested));
    encode_limits(&mut w, limits);
    w.0
}

/// The plan without its contents, and how long each of those is.
fn decode(bytes: &[u8]) -> Option<(Plan, Vec<u64>)> {
    let mut r = Reader(bytes);
    let tier = if r.u8()? == 1 { Tier::Confined } else { Tier::Namespaces };
    let hostname = r.text()?;
    let root = match r.u8()? {
        0 => Root::Host,
        1 => Root::Layers((0..r.u32()?).map(|_| read_path(&mut r)).collect::<Option<_>>()?),
        _ => return None,
    };
    let places = (0..r.u32()?).map(|_| decode_place(&mut r)).collect::<Option<_>>()?;
    let devices = (0..r.u32()?).map(|_| read_path(&mut r)).collect::<Option<_>>()?;
    let (mut etc, mut lengths) = (Vec::new(), Vec::new());
    for _ in 0..r.u32()? {
        let path = read_path(&mut r)?;
        lengths.push(r.u64()?);
        etc.push(Injected { path, bytes: Vec::new(), mode: r.u32()? });
    }
    let (scratch, cwd) = (Size(r.u64()?), read_path(&mut r)?);
    let (names, values) = (r.list()?, r.list()?);
    let env = (names.len() == values.len()).then(|| names.into_iter().zip(values).collect())?;
    let command = r.list()?;
    let (terminal, nested, limits) = (r.window()?, r.u8()? == 1, decode_limits(&mut r)?);
    // What is out of reach outside has become attempts.
    let out_of_reach = Vec::new();
    let plan = Plan {
        tier,
        hostname,
        root,
        places,
        devices,
        etc,
        scratch,
        cwd,
        env,
        command,
        terminal,
        nested,
        limits,
        out_of_reach,
    };
    r.whole((plan, lengths))
}

fn path(w: &mut Writer, path: &Path) {
    w.bytes(path.as_os_str().as_bytes());
}

fn read_path(r: &mut Reader<'_>) -> Option<PathBuf> {
    Some(PathBuf::from(OsString::from_vec(r.bytes()?.to_vec())))
}

fn encode_place(w: &mut Writer, place: &Place) {
    path(w, &place.at);
    match &place.what {
        What::Read(source) => {
            w.u8(0);
            path(w, source);
        }
        What::Write(source) => {
            w.u8(1);
            path(w, source);
        }
        What::Review { source, layer } => {
            w.u8(4);
            path(w, source);
            path(w, layer);
        }
        What::Hidden => w.u8(2),
        What::Scratch => w.u8(3),
    }
}

fn decode_place(r: &mut Reader<'_>) -> Option<Place> {
    let at = read_path(r)?;
    let what = match r.u8()? {
        0 => What::Read(read_path(r)?),
        1 => What::Write(read_path(r)?),
        2 => What::Hidden,
        3 => What::Scratch,
        4 => What::Review { source: read_path(r)?, layer: read_path(r)? },
        _ => return None,
    };
    Some(Place { at, what })
}

fn encode_limits(w: &mut Writer, limits: &Limits) {
    let Limits { processes, memory, swap, millicpus, open_files, file_size, disk, time } = limits;
    w.option(*processes);
    w.option(memory.map(|size| size.0));
    w.option(swap.map(|size| size.0));
    w.option(*millicpus);
    w.option(*open_files);
    w.option(file_size.map(|size| size.0));
    w.option(disk.map(|size| size.0));
    w.option(time.map(|time| time.as_secs()));
    w.u32(time.map_or(0, |time| time.subsec_nanos()));
}

fn decode_limits(r: &mut Reader<'_>) -> Option<Limits> {
    let (processes, memory, swap) = (r.option()?, r.option()?.map(Size), r.option()?.map(Size));
    let (millicpus, open_files) = (r.option()?, r.option()?);
    let (file_size, disk) = (r.option()?.map(Size), r.option()?.map(Size));
    let (seconds, nanoseconds) = (r.option()?, r.u32()?);
    let time = seconds.map(|seconds| Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into()));
    Some(Limits { processes, memory, swap, millicpus, open_files, file_size, disk, time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_api::plan::WindowSize;

    fn plans() -> [Plan; 2] {
        let odd = || OsString::from_vec(vec![b'/', 0xff, b'\n']);
        let plain = Plan {
            tier: Tier::Namespaces,
            hostname: "box".into(),
            root: Root::Host,
            places: Vec::new(),
            devices: Vec::new(),
            etc: Vec::new(),
            scratch: Size(0),
            cwd: "/".into(),
            env: Vec::new(),
            command: vec!["true".into()],
            terminal: None,
            limits: Limits::default(),
            nested: false,
            out_of_reach: Vec::new(),
        };
        let review = What::Review { source: odd().into(), layer: "/l".into() };
        let whats = [What::Read(odd().into()), What::Write("/w".into()), What::Hidden, What::Scratch, review];
        let rich = Plan {
            tier: Tier::Confined,
            root: Root::Layers(vec![odd().into(), "/low".into()]),
            places: whats.into_iter().map(|what| Place { at: odd().into(), what }).collect(),
            devices: vec!["nvidia0".into(), "nvidia-caps/nvidia-cap1".into()],
            etc: vec![
                Injected { path: "hosts".into(), bytes: b"one".to_vec(), mode: 0o444 },
                Injected { path: "shadow".into(), bytes: Vec::new(), mode: 0 },
                Injected { path: "ssl/bundle".into(), bytes: vec![7; 300_000], mode: 0o400 },
            ],
            env: vec![("A".into(), odd())],
            terminal: Some(WindowSize { rows: 33, cols: 99 }),
            nested: true,
            limits: Limits {
                processes: Some(1),
                memory: Some(Size(2)),
                swap: Some(Size(0)),
                millicpus: Some(3),
                open_files: Some(4),
                file_size: Some(Size(u64::MAX)),
                disk: Some(Size(7)),
                time: Some(Duration::new(5, 6)),
            },
            ..plain.clone()
        };
        [plain, rich]
    }

    #[test]
    fn what_the_warden_gives_the_child_gets() {
        for plan in plans() {
            let (ours, theirs) = creel_kernel::scm::pair().unwrap();
            let attempts = vec![Attempt::Read("/a".into()), Attempt::SeeOthers];
            let promise = Promise::new(("process", "x"), "x", &[], attempts.clone());
            give(&ours, (&plan, &plan.limits), &[promise], &[theirs.try_clone().unwrap()]).unwrap();
            let got = receive(&theirs).unwrap();
            assert_eq!(got.attempts, attempts);
            assert_eq!(got.doors.len(), 1);
            let contents: Vec<Vec<u8>> = got.etc().map(|(_, contents)| poured(contents)).collect();
            let mut whole = got.plan.clone();
            whole.etc.iter_mut().zip(contents).for_each(|(injected, bytes)| injected.bytes = bytes);
            assert_eq!(whole, plan);
        }
    }

    fn poured(contents: Contents<'_>) -> Vec<u8> {
        let file = rustix::fs::memfd_create("t", MemfdFlags::CLOEXEC).unwrap();
        contents.pour(&file).unwrap();
        let file = File::from(file);
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_plan_that_is_cut_or_padded_is_refused() {
        for plan in plans() {
            let bytes = encode(&plan, &plan.limits);
            for cut in 0..bytes.len() {
                assert!(decode(&bytes[..cut]).is_none(), "{cut}");
            }
            assert!(decode(&[&bytes[..], &[0]].concat()).is_none());
        }
    }

    #[test]
    fn a_warden_that_is_gone_gives_no_plan() {
        let (ours, theirs) = creel_kernel::scm::pair().unwrap();
        drop(ours);
        assert!(matches!(receive(&theirs), Err(JailError::Vanished)));
    }
}

//! An attempt on its way to the child, which is there before the plan is: a kind, a text and three numbers.

use super::{Attempt, Bound};
use crate::wire::{Reader, Writer};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const BOUNDS: [Bound; 4] = [Bound::Core, Bound::OpenFiles, Bound::FileSize, Bound::Processes];

/// Kind, text and numbers.
type Parts = (u8, Vec<u8>, [u64; 3]);

impl Attempt {
    pub(crate) fn encode(&self, w: &mut Writer) {
        let (kind, text, numbers) = self.parts();
        w.u8(kind);
        w.bytes(&text);
        numbers.into_iter().for_each(|number| w.u64(number));
    }

    /// `None` when it makes no sense.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (kind, text) = (r.u8()?, r.bytes()?);
        Self::of_parts(kind, text, [r.u64()?, r.u64()?, r.u64()?])
    }

    fn parts(&self) -> Parts {
        match self {
            Self::Read(path) => of_path(0, path),
            Self::Write(path) => of_path(1, path),
            Self::MakeIn(path) => of_path(2, path),
            Self::Reach { path, device, inode } => (3, of_path(3, path).1, [*device, *inode, 0]),
            Self::MakeDevice(path) => of_path(4, path),
            Self::MakeBehindLandlock => of_number(5, 0),
            Self::Call(number) => of_number(6, number.cast_unsigned()),
            Self::I386 => of_number(7, 0),
            Self::Unshare(flags) => of_signed(8, *flags),
            Self::Clone(flags) => of_signed(9, *flags),
            Self::Personality(domain) => of_number(10, u64::from(*domain)),
            Self::Ioctl(request) => of_number(11, u64::from(*request)),
            Self::Trace(pid) => of_number(12, u64::from(*pid)),
            Self::ReadMemory(pid) => of_number(13, u64::from(*pid)),
            Self::Signal(whom) => of_signed(14, *whom),
            Self::PidFd(pid) => of_number(15, u64::from(*pid)),
            Self::SeeOthers => of_number(16, 0),
            Self::HaveCapability => of_number(17, 0),
            Self::GainByExec => of_number(18, 0),
            Self::TakeCapabilities => of_number(19, 0),
            Self::ChangeUser => of_number(20, 0),
            Self::ChangeGroups => of_number(21, 0),
            Self::Socket(family, kind, protocol) => {
                (22, Vec::new(), [u64::from(*family), u64::from(*kind), u64::from(*protocol)])
            }
            Self::OtherInterface => of_number(23, 0),
            Self::SetInterface => of_number(24, 0),
            Self::SetRoute => of_number(25, 0),
            Self::Connect(to) => of_address(26, *to),
            Self::FastOpen(to) => of_address(27, *to),
            Self::Send(to) => of_address(28, *to),
            Self::SendAbstract(name) => (29, name.clone(), [0; 3]),
            Self::Raise(bound) => of_number(30, *bound as u64),
        }
    }

    fn of_parts(kind: u8, text: &[u8], [a, b, c]: [u64; 3]) -> Option<Self> {
        let path = || PathBuf::from(OsStr::from_bytes(text));
        let small = |number: u64| u32::try_from(number).ok();
        let signed = || Some(small(a)?.cast_signed());
        let address = || std::str::from_utf8(text).ok()?.parse::<SocketAddr>().ok();
        Some(match kind {
            0 => Self::Read(path()),
            1 => Self::Write(path()),
            2 => Self::MakeIn(path()),
            3 => Self::Reach { path: path(), device: a, inode: b },
            4 => Self::MakeDevice(path()),
            5 => Self::MakeBehindLandlock,
            6 => Self::Call(a.cast_signed()),
            7 => Self::I386,
            8 => Self::Unshare(signed()?),
            9 => Self::Clone(signed()?),
            10 => Self::Personality(small(a)?),
            11 => Self::Ioctl(small(a)?),
            12 => Self::Trace(small(a)?),
            13 => Self::ReadMemory(small(a)?),
            14 => Self::Signal(signed()?),
            15 => Self::PidFd(small(a)?),
            16 => Self::SeeOthers,
            17 => Self::HaveCapability,
            18 => Self::GainByExec,
            19 => Self::TakeCapabilities,
            20 => Self::ChangeUser,
            21 => Self::ChangeGroups,
            22 => Self::Socket(u16::try_from(a).ok()?, small(b)?, small(c)?),
            23 => Self::OtherInterface,
            24 => Self::SetInterface,
            25 => Self::SetRoute,
            26 => Self::Connect(address()?),
            27 => Self::FastOpen(address()?),
            28 => Self::Send(address()?),
            29 => Self::SendAbstract(text.to_vec()),
            30 => Self::Raise(*BOUNDS.get(usize::try_from(a).ok()?)?),
            _ => return None,
        })
    }
}

fn of_path(kind: u8, path: &Path) -> Parts {
    (kind, path.as_os_str().as_bytes().to_vec(), [0; 3])
}

fn of_number(kind: u8, number: u64) -> Parts {
    (kind, Vec::new(), [number, 0, 0])
}

fn of_signed(kind: u8, number: i32) -> Parts {
    of_number(kind, u64::from(number.cast_unsigned()))
}

fn of_address(kind: u8, address: SocketAddr) -> Parts {
    (kind, address.to_string().into_bytes(), [0; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_attempt_arrives_as_it_was_sent() {
        let mut seen = Vec::new();
        for kind in 0..=u8::MAX {
            let text: &[u8] = if (26..=28).contains(&kind) { b"192.0.2.1:9" } else { b"/a\xff" };
            let Some(attempt) = Attempt::of_parts(kind, text, [3, 2, 1]) else { continue };
            let mut w = Writer::default();
            attempt.encode(&mut w);
            let mut r = Reader(&w.0);
            assert_eq!(Attempt::decode(&mut r).as_ref(), Some(&attempt), "kind {kind}");
            assert!(r.0.is_empty() && !seen.contains(&attempt), "kind {kind}: {attempt:?}");
            assert_eq!(attempt.parts().0, kind);
            seen.push(attempt);
        }
        assert_eq!(seen.len(), 31);
        let signed = Attempt::Signal(-1);
        let (kind, text, numbers) = signed.parts();
        assert_eq!(Attempt::of_parts(kind, &text, numbers), Some(signed));
    }

    #[test]
    fn what_is_cut_or_out_of_range_is_refused() {
        let mut w = Writer::default();
        Attempt::Connect("192.0.2.1:9".parse().unwrap()).encode(&mut w);
        for cut in 0..w.0.len() {
            assert_eq!(Attempt::decode(&mut Reader(&w.0[..cut])), None, "{cut}");
        }
        for (kind, text, number) in [(31, "", 0), (30, "", 4), (26, "here", 0), (10, "", 1 << 32)] {
            assert_eq!(Attempt::of_parts(kind, text.as_bytes(), [number, 0, 0]), None, "{kind}");
        }
    }
}

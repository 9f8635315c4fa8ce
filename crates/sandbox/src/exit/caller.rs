//! A caller and the ends of its connection, as bytes.

use creel_types::{Caller, Digest, Program};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A connection.
    Connection,
    /// A socket that asks for names.
    Questions,
}

/// What the witness found out.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    /// About what.
    pub about: About,
    /// Source and destination.
    pub ends: (SocketAddr, SocketAddr),
    /// Where it was meant to go, where the destination is only our own listener.
    pub meant: Option<SocketAddr>,
    /// Who.
    pub caller: Caller,
}

/// As bytes.
pub fn encode(
    about: About,
    ends: (SocketAddr, SocketAddr),
    meant: Option<SocketAddr>,
    caller: &Caller,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(match (about, meant) {
        (About::Connection, None) => 0,
        (About::Questions, _) => 1,
        (About::Connection, Some(_)) => 2,
    });
    let meant = meant.filter(|_| about == About::Connection);
    for end in [Some(ends.0), Some(ends.1), meant].into_iter().flatten() {
        let ip = match end.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        out.extend_from_slice(&ip.octets());
        out.extend_from_slice(&end.port().to_le_bytes());
    }
    for program in &caller.chain {
        out.extend_from_slice(&program.pid.to_le_bytes());
        push(&mut out, Some(program.path.as_os_str().as_bytes()));
        push(&mut out, program.digest.as_ref().map(|digest| &digest.0[..]));
        push(&mut out, program.foreign_code.as_deref().map(|path| path.as_os_str().as_bytes()));
    }
    out
}

/// Length and one, so that nothing and an empty text are told apart.
fn push(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(0, |bytes| u32::try_from(bytes.len() + 1).unwrap_or(0));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// From bytes; `None` when they are no note.
pub fn decode(bytes: &[u8]) -> Option<Note> {
    let (&kind, mut rest) = bytes.split_first()?;
    let about = match kind {
        0 | 2 => About::Connection,
        1 => About::Questions,
        _ => return None,
    };
    let ends = (end(&mut rest)?, end(&mut rest)?);
    let meant = if kind == 2 { Some(end(&mut rest)?) } else { None };
    let mut chain = Vec::new();
    while !rest.is_empty() {
        let pid = u32::from_le_bytes(take(&mut rest)?);
        let path = path(pull(&mut rest)??);
        let digest = match pull(&mut rest)? {
            Some(bytes) => Some(Digest(bytes.try_into().ok()?)),
            None => None,
        };
        let foreign_code = pull(&mut rest)?.map(self::path);
        chain.push(Program { pid, path, digest, foreign_code });
    }
    Some(Note { about, ends, meant, caller: Caller { chain } })
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(&OsString::from_vec(bytes.to_vec())).to_owned()
}

fn end(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip = Ipv6Addr::from(take::<16>(rest)?);
    Some(SocketAddr::new(ip.to_canonical(), u16::from_le_bytes(take(rest)?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_at_checked(N)?;
    *rest = left;
    taken.try_into().ok()
}

/// The outer nothing: no note. The inner: not said.
#[allow(clippy::option_option)]
fn pull<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let Some(length) = length.checked_sub(1) else { return Some(None) };
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(Some(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let program = Program {
            pid: 7,
            path: PathBuf::from(OsString::from_vec(b"/usr/bin/\xff".to_vec())),
            digest: Some(Digest([3; 32])),
            foreign_code: None,
        };
        let parent =
            Program { pid: 1, path: "".into(), digest: None, foreign_code: Some("/tmp/x.so".into()) };
        Note {
            about: About::Questions,
            ends: ("192.0.0.8:1024".parse().unwrap(), "[3ffe::1]:443".parse().unwrap()),
            meant: None,
            caller: Caller { chain: vec![program, parent] },
        }
    }

    #[test]
    fn what_one_side_encodes_the_other_decodes() {
        let meant = Some("9.9.9.9:443".parse().unwrap());
        let elsewhere = Note { about: About::Connection, meant, ..note() };
        let bytes = encode(elsewhere.about, elsewhere.ends, elsewhere.meant, &elsewhere.caller);
        assert_eq!(decode(&bytes), Some(elsewhere));
        let note = note();
        assert_eq!(decode(&encode(note.about, note.ends, note.meant, &note.caller)), Some(note));
    }

    #[test]
    fn bytes_that_are_cut_are_another_note_or_none_and_never_a_panic() {
        let note = note();
        let bytes = encode(note.about, note.ends, note.meant, &note.caller);
        for cut in 0..bytes.len() {
            assert_ne!(decode(&bytes[..cut]), Some(self::note()), "{cut}");
        }
        assert_eq!(decode(&[9]), None);
    }
}

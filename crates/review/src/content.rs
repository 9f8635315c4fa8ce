//! What is in a file: compared, digested and copied with its holes, so that a sparse file of a terabyte costs what is
//! written in it.

use creel_kernel::{Named, SysError};
use creel_types::Digest;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const CHUNK: usize = 256 * 1024;
/// The largest file that is digested.
const MOST_DIGESTED: u64 = 1 << 30;

/// The next stretch of data at or after `from`: its beginning and end.
fn stretch(fd: impl AsFd, from: u64, size: u64) -> Result<Option<(u64, u64)>, Errno> {
    if from >= size {
        return Ok(None);
    }
    let begin = match rustix::fs::seek(&fd, SeekFrom::Data(from)) {
        Ok(begin) => begin,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that does not tell has no holes.
        Err(Errno::INVAL) => return Ok(Some((from, size))),
        Err(errno) => return Err(errno),
    };
    let end = rustix::fs::seek(&fd, SeekFrom::Hole(begin)).unwrap_or(size);
    Ok((begin < size).then_some((begin, end.min(size).max(begin + 1))))
}

/// Whether two files of `size` bytes hold the same; where both have a hole nothing is read.
pub(crate) fn same(a: &OwnedFd, b: &OwnedFd, size: u64, shown: &Path) -> Result<bool, SysError> {
    let mut at = 0;
    let (mut one, mut two) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let next = [stretch(a, at, size), stretch(b, at, size)];
        let [left, right] = next.map(|found| found.named("lseek", shown.display()));
        let (begin, end) = match (left?, right?) {
            (None, None) => return Ok(true),
            (Some(only), None) | (None, Some(only)) => only,
            (Some(a), Some(b)) if a.0 <= b.0 => (a.0, if b.0 < a.1 { a.1.max(b.1) } else { a.1 }),
            (Some(a), Some(b)) => (b.0, if a.0 < b.1 { a.1.max(b.1) } else { b.1 }),
        };
        at = begin;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let got = fill(a, &mut one[..want], at, shown)?;
            if got != fill(b, &mut two[..want], at, shown)? || one[..got] != two[..got] {
                return Ok(false);
            }
            if got < want {
                return Ok(true);
            }
            at += got as u64;
        }
    }
}

fn fill(fd: &OwnedFd, buffer: &mut [u8], at: u64, shown: &Path) -> Result<usize, SysError> {
    let mut done = 0;
    while done < buffer.len() {
        match rustix::io::pread(fd, &mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("pread", shown.display(), errno)),
        }
    }
    Ok(done)
}

/// SHA-256 of a file; nothing for one over 1 GiB.
pub(crate) fn digest(fd: &OwnedFd, size: u64, shown: &Path) -> Result<Option<Digest>, SysError> {
    if size > MOST_DIGESTED {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let got = fill(fd, &mut buffer, at, shown)?;
        if got == 0 {
            return Ok(Some(Digest(hash.finalize().into())));
        }
        hash.update(&buffer[..got]);
        at += got as u64;
    }
}

/// All of a small file.
pub(crate) fn read(fd: &OwnedFd, most: u64, shown: &Path) -> Result<Option<Vec<u8>>, SysError> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let got = fill(fd, &mut buffer, bytes.len() as u64, shown)?;
        if got == 0 {
            return Ok(Some(bytes));
        }
        bytes.extend_from_slice(&buffer[..got]);
        if bytes.len() as u64 > most {
            return Ok(None);
        }
    }
}

/// Copies what is in a file into an empty one: shared blocks where the file system can, else data with its holes.
pub(crate) fn copy(from: &OwnedFd, to: &OwnedFd, size: u64, shown: &Path) -> Result<(), SysError> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    rustix::fs::ftruncate(to, size).named("ftruncate", shown.display())?;
    let mut at = 0;
    while let Some((begin, end)) = stretch(from, at, size).named("lseek", shown.display())? {
        at = copy_stretch(from, to, (begin, end), shown)?;
        if at < end {
            break;
        }
    }
    Ok(())
}

/// Gives where it stopped: before `end` only when the file became shorter meanwhile.
fn copy_stretch(
    from: &OwnedFd,
    to: &OwnedFd,
    (begin, end): (u64, u64),
    shown: &Path,
) -> Result<u64, SysError> {
    let (mut read, mut write) = (begin, begin);
    while read < end {
        let want = usize::try_from(end - read).unwrap_or(1 << 30).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut write), want) {
            Ok(0) => return Ok(read),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return copy_by_hand(from, to, (read, end), shown);
            }
            Err(errno) => return Err(SysError::new("copy_file_range", shown.display(), errno)),
        }
    }
    Ok(read)
}

fn copy_by_hand(
    from: &OwnedFd,
    to: &OwnedFd,
    (begin, end): (u64, u64),
    shown: &Path,
) -> Result<u64, SysError> {
    let mut buffer = vec![0; CHUNK];
    let mut at = begin;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let got = fill(from, &mut buffer[..want], at, shown)?;
        if got == 0 {
            break;
        }
        write(to, &buffer[..got], at, shown)?;
        at += got as u64;
    }
    Ok(at)
}

/// Writes all of it at an offset.
pub(crate) fn write(to: &OwnedFd, bytes: &[u8], at: u64, shown: &Path) -> Result<(), SysError> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pwrite(to, &bytes[done..], at + done as u64) {
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("pwrite", shown.display(), errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Seek, SeekFrom as From, Write};

    fn file(dir: &Path, name: &str, parts: &[(u64, &[u8])], size: u64) -> OwnedFd {
        let path = dir.join(name);
        let mut file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in parts {
            file.seek(From::Start(*at)).unwrap();
            file.write_all(bytes).unwrap();
        }
        File::open(path).unwrap().into()
    }

    #[test]
    fn files_with_holes_are_compared_and_copied_by_what_is_in_them() {
        const TERABYTE: u64 = 1 << 40;
        let dir = tempfile::tempdir().unwrap();
        let shown = Path::new("test");
        let a = file(dir.path(), "a", &[(0, b"x"), (1 << 33, b"y")], TERABYTE);
        let zeros = file(dir.path(), "z", &[(0, b"x"), (1 << 20, &[0; 5000]), (1 << 33, b"y")], TERABYTE);
        let other = file(dir.path(), "o", &[(0, b"x"), (1 << 33, b"z")], TERABYTE);
        assert!(same(&a, &zeros, TERABYTE, shown).unwrap());
        assert!(!same(&a, &other, TERABYTE, shown).unwrap());
        let to = File::options().read(true).write(true).create_new(true).open(dir.path().join("t")).unwrap();
        let to = OwnedFd::from(to);
        copy(&a, &to, TERABYTE, shown).unwrap();
        assert!(same(&a, &to, TERABYTE, shown).unwrap());
        assert!(rustix::fs::fstat(&to).unwrap().st_blocks < 1000);
    }
}

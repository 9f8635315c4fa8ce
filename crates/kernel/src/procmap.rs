//! `PROCMAP_QUERY` (Linux 6.11): asks for a process's executable files one by one, instead of having its whole map
//! written out as text.

use crate::SysError;
use crate::proc::Mapping;
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

const QUERY: libc::Ioctl = 0xc068_6611_u32 as libc::Ioctl;
const EXECUTABLE: u64 = 0x04;
const OR_NEXT: u64 = 0x10;
const OF_A_FILE: u64 = 0x20;
/// `PATH_MAX`, the longest that the kernel writes.
const LONGEST_NAME: u32 = 4096;

/// `struct procmap_query`.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    rights: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// The files mapped executable, of an open `/proc/PID/maps`, each once. `ENOTTY` where the kernel does not know this.
pub(crate) fn executable(maps: &OwnedFd, name: &mut Vec<u8>) -> Result<Vec<Mapping>, SysError> {
    name.resize(LONGEST_NAME as usize, 0);
    let mut found: Vec<Mapping> = Vec::new();
    let mut address = 0;
    while let Some((end, mapping)) = next(maps, address, name)? {
        if !found.contains(&mapping) {
            found.push(mapping);
        }
        address = end;
    }
    Ok(found)
}

/// The first such mapping that ends above this address, and its end.
fn next(maps: &OwnedFd, address: u64, name: &mut [u8]) -> Result<Option<(u64, Mapping)>, SysError> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        flags: EXECUTABLE | OR_NEXT | OF_A_FILE,
        address,
        name_size: LONGEST_NAME,
        name: name.as_mut_ptr() as u64,
        ..Query::default()
    };
    // SAFETY: `query` is live and of the layout that the call reads and fills, and `name` has room for LONGEST_NAME.
    let result = unsafe { libc::ioctl(maps.as_raw_fd(), QUERY, &raw mut query) };
    if result < 0 {
        let error = SysError::last("ioctl", "PROCMAP_QUERY");
        return if error.errno == Errno::NOENT { Ok(None) } else { Err(error) };
    }
    // With the NUL behind it.
    let length = (query.name_size as usize).saturating_sub(1).min(name.len());
    let path = OsString::from_vec(name[..length].to_vec());
    Ok(Some((query.end, Mapping { path, file: (query.major, query.minor, query.inode) })))
}

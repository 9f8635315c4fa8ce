//! Memory that a long life does not need, given back.
//!
//! A warden, and an init, do most of their work in their first milliseconds and then wait, perhaps for days and by the
//! hundred. What the start allocated and freed, and the code that ran only then, would stay with them.

use crate::{Named, SysError};

/// Links the allocator of the binary that ships; elsewhere the C library's own is asked.
#[cfg(target_env = "musl")]
use mimalloc as _;

/// Returns freed memory to the kernel and lets go of this program's code, of which the kernel maps again what is used.
pub fn settle() -> Result<(), SysError> {
    return_freed();
    let maps = std::fs::read_to_string("/proc/self/maps").named("read", "/proc/self/maps")?;
    let within = (settle as fn() -> Result<(), SysError> as *const ()).addr();
    let Some((start, end)) = maps.lines().find_map(|line| code_around(line, within)) else { return Ok(()) };
    let area = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
    // SAFETY: the mapping is this program's own code: private and not writable, so nothing was ever changed in it, and
    // whoever touches it next finds the same bytes of the same file.
    let result = unsafe { libc::madvise(area, end - start, libc::MADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(SysError::last("madvise", "this program's code")) }
}

#[cfg(target_env = "musl")]
fn return_freed() {
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: the call takes a flag, and frees only what is free already.
    unsafe { mi_collect(true) };
}

#[cfg(target_env = "gnu")]
fn return_freed() {
    // SAFETY: the call takes a number, and frees only what is free already.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(any(target_env = "musl", target_env = "gnu")))]
fn return_freed() {}

/// The mapping that a line of `maps` (`proc(5)`) shows, if it is code that cannot be written and holds the address.
fn code_around(line: &str, address: usize) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (fields.next()? == "r-xp" && (start..end).contains(&address)).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_holds_the_address_and_was_never_written_is_let_go() {
        for (line, found) in [
            ("1000-3000 r-xp 00000000 fe:00 1  /usr/bin/creel", true),
            ("1000-2000 r-xp 00000000 fe:00 1  /usr/bin/creel", false),
            ("1000-3000 rwxp 00000000 fe:00 1  /usr/bin/creel", false),
            ("1000-3000 r--p 00000000 fe:00 1  /usr/bin/creel", false),
            ("1000-3000 r-xs 00000000 fe:00 1  /usr/bin/creel", false),
            ("", false),
        ] {
            assert_eq!(code_around(line, 0x2fff).is_some(), found, "{line}");
        }
    }

    #[test]
    fn a_program_that_settled_goes_on() {
        let kept: Vec<u64> = (0..10_000).collect();
        drop(vec![0_u8; 1 << 20]);
        settle().unwrap();
        assert_eq!(kept.iter().sum::<u64>(), 49_995_000);
        settle().unwrap();
    }
}

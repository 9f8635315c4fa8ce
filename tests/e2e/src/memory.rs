//! Looking for a secret in the memory of another process, as only root may.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
/// So much is read behind each page: a secret may begin in one and end in the next.
const OVER: usize = 128;

/// Whether the process has `secret`, of at most 128 bytes, in memory that it can write and that is there.
pub fn holds(pid: u32, secret: &[u8]) -> bool {
    let open = |name: &str| File::open(format!("/proc/{pid}/{name}")).unwrap();
    let (memory, pages) = (open("mem"), open("pagemap"));
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let written = maps.lines().filter(|line| line.split(' ').nth(1) == Some("rw-p"));
    written.into_iter().any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let page = |text| u64::from_str_radix(text, 16).unwrap() / PAGE;
        let mut entries = vec![0; usize::try_from((page(end) - page(start)) * 8).unwrap()];
        pages.read_exact_at(&mut entries, page(start) * 8).unwrap();
        // The highest bit of an entry (pagemap, in the kernel's admin guide) says that the page is there.
        let there = entries.chunks(8).zip(page(start)..).filter(|(entry, _)| entry[7] & 0x80 != 0);
        there.into_iter().any(|(_, page)| {
            let mut bytes = [0; PAGE as usize + OVER];
            let read = memory.read_at(&mut bytes, page * PAGE).unwrap_or(0);
            bytes[..read].windows(secret.len()).any(|window| window == secret)
        })
    })
}

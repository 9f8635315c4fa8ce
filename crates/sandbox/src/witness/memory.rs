//! A waiting caller's memory, read page by page and each page once: strings of one `execve` lie close together.

use creel_kernel::notify;
use std::collections::HashMap;
use std::ops::ControlFlow;

const PAGE: usize = 4096;
/// How many pages of one caller are read at most.
const MOST_PAGES: usize = 1024;
/// How many pages are read at once.
const MOST_AT_ONCE: usize = 32;

/// The memory of the process that a thread belongs to, as it was when each page was first asked for. Ask the
/// listener whether the call still waits before believing it.
pub struct Memory {
    thread: u32,
    pages: HashMap<u64, Vec<u8>>,
}

/// A string of the caller's.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// Its bytes, without the NUL.
    pub bytes: Vec<u8>,
    /// Whether its end was found.
    pub whole: bool,
}

impl Memory {
    /// Nothing is read yet.
    pub fn of(thread: u32) -> Self {
        Self { thread, pages: HashMap::new() }
    }

    /// A string that ends with a NUL, or its first `longest` bytes; `None` when not even its first byte can be read.
    pub fn string(&mut self, address: u64, longest: usize) -> Option<Text> {
        let mut bytes = Vec::new();
        let mut whole = false;
        self.walk(address, |piece| {
            let room = &piece[..piece.len().min(longest - bytes.len())];
            let end = room.iter().position(|&b| b == 0);
            bytes.extend_from_slice(&room[..end.unwrap_or(room.len())]);
            whole = end.is_some();
            if whole || bytes.len() == longest { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (whole || !bytes.is_empty()).then_some(Text { bytes, whole })
    }

    /// The pointers of a list that ends with a null pointer, and whether its end was found among the first `most`. No
    /// list at all is an empty one, as it is to the kernel.
    pub fn pointers(&mut self, address: u64, most: usize) -> (Vec<u64>, bool) {
        let (mut found, mut whole) = (Vec::new(), address == 0);
        let mut at = address;
        while !whole && found.len() < most {
            let mut bytes = [0; 8];
            if !self.fill(at, &mut bytes) {
                break;
            }
            match u64::from_ne_bytes(bytes) {
                0 => whole = true,
                pointer => found.push(pointer),
            }
            at = at.saturating_add(8);
        }
        (found, whole)
    }

    /// Reads the pages in which these strings begin, many at a time, where they can be read.
    pub fn gather(&mut self, pointers: &[u64]) {
        let mut pages: Vec<u64> = pointers.iter().map(|pointer| pointer - pointer % PAGE as u64).collect();
        pages.sort_unstable();
        pages.dedup();
        pages.retain(|page| !self.pages.contains_key(page));
        pages.truncate(MOST_AT_ONCE.min(MOST_PAGES.saturating_sub(self.pages.len())));
        let mut bytes = vec![0; pages.len() * PAGE];
        let read = notify::read_pieces(self.thread, &pages, PAGE, &mut bytes).unwrap_or(0);
        self.pages
            .extend(pages.iter().take(read).zip(bytes.chunks(PAGE)).map(|(page, b)| (*page, b.to_vec())));
    }

    /// Whether no more pages are read.
    pub fn is_full(&self) -> bool {
        self.pages.len() >= MOST_PAGES
    }

    fn fill(&mut self, address: u64, buffer: &mut [u8]) -> bool {
        let mut done = 0;
        self.walk(address, |piece| {
            let length = piece.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&piece[..length]);
            done += length;
            if done == buffer.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        done == buffer.len()
    }

    /// Shows what lies from `address` on, piece by piece, up to what cannot be read or the visitor's end.
    fn walk(&mut self, address: u64, mut visit: impl FnMut(&[u8]) -> ControlFlow<()>) {
        let mut at = address;
        loop {
            let offset = usize::try_from(at % PAGE as u64).unwrap_or(0);
            let page = self.page(at - offset as u64);
            let Some(piece) = page.get(offset..).filter(|piece| !piece.is_empty()) else { return };
            let to_end = PAGE - offset == piece.len();
            if visit(piece).is_break() || !to_end {
                return;
            }
            match at.checked_add(piece.len() as u64) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// The page that begins at `from`; empty when it cannot be read or too many were.
    fn page(&mut self, from: u64) -> &[u8] {
        let full = self.pages.len() >= MOST_PAGES;
        self.pages.entry(from).or_insert_with(|| {
            if full {
                return Vec::new();
            }
            let mut bytes = vec![0; PAGE];
            let read = notify::read_memory(self.thread, from, &mut bytes).unwrap_or(0);
            bytes.truncate(read);
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_up_to_their_end_over_pages() {
        let long = std::ffi::CString::new(vec![b'x'; 3 * PAGE]).unwrap();
        let mut memory = Memory::of(std::process::id());
        let text = memory.string(c"hello".as_ptr() as u64, 100).unwrap();
        assert_eq!((text.bytes.as_slice(), text.whole), (b"hello".as_slice(), true));
        let text = memory.string(long.as_ptr() as u64, 10 * PAGE).unwrap();
        assert_eq!((text.bytes.len(), text.whole), (3 * PAGE, true));
        let text = memory.string(long.as_ptr() as u64, 2 * PAGE).unwrap();
        assert_eq!((text.bytes.len(), text.whole), (2 * PAGE, false));
        assert_eq!(memory.string(8, 100), None);
        assert_eq!(memory.string(c"".as_ptr() as u64, 100).unwrap(), Text { bytes: vec![], whole: true });
    }

    #[test]
    fn pages_that_are_gathered_are_those_that_are_read() {
        let long = vec![b'x'; 4 * PAGE];
        let at = |page: usize| long.as_ptr() as u64 + (page * PAGE) as u64;
        for pointers in [vec![at(0), at(1), at(1) + 7], vec![8, at(0)], vec![at(0), u64::MAX], vec![]] {
            let (mut gathered, mut single) = (Memory::of(std::process::id()), Memory::of(std::process::id()));
            gathered.gather(&pointers);
            for pointer in pointers {
                assert_eq!(gathered.string(pointer, 99), single.string(pointer, 99), "{pointer:#x}");
            }
        }
        let mut gathered = Memory::of(std::process::id());
        gathered.gather(&[at(0), at(1), at(2)]);
        assert_eq!(gathered.pages.len(), 3);
    }

    #[test]
    fn a_list_ends_with_a_null_pointer_or_is_not_whole() {
        let list = [7_u64, 9, 0, 4];
        let mut memory = Memory::of(std::process::id());
        assert_eq!(memory.pointers(list.as_ptr() as u64, 10), (vec![7, 9], true));
        assert_eq!(memory.pointers(list.as_ptr() as u64, 1), (vec![7], false));
        assert_eq!(memory.pointers(0, 10), (vec![], true));
        assert_eq!(memory.pointers(8, 10), (vec![], false));
    }
}

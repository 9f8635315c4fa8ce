//! What a layer may make its reader take in.
//!
//! The reader of tar collects long names and extended headers in memory, as long as the stream says they are; a few
//! kilobytes of compressed stream can say gigabytes. So between entries only a little may be read.

use super::LayerError;
use crate::Sha256;
use crate::digest::Digesting;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes between the contents of two entries: their headers, long names and extended attributes.
const MOST_HEADERS: u64 = 1 << 20;

/// Reads, digests and counts.
pub(super) struct Meter<R> {
    from: Digesting<R>,
    dial: Dial,
}

/// How much more may be read; shared with who drives the reader.
#[derive(Clone)]
pub(super) struct Dial(Rc<State>);

struct State {
    /// The bound of the whole stream, and what is left of it.
    most: u64,
    left: Cell<u64>,
    /// What is left for headers; `None` while content is read.
    headers: Cell<Option<u64>>,
    over: Cell<Option<(u64, &'static str)>>,
}

impl<R: Read> Meter<R> {
    pub fn new(from: R, most: u64) -> (Self, Dial) {
        let state = State { most, left: Cell::new(most), headers: Cell::new(None), over: Cell::new(None) };
        let dial = Dial(Rc::new(state));
        (Self { from: Digesting::new(from), dial: dial.clone() }, dial)
    }

    pub fn digest(self) -> Sha256 {
        self.from.finish().0
    }
}

impl Dial {
    pub fn allow_headers(&self) {
        self.0.headers.set(Some(MOST_HEADERS));
    }

    pub fn allow_content(&self) {
        self.0.headers.set(None);
    }

    /// The bound that was met, if that is why reading failed.
    pub fn explain(&self, error: io::Error) -> LayerError {
        match self.0.over.get() {
            Some((most, what)) => LayerError::TooMuch { most, what },
            None => LayerError::Read(error),
        }
    }

    fn spend(&self, count: u64) -> io::Result<()> {
        let over = |most, what| {
            self.0.over.set(Some((most, what)));
            Err(io::Error::other("a bound of the layer was met"))
        };
        let Some(left) = self.0.left.get().checked_sub(count) else {
            return over(self.0.most, "bytes");
        };
        self.0.left.set(left);
        if let Some(headers) = self.0.headers.get() {
            let Some(left) = headers.checked_sub(count) else {
                return over(MOST_HEADERS, "bytes in the headers of one entry");
            };
            self.0.headers.set(Some(left));
        }
        Ok(())
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.dial.spend(count as u64)?;
        Ok(count)
    }
}

//! Reading events back. Reading believes what it reads; [`crate::verify`] is what checks it.

use crate::event::Event;
use crate::filter::Filter;
use crate::line::{Header, Line, Occurred, When};
use crate::verify::{Next, Why, next_line};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One event of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the record.
    pub seq: u64,
    /// When it happened, in milliseconds since 1970 UTC.
    pub time: i64,
    /// What happened.
    pub event: Event,
}

/// A line that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read line {line} of a record: {why}")]
pub struct ReadError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub why: Why,
}

/// Opens the record at `path` and gives the events that `filter` wants, in their order.
pub fn read(path: &Path, filter: Filter) -> Result<Reader<BufReader<File>>, ReadError> {
    let file = File::open(path).map_err(|error| ReadError { line: 0, why: error.into() })?;
    Reader::new(BufReader::with_capacity(1 << 16, file), filter)
}

/// The events of a record.
///
/// At the end of a record that is still being written it gives `None`; asked again later, it gives what was appended
/// since. An unfinished line is kept until its end arrives. After an error it gives nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    filter: Filter,
    header: Header,
    /// Bytes of a line whose end has not been read yet.
    partial: Vec<u8>,
    line: u64,
    done: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header from `input`.
    pub fn new(mut input: R, filter: Filter) -> Result<Self, ReadError> {
        let broken = |why| ReadError { line: 1, why };
        let mut bytes = Vec::new();
        let Next::Line = next_line(&mut input, &mut bytes).map_err(broken)? else {
            return Err(broken(Why::Empty));
        };
        let line: Line<'_, When> = serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))?;
        let header = line.header.ok_or_else(|| broken(Why::WrongContent))?;
        Ok(Self { input, filter, header, partial: Vec::new(), line: 1, done: false })
    }

    /// Whose record it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next whole line, joined with what had been read of it before.
    fn whole_line(&mut self) -> Result<Option<Vec<u8>>, Why> {
        let mut bytes = Vec::new();
        let next = next_line(&mut self.input, &mut bytes)?;
        if self.partial.len() + bytes.len() > crate::line::MAX_LINE {
            return Err(Why::TooLong);
        }
        self.partial.append(&mut bytes);
        Ok(matches!(next, Next::Line).then(|| std::mem::take(&mut self.partial)))
    }

    /// What a line holds for this reader: an event that is wanted, or nothing.
    fn entry(&mut self, bytes: &[u8]) -> Result<Option<Entry>, Why> {
        let line: Line<'_, Occurred> = serde_json::from_slice(bytes)?;
        self.done = self.filter.is_past(line.seq);
        let Some(Occurred { time, unmapped }) = line.event else { return Ok(None) };
        let filter = &self.filter;
        let wanted = filter.takes_seq(line.seq) && filter.takes_time(time) && filter.takes(&unmapped.creel);
        Ok(wanted.then_some(Entry { seq: line.seq, time, event: unmapped.creel }))
    }

    fn step(&mut self) -> Result<Step, Why> {
        let Some(bytes) = self.whole_line()? else { return Ok(Step::End) };
        self.line += 1;
        Ok(self.entry(&bytes)?.map_or(Step::Skip, |entry| Step::Give(Box::new(entry))))
    }
}

/// What came of one line.
enum Step {
    Give(Box<Entry>),
    Skip,
    End,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.step() {
                Ok(Step::Give(entry)) => return Some(Ok(*entry)),
                Ok(Step::Skip) => {}
                Ok(Step::End) => return None,
                Err(why) => {
                    self.done = true;
                    return Some(Err(ReadError { line: self.line + 1, why }));
                }
            }
        }
        None
    }
}

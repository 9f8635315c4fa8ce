//! The bytes of a message: numbers in little-endian order, lists and texts behind a 32-bit length.
//!
//! Both ends are the same binary, so there is no version. The reader is bounded by the message and never trusts a
//! length: what init says arrives from inside the sandbox.

use creel_api::plan::WindowSize;
use creel_kernel::SysError;
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The longest message, in bytes: it must fit the default send buffer of a Unix socket whole.
pub const MAX: usize = 160 * 1024;

/// Appends values to a message.
#[derive(Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        // A longer value is refused with the whole message, by its length.
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
    }

    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub fn option(&mut self, value: Option<u64>) {
        self.u8(u8::from(value.is_some()));
        self.u64(value.unwrap_or_default());
    }

    pub fn window(&mut self, size: Option<WindowSize>) {
        match size {
            Some(size) => self.u32((u32::from(size.rows) << 16) | u32::from(size.cols)),
            None => self.u32(u32::MAX),
        }
    }

    pub fn list(&mut self, values: &[OsString]) {
        self.count(values.len());
        values.iter().for_each(|v| self.bytes(v.as_bytes()));
    }

    pub fn fault(&mut self, fault: &SysError) {
        self.bytes(fault.call.as_bytes());
        self.bytes(fault.on.as_bytes());
        self.u32(fault.errno.raw_os_error().cast_unsigned());
    }
}

/// Takes values from a message; `None` when the message does not hold them.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub fn list(&mut self) -> Option<Vec<OsString>> {
        let count = self.u32()?;
        (0..count).map(|_| self.bytes().map(|b| OsString::from_vec(b.to_vec()))).collect()
    }

    pub fn option(&mut self) -> Option<Option<u64>> {
        let (there, value) = (self.u8()?, self.u64()?);
        Some((there != 0).then_some(value))
    }

    pub fn window(&mut self) -> Option<Option<WindowSize>> {
        Some(match self.u32()? {
            u32::MAX => None,
            size => Some(WindowSize { rows: (size >> 16) as u16, cols: (size & 0xffff) as u16 }),
        })
    }

    pub fn fault(&mut self) -> Option<SysError> {
        let (call, on) = (self.text()?, self.text()?);
        let errno = i32::try_from(self.u32()?).ok()?;
        // `Errno::from_raw_os_error` asserts its range.
        let errno = if (1..4096).contains(&errno) { Errno::from_raw_os_error(errno) } else { Errno::IO };
        Some(SysError { call: call.into(), on, errno })
    }

    /// The value, if nothing follows it.
    pub fn whole<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

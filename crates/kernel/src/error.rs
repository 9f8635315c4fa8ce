//! One error for every call into the kernel: which call, on what, and what the kernel said.

use rustix::io::Errno;
use std::borrow::Cow;
use std::fmt::Display;

/// A call into the kernel that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} {on}: {errno}")]
pub struct SysError {
    /// The system call, or the operation of several that has one name (`netlink`).
    pub call: Cow<'static, str>,
    /// What it was asked to act on.
    pub on: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl SysError {
    /// A failure of `call` on `on`.
    pub fn new(call: &'static str, on: impl Display, errno: Errno) -> Self {
        Self { call: Cow::Borrowed(call), on: on.to_string(), errno }
    }

    /// The failure that `errno` holds now, of a call made through `libc`.
    pub(crate) fn last(call: &'static str, on: impl Display) -> Self {
        let errno =
            std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
        Self::new(call, on, errno)
    }
}

/// Gives an error number the name of the call and of what the call was asked.
pub trait Named<T> {
    /// The same result with a name on its error.
    fn named(self, call: &'static str, on: impl Display) -> Result<T, SysError>;
}

impl<T> Named<T> for Result<T, Errno> {
    fn named(self, call: &'static str, on: impl Display) -> Result<T, SysError> {
        self.map_err(|errno| SysError::new(call, on, errno))
    }
}

impl<T> Named<T> for std::io::Result<T> {
    fn named(self, call: &'static str, on: impl Display) -> Result<T, SysError> {
        self.map_err(|e| SysError::new(call, on, Errno::from_io_error(&e).unwrap_or(Errno::IO)))
    }
}

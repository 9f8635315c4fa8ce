//! The operator's terminal, lent to the sandbox's own: raw mode while the command runs, and back again whatever
//! happens.

use rustix::termios::{self, OptionalActions, Termios, Winsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The operator's terminal in raw mode; as it was again when this is dropped.
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode; `None` when it is no terminal.
    pub fn enter() -> io::Result<Option<Self>> {
        let terminal = rustix::stdio::stdin().try_clone_to_owned()?;
        if !termios::isatty(&terminal) {
            return Ok(None);
        }
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// The size of the terminal that `fd` is, or 24 × 80 where it does not say.
pub fn size(fd: impl AsFd) -> (u16, u16) {
    match termios::tcgetwinsize(fd) {
        Ok(Winsize { ws_row, ws_col, .. }) if ws_row > 0 && ws_col > 0 => (ws_row, ws_col),
        _ => (24, 80),
    }
}

/// Gives `terminal` the size of the operator's.
pub fn resize(terminal: impl AsFd, (rows, cols): (u16, u16)) -> io::Result<()> {
    Ok(termios::tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })?)
}

/// True when both standard input and output are terminals.
pub fn is_interactive() -> bool {
    termios::isatty(rustix::stdio::stdin()) && termios::isatty(rustix::stdio::stdout())
}

/// This process's three standard descriptors, duplicated.
pub fn standard() -> io::Result<[OwnedFd; 3]> {
    Ok([
        rustix::stdio::stdin().try_clone_to_owned()?,
        rustix::stdio::stdout().try_clone_to_owned()?,
        rustix::stdio::stderr().try_clone_to_owned()?,
    ])
}

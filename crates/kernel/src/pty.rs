//! Pseudo-terminals.

use crate::{Named, SysError};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use std::os::fd::{AsFd, OwnedFd};

/// A new terminal of the `devpts` that is mounted at `/dev/pts`: master, then slave.
pub fn open(rows: u16, columns: u16) -> Result<(OwnedFd, OwnedFd), SysError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty()).named("open", "/dev/pts/ptmx")?;
    rustix::pty::unlockpt(&master).named("ioctl", "TIOCSPTLCK")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).named("ioctl", "TIOCGPTPEER")?;
    resize(&master, rows, columns)?;
    Ok((master, slave))
}

/// Sets the size of a terminal; its foreground processes learn by SIGWINCH.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> Result<(), SysError> {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).named("ioctl", format_args!("TIOCSWINSZ {rows}x{columns}"))
}

/// Makes the terminal the controlling one of the caller's session, which the caller leads.
pub fn control(terminal: impl AsFd) -> Result<(), SysError> {
    rustix::process::ioctl_tiocsctty(terminal).named("ioctl", "TIOCSCTTY")
}

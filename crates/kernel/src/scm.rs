//! Messages with descriptors between processes of one machine (`unix(7)`, `SCM_RIGHTS`).

use crate::{Named, SysError};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors that one message carries here.
pub const MAX_FDS: usize = 16;

/// A pair of connected sockets that keep message boundaries and tell the end of the other side.
pub fn pair() -> Result<(OwnedFd, OwnedFd), SysError> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .named("socketpair", "AF_UNIX SOCK_SEQPACKET")
}

/// Sends one message whole, with the descriptors (at most [`MAX_FDS`]).
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    if fds.len() > MAX_FDS {
        return Err(SysError::new("sendmsg", "too many descriptors", Errno::INVAL));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })
    .named("sendmsg", format_args!("{} bytes", bytes.len()))?;
    if sent == bytes.len() { Ok(()) } else { Err(SysError::new("sendmsg", "cut short", Errno::MSGSIZE)) }
}

/// Receives one message into `buffer`; `None` when the other side is gone. A message that does not fit is an error.
///
/// With `wait` false an empty queue is `EAGAIN`.
pub fn recv(
    socket: impl AsFd,
    buffer: &mut [u8],
    wait: bool,
) -> Result<Option<(usize, Vec<OwnedFd>)>, SysError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(socket.as_fd(), &mut [IoSliceMut::new(buffer)], &mut control, flags)
    })
    .named("recvmsg", "a message")?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(SysError::new("recvmsg", "a message longer than agreed", Errno::MSGSIZE));
    }
    Ok(if got.bytes == 0 { None } else { Some((got.bytes, fds)) })
}

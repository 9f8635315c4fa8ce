//! Netlink messages, built and answered by hand: a sandbox needs ten of them, before it has a runtime.
//!
//! Answers come from the kernel, but the parser is written as if they did not: every length is checked against what
//! is there, and what does not fit ends the reading with an error.

use crate::{Named, SysError};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use std::os::fd::OwnedFd;

/// This message is a request.
pub const REQUEST: u16 = 1;
/// This message wants an answer.
pub const ACK: u16 = 4;
/// Create what is not there.
pub const CREATE: u16 = 0x400;
/// Fail if it is there.
pub const EXCL: u16 = 0x200;
/// Append to the end.
pub const APPEND: u16 = 0x800;

/// Every object of the kind is asked for.
pub const DUMP: u16 = 0x300;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A message under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of this kind, with the fixed header of its family.
    pub fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(family_header);
        let mut message = Self(bytes);
        message.pad();
        message
    }

    /// Attributes only, to go into another message.
    pub fn attributes() -> Self {
        Self::default()
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Appends an attribute.
    pub fn put(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.pad();
        self
    }

    /// Appends a NUL-terminated text.
    pub fn put_str(self, kind: u16, value: &str) -> Self {
        self.put(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends a number in network order, as nf_tables wants them.
    pub fn put_be32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a number in the machine's order, as routing wants them.
    pub fn put_u32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends attributes inside an attribute.
    pub fn nest(self, kind: u16, inner: &Self) -> Self {
        self.put(kind | NESTED, &inner.0)
    }

    /// Appends attributes of another list to this one.
    pub fn join(mut self, more: &Self) -> Self {
        self.0.extend_from_slice(&more.0);
        self
    }

    fn wants_answer(&self) -> bool {
        u16::from_ne_bytes([self.0[6], self.0[7]]) & ACK != 0
    }

    /// The finished message, numbered.
    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// One answer in a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The message of this number was done (0) or refused with this error.
    Ack {
        /// Number of the message.
        sequence: u32,
        /// 0 or an error number, positive.
        errno: i32,
    },
    /// Anything else.
    Other,
}

/// Reads the answers in one datagram; `None` when a length lies.
pub fn parse(datagram: &[u8]) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let word = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let length = usize::try_from(word(0)?).ok()?;
        if length < HEADER || length > rest.len() {
            return None;
        }
        let kind = u16::from_ne_bytes([rest[4], rest[5]]);
        answers.push(if kind == ERROR {
            if length < HEADER + 4 {
                return None;
            }
            Answer::Ack { sequence: word(8)?, errno: word(HEADER)?.cast_signed().checked_neg()?.max(0) }
        } else {
            Answer::Other
        });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(answers)
}

/// The messages in one datagram, each by its kind; `None` when a length lies.
fn bodies(datagram: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        found.push((kind, rest.get(HEADER..length)?));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    name: &'static str,
}

impl Netlink {
    /// To the routing tables of the caller's network namespace.
    pub fn route() -> Result<Self, SysError> {
        Self::open(None, "netlink route")
    }

    /// To its packet filter.
    pub fn netfilter() -> Result<Self, SysError> {
        Self::open(Some(netlink::NETFILTER), "netlink nftables")
    }

    fn open(protocol: Option<rustix::net::Protocol>, name: &'static str) -> Result<Self, SysError> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .named(name, "socket")?;
        Ok(Self { socket, name })
    }

    /// Sends the messages in one datagram, and waits until each that asks for an answer has it. The first refusal is
    /// the error; `what` names the whole in it.
    pub fn transact(&self, messages: Vec<Message>, what: &str) -> Result<(), SysError> {
        let mut waiting = messages.iter().filter(|m| m.wants_answer()).count();
        let datagram: Vec<u8> =
            messages.into_iter().zip(1..).flat_map(|(m, sequence)| m.finish(sequence)).collect();
        send(&self.socket, &datagram, SendFlags::empty()).named(self.name, what)?;
        let mut buffer = vec![0; 32 * 1024];
        while waiting > 0 {
            let (_, length) =
                recv(&self.socket, &mut buffer[..], RecvFlags::empty()).named(self.name, what)?;
            let answers = buffer.get(..length).and_then(parse).ok_or_else(|| self.garbled(what))?;
            for answer in answers {
                if let Answer::Ack { sequence, errno } = answer {
                    if errno != 0 {
                        return Err(self.refused(what, sequence, errno));
                    }
                    waiting = waiting.saturating_sub(1);
                }
            }
        }
        Ok(())
    }

    /// Sends a question with [`DUMP`] and gives the body of each answer to `each`.
    pub fn dump(&self, question: Message, what: &str, mut each: impl FnMut(&[u8])) -> Result<(), SysError> {
        send(&self.socket, &question.finish(1), SendFlags::empty()).named(self.name, what)?;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let (_, length) =
                recv(&self.socket, &mut buffer[..], RecvFlags::empty()).named(self.name, what)?;
            let datagram = buffer.get(..length).ok_or_else(|| self.garbled(what))?;
            for (kind, body) in bodies(datagram).ok_or_else(|| self.garbled(what))? {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return Err(self.garbled(what)),
                    _ => each(body),
                }
            }
        }
    }

    fn garbled(&self, what: &str) -> SysError {
        SysError::new(self.name, format_args!("{what}: garbled answer"), Errno::BADMSG)
    }

    fn refused(&self, what: &str, sequence: u32, errno: i32) -> SysError {
        let errno = if errno < 4096 { Errno::from_raw_os_error(errno) } else { Errno::IO };
        SysError::new(self.name, format_args!("{what}, message {sequence}"), errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(length: u32, sequence: u32, errno: i32) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&ERROR.to_ne_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(-errno).to_ne_bytes());
        bytes
    }

    #[test]
    fn attributes_are_padded_and_nested_lengths_cover_them() {
        let inner = Message::attributes().put(1, &[7]).put_be32(2, 1);
        let message = Message::new(16, REQUEST | ACK, &[10, 0, 0, 0]).nest(4, &inner).finish(9);
        assert_eq!(message.len(), 16 + 4 + 4 + 8 + 8);
        assert_eq!(&message[0..4], &(message.len() as u32).to_ne_bytes());
        assert_eq!(&message[8..12], &9u32.to_ne_bytes());
        assert_eq!(&message[20..22], &20u16.to_ne_bytes());
        assert_eq!(&message[24..32], [5, 0, 1, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn answers_are_read_one_after_the_other() {
        let both = [ack(20, 1, 0), ack(20, 2, 22)].concat();
        let expected = vec![Answer::Ack { sequence: 1, errno: 0 }, Answer::Ack { sequence: 2, errno: 22 }];
        assert_eq!(parse(&both), Some(expected));
    }

    #[test]
    fn bodies_end_where_their_lengths_say() {
        let both = [ack(20, 1, 0), ack(20, 2, 22)].concat();
        assert_eq!(bodies(&both), Some(vec![(ERROR, &both[16..20]), (ERROR, &both[36..40])]));
        for bytes in [ack(0, 1, 0), ack(15, 1, 0), ack(21, 1, 0), ack(u32::MAX, 1, 0), vec![0; 3]] {
            assert_eq!(bodies(&bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_whose_length_lies_is_refused() {
        for bytes in [ack(0, 1, 0), ack(15, 1, 0), ack(16, 1, 0), ack(21, 1, 0), ack(u32::MAX, 1, 0)] {
            assert_eq!(parse(&bytes), None, "{bytes:?}");
        }
        assert_eq!(parse(&ack(20, 1, 0)[..10]), None);
        assert_eq!(parse(&ack(20, 1, i32::MIN + 1)), Some(vec![Answer::Ack { sequence: 1, errno: 0 }]));
    }
}

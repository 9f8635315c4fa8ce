//! Messages on a control socket: one JSON object a line, descriptors beside its first byte.

use creel_api::control::MAX_MESSAGE;
use creel_kernel::scm;
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

const CHUNK: usize = 16 * 1024;

/// A message as it goes over the wire.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Sends a message whole, waiting where the other side is slow.
pub fn send(stream: &UnixStream, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let line = encode(message)?;
    let mut rest = line.as_slice();
    if !fds.is_empty() {
        // They go with the first byte; one more write wakes whoever listens once more.
        let (first, others) = rest.split_at(1);
        scm::send(stream, first, fds).map_err(|e| io::Error::from(e.errno))?;
        rest = others;
    }
    let mut stream = stream;
    stream.write_all(rest)
}

/// Gathers what arrives until a whole message is there.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Descriptors that came so far.
    pub fds: Vec<OwnedFd>,
}

impl Inbox {
    /// Takes over what one `recvmsg` gives; false when the other side has ended.
    pub fn fill(&mut self, stream: impl std::os::fd::AsFd, wait: bool) -> Result<bool, Errno> {
        let mut buffer = [0; CHUNK];
        match scm::recv(stream, &mut buffer, wait) {
            Ok(Some((0, _)) | None) => Ok(false),
            Ok(Some((n, fds))) => {
                self.bytes.extend_from_slice(&buffer[..n]);
                self.fds.extend(fds);
                Ok(true)
            }
            Err(error) => Err(error.errno),
        }
    }

    /// The next whole message, if it is there.
    pub fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(end) = self.bytes.iter().position(|&b| b == b'\n') else {
            if self.bytes.len() > MAX_MESSAGE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message over 4 MiB"));
            }
            return Ok(None);
        };
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// Waits for the next message; `None` when the other side has ended.
    pub fn wait<T: DeserializeOwned>(&mut self, stream: &UnixStream) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(message));
            }
            match self.fill(stream, true) {
                Ok(true) | Err(Errno::INTR) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_message_and_its_descriptors_arrive_together() {
        let (a, b) = UnixStream::pair().unwrap();
        let text = "x".repeat(100_000);
        let sender = std::thread::spawn({
            let text = text.clone();
            move || send(&a, &text, &[io::stdin().as_fd()]).unwrap()
        });
        let mut inbox = Inbox::default();
        assert_eq!(inbox.wait::<String>(&b).unwrap(), Some(text));
        assert_eq!(inbox.fds.len(), 1);
        sender.join().unwrap();
        assert_eq!(inbox.wait::<String>(&b).unwrap(), None);
    }
}

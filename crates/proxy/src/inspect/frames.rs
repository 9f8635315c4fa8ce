//! Frames of a WebSocket (RFC 6455 §5), without extensions: each message is held until it was judged, and is then sent in
//! the frames that it came in.

/// The most that one message may have.
pub const MOST: usize = 1 << 20;
/// The most of a frame that is no payload.
const LONGEST_HEAD: usize = 14;

/// Something whole that an agent sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A ping, a pong or a close: sent on as it is.
    Control(Vec<u8>),
    /// A message, and the frames that it came in.
    Message(Content, Vec<u8>),
}

/// What is in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Bytes.
    Binary,
}

/// Bytes that are no frames; why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not WebSocket as it was agreed on: {0}")]
pub struct Malformed(pub &'static str);

/// The first bytes of a frame.
#[derive(Debug, Clone, Copy)]
struct Head {
    last: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    /// Of the head itself, and of the payload.
    length: usize,
    payload: u64,
}

/// Reads what an agent sends.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    /// The frames of a message that is not whole yet.
    frames: Vec<u8>,
    payload: Vec<u8>,
    is_text: Option<bool>,
}

impl Frames {
    /// Takes more bytes, and gives what became whole by them.
    ///
    /// # Errors
    /// What no agent that keeps to the protocol sends; nothing more can be read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Malformed> {
        self.held.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut from = 0;
        while let Some(head) = head(&self.held[from..], true)? {
            let payload = usize::try_from(head.payload).unwrap_or(usize::MAX);
            if payload > MOST.saturating_sub(self.payload.len()) {
                return Err(Malformed("a message of more than 1 MiB"));
            }
            let end = from + head.length + payload;
            if end > self.held.len() {
                break;
            }
            let frame = self.held[from..end].to_vec();
            from = end;
            pieces.extend(self.frame(head, frame)?);
        }
        self.held.drain(..from);
        Ok(pieces)
    }

    fn frame(&mut self, head: Head, frame: Vec<u8>) -> Result<Option<Piece>, Malformed> {
        if head.opcode >= 8 {
            return Ok(Some(Piece::Control(frame)));
        }
        match (head.opcode, self.is_text) {
            (0, None) => return Err(Malformed("a continuation of nothing")),
            (1 | 2, Some(_)) => return Err(Malformed("a message within another")),
            (0, Some(_)) => {}
            (opcode, None) => self.is_text = Some(opcode == 1),
            _ => return Err(Malformed("a frame of an unknown kind")),
        }
        let mask = head.mask.unwrap_or_default();
        let payload = frame[head.length..].iter().zip(mask.iter().cycle());
        self.payload.extend(payload.map(|(byte, mask)| byte ^ mask));
        self.frames.extend_from_slice(&frame);
        if self.frames.len() > 2 * MOST {
            return Err(Malformed("a message in too many frames"));
        }
        if !head.last {
            return Ok(None);
        }
        let (payload, frames) = (std::mem::take(&mut self.payload), std::mem::take(&mut self.frames));
        let content = match self.is_text.take() {
            Some(true) => {
                let text = String::from_utf8(payload).map_err(|_| Malformed("a text that is not UTF-8"))?;
                Content::Text(text)
            }
            _ => Content::Binary,
        };
        Ok(Some(Piece::Message(content, frames)))
    }
}

/// Follows what a server sends, from one frame to the next, and holds nothing of it.
#[derive(Debug, Default)]
pub struct Borders {
    head: Vec<u8>,
    left: u64,
}

impl Borders {
    /// Goes on over these bytes.
    ///
    /// # Errors
    /// What no server that keeps to the protocol sends.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left > 0 {
                let part = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= part as u64;
                rest = &rest[part..];
                continue;
            }
            self.head.push(rest[0]);
            rest = &rest[1..];
            if let Some(head) = head(&self.head, false)? {
                self.left = head.payload;
                self.head.clear();
            }
        }
        Ok(())
    }

    /// Whether a frame could begin here.
    pub fn between(&self) -> bool {
        self.left == 0 && self.head.is_empty()
    }
}

/// The head of the frame that begins here, once it is there.
fn head(bytes: &[u8], masked: bool) -> Result<Option<Head>, Malformed> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(Malformed("a frame of an extension"));
    }
    if (second & 0x80 != 0) != masked {
        return Err(Malformed("a mask where there is none, or none where there is one"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Malformed("a frame of an unknown kind"));
    }
    let (wide, least) = match second & 0x7f {
        126 => (2, 126),
        127 => (8, 65_536),
        _ => (0, 0),
    };
    if opcode >= 8 && (wide > 0 || !last) {
        return Err(Malformed("a control frame that is long or in parts"));
    }
    let more = wide + if masked { 4 } else { 0 };
    let Some(more) = rest.get(..more) else { return Ok(None) };
    let (length, mask) = more.split_at(wide);
    let payload = match wide {
        0 => u64::from(second & 0x7f),
        _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    if payload < least || payload > u64::MAX >> 1 {
        return Err(Malformed("a length that is not written as short as it can be"));
    }
    let mask = <[u8; 4]>::try_from(mask).ok();
    debug_assert!(2 + more.len() <= LONGEST_HEAD, "no head is longer");
    Ok(Some(Head { last, opcode, mask, length: 2 + more.len(), payload }))
}

/// A close frame that says why; masked with nothing where the agent would send it.
pub fn close(code: u16, why: &str, masked: bool) -> Vec<u8> {
    const MOST_WHY: usize = 123;
    let mut end = why.len().min(MOST_WHY);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    let length = u8::try_from(2 + end).unwrap_or(2);
    let mut frame = vec![0x88, if masked { 0x80 | length } else { length }];
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(code.to_be_bytes());
    frame.extend(&why.as_bytes()[..end]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    fn run(bytes: &[u8], piece: usize) -> Result<Vec<Piece>, Malformed> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        for bytes in bytes.chunks(piece) {
            all.extend(frames.feed(bytes)?);
        }
        Ok(all)
    }

    fn text(text: &str, frames: Vec<u8>) -> Piece {
        Piece::Message(Content::Text(text.to_owned()), frames)
    }

    #[test]
    fn messages_are_put_together_and_control_frames_pass_between_their_parts() {
        let (a, b, ping) = (frame(0x01, b"he"), frame(0x80, b"llo"), frame(0x89, b"p"));
        let whole = frame(0x81, "x".repeat(300).as_bytes());
        let all = [a.clone(), ping.clone(), b.clone(), whole.clone(), frame(0x82, b"\xff")].concat();
        let want = vec![
            Piece::Control(ping),
            text("hello", [a, b].concat()),
            text(&"x".repeat(300), whole),
            Piece::Message(Content::Binary, frame(0x82, b"\xff")),
        ];
        for piece in [1, 2, 5, 4096] {
            assert_eq!(run(&all, piece), Ok(want.clone()));
        }
    }

    #[test]
    fn what_is_against_the_protocol_is_refused() {
        let unmasked = [0x81, 0x01, b'x'];
        let long_way = [&[0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0][..], b"hello"].concat();
        let huge = [0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        for bytes in [
            unmasked.to_vec(),
            long_way,
            huge.to_vec(),
            frame(0xc1, b"x"),
            frame(0x83, b"x"),
            frame(0x80, b"x"),
            frame(0x09, b"x"),
            frame(0x89, &[0; 126]),
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
            frame(0x81, b"\xff"),
        ] {
            assert!(run(&bytes, 4096).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_close_says_why_in_one_frame() {
        assert_eq!(close(1008, "no", false), [0x88, 4, 0x03, 0xf0, b'n', b'o']);
        let long = close(1008, &"\u{e9}".repeat(100), false);
        assert!(long.len() <= 127 && std::str::from_utf8(&long[4..]).is_ok());
        assert!(matches!(run(&close(1001, "", true), 1).as_deref(), Ok([Piece::Control(_)])));
    }

    #[test]
    fn the_borders_of_a_servers_frames_are_followed() {
        let mut borders = Borders::default();
        let frames = [&[0x81, 2, b'h', b'i', 0x82, 126, 0, 200][..], &[7; 200], &[0x8a, 0]].concat();
        for (at, byte) in frames.iter().enumerate() {
            borders.pass(&[*byte]).unwrap();
            assert_eq!(borders.between(), matches!(at, 3 | 207 | 209), "{at}");
        }
        assert!(borders.pass(&[0xc1, 0]).is_err());
    }
}

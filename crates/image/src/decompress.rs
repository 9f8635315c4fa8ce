//! What a layer is compressed with is seen from its first bytes, not from what its description says.
//!
//! All decoders are written in Rust: they read what strangers wrote. How much they may give is bounded by who reads
//! ([`crate::layer`]); how much memory they may take, here.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// Memory for xz's dictionary; `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;

/// The bytes without their compression, if they have one.
pub(crate) fn plain<'a>(mut from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let head = from.fill_buf()?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(from, true, XZ_MEMORY_KIB))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(Zstd::new(from)),
        _ => Box::new(from),
    })
}

/// Zstandard frames one after another, as RFC 8878 has them; the decoder itself knows one. It refuses windows of more
/// than 128 MiB.
struct Zstd<R> {
    from: R,
    decoder: FrameDecoder,
    inside: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(from: R) -> Self {
        Self { from, decoder: FrameDecoder::new(), inside: false }
    }

    /// Goes on to the next frame with something in it; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.from.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.from) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut (&mut self.from).take(length.into()), &mut io::sink())?;
                    if skipped < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.inside && self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.inside && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.from, one).map_err(invalid)?;
            } else {
                self.inside = self.next_frame()?;
                if !self.inside {
                    return Ok(0);
                }
            }
        }
    }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(compressed: &[u8], want: &[u8]) {
        let mut got = Vec::new();
        plain(compressed).unwrap().read_to_end(&mut got).unwrap();
        assert!(got == want, "{} bytes instead of {}", got.len(), want.len());
    }

    #[test]
    fn every_compression_is_known_by_its_bytes() {
        let text = b"a layer ".repeat(100_000);
        check(&text, &text);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        check(&gzip, &text);
        check(&gzip.repeat(2), &text.repeat(2));
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        check(&zstd, &text);
        // A skippable frame between two others, as chunked layers have them.
        let skip = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &zstd].concat();
        check(&[&zstd, &skip[..]].concat(), &text.repeat(2));
        check(b"", b"");
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let text = b"a layer ".repeat(1000);
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        for cut in 4..zstd.len() {
            let mut out = Vec::new();
            assert!(plain(&zstd[..cut]).unwrap().read_to_end(&mut out).is_err(), "{cut}");
        }
    }
}

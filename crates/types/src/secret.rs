//! A value that must not be seen.

use std::fmt;

/// Bytes that never appear in a log, a record, a message or an error.
///
/// No `Display`, no `Serialize`, no `PartialEq`; `Debug` prints a fixed word. The one way to the bytes is
/// [`Secret::expose`], so that every use can be found.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes. Every caller says beside the call why it needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // `black_box` keeps the compiler from proving the store dead; without `unsafe` there is no volatile write.
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", Secret::new(*b"sk-123")), "Secret(hidden)");
    }
}

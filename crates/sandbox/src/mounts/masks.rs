//! What is hidden right now, by the kernel's own word.
//!
//! A mask moves along when a directory above it is renamed, and goes when a program outside removes or replaces what
//! it covers. So nobody remembers where masks are: the sandbox's table of mounts is asked (`proc(5)`, `mountinfo`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Where something is mounted in the sandbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Every mount point.
    pub points: BTreeSet<PathBuf>,
    /// Those of masks that were put there while it ran.
    pub masks: BTreeSet<PathBuf>,
}

/// Reads the table of the sandbox whose init this is.
pub fn mounted(init: u32) -> io::Result<Mounted> {
    std::fs::read(format!("/proc/{init}/mountinfo")).map(|text| parse(&text))
}

fn parse(text: &[u8]) -> Mounted {
    let mut mounted = Mounted::default();
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { continue };
        let point = PathBuf::from(OsString::from_vec(unescaped(point)));
        let kind = fields.skip_while(|field| *field != b"-").nth(1);
        // The name that a mask stood under in the sandbox's own root for a moment, see `creel_kernel::live`.
        if kind == Some(b"tmpfs") && root.starts_with(b"/.void") {
            mounted.masks.insert(point.clone());
        }
        mounted.points.insert(point);
    }
    mounted
}

/// Spaces, tabs, newlines and backslashes are written as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_told_from_other_mounts_and_names_are_unescaped() {
        let text = b"30 1 0:40 / / ro - tmpfs creel rw\n\
            31 30 8:1 /home/ada/ws /home/ada/ws rw,nosuid shared:3 - ext4 /dev/sda1 rw\n\
            32 31 0:40 /.void//deleted /home/ada/ws/a\\040b/.env ro - tmpfs creel rw\n\
            33 31 8:1 /.void /home/ada/ws/x rw - ext4 /dev/sda1 rw\n";
        let mounted = parse(text);
        let masks: Vec<_> = mounted.masks.iter().map(|p| p.display().to_string()).collect();
        assert_eq!(masks, ["/home/ada/ws/a b/.env"]);
        assert_eq!(mounted.points.len(), 4);
    }
}

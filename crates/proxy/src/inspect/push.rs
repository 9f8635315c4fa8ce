//! A push of git over smart HTTP: the references that it changes, in the packet lines before its pack
//! (gitprotocol-pack, gitprotocol-common).

use creel_policy::{Message, Reading};

/// The most that the commands of one push may have.
pub const MOST: usize = 1 << 20;

/// The beginning of a push.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Push {
    /// The references that it changes.
    pub reading: Reading<Vec<Message>>,
    /// The same, as they must be named in an answer.
    pub refs: Vec<String>,
    /// The client wants to know what became of each.
    pub reports: bool,
    /// Answers come in bands.
    pub sideband: bool,
}

/// Reads the commands of a push, once all are there; `None` while some may be missing.
pub fn read(bytes: &[u8]) -> Option<Push> {
    let mut push = Push::default();
    let mut updates = Vec::new();
    let mut rest = bytes;
    loop {
        let line = match next(rest) {
            Next::Missing if bytes.len() > MOST => return Some(untold("its commands are too long")),
            Next::Missing => return None,
            Next::Flush => break,
            Next::Malformed => return Some(untold("its packet lines cannot be read")),
            Next::Line(line, after) => {
                rest = after;
                line
            }
        };
        if updates.is_empty()
            && push.refs.is_empty()
            && let Some(at) = line.iter().position(|b| *b == 0)
        {
            let words: Vec<&[u8]> = line[at + 1..].split(|b| b.is_ascii_whitespace()).collect();
            push.reports = words.iter().any(|w| w.starts_with(b"report-status"));
            push.sideband = words.contains(&&b"side-band-64k"[..]);
        }
        match command(line) {
            Some(Some(reference)) => {
                updates.push(Message::Update(reference.clone()));
                push.refs.push(reference);
            }
            Some(None) => {}
            None => return Some(untold("a command that cannot be read")),
        }
    }
    push.reading = Reading::Is(updates);
    Some(push)
}

fn untold(why: &str) -> Push {
    Push { reading: Reading::Untold(format!("a push of git: {why}")), ..Push::default() }
}

enum Next<'a> {
    Line(&'a [u8], &'a [u8]),
    Flush,
    Missing,
    Malformed,
}

fn next(bytes: &[u8]) -> Next<'_> {
    let Some(digits) = bytes.get(..4) else { return Next::Missing };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Next::Malformed;
    }
    let length = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    match length {
        Some(0) => Next::Flush,
        Some(length @ 5..=65_520) => match bytes.get(4..length) {
            Some(line) => Next::Line(line, &bytes[length..]),
            None => Next::Missing,
        },
        _ => Next::Malformed,
    }
}

/// The reference that a command changes; nothing when it changes none, `None` when it is not clear.
fn command(line: &[u8]) -> Option<Option<String>> {
    let line = line.split(|b| *b == 0).next()?;
    let line = std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).ok()?;
    let mut words = line.split(' ');
    let is_id = |word: &str| matches!(word.len(), 40 | 64) && word.bytes().all(|b| b.is_ascii_hexdigit());
    match (words.next()?, words.next()?, words.next(), words.next()) {
        ("shallow", id, None, None) if is_id(id) => Some(None),
        (old, new, Some(reference), None) if is_id(old) && is_id(new) => {
            let plain = reference.starts_with("refs/")
                && !reference.contains("..")
                && !reference.chars().any(|c| c.is_control() || "~^:?*[\\".contains(c));
            plain.then(|| Some(reference.to_owned()))
        }
        // A signed push has its commands in a certificate.
        _ => None,
    }
}

/// The answer that says of each reference that it was refused, in the words that git shows.
pub fn answer(push: &Push, why: &str) -> Vec<u8> {
    let mut report = Vec::new();
    if push.reports {
        line(b"unpack ok\n", &mut report);
        let short = why.lines().next().unwrap_or_default();
        for reference in &push.refs {
            line(format!("ng {reference} {short}\n").as_bytes(), &mut report);
        }
        report.extend(b"0000");
    }
    if !push.sideband {
        return report;
    }
    let mut out = Vec::new();
    // A band has at most 65,515 bytes of its own; no line above comes near.
    for text in why.lines() {
        line(&[b"\x02", text.as_bytes(), b"\n"].concat(), &mut out);
    }
    for part in report.chunks(60_000) {
        line(&[b"\x01", part].concat(), &mut out);
    }
    out.extend(b"0000");
    out
}

fn line(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(65_516)];
    out.extend(format!("{:04x}", bytes.len() + 4).bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000000000000000000000000000000";
    const NEW: &str = "1111111111111111111111111111111111111111";

    fn packet(text: &str) -> String {
        format!("{:04x}{text}", text.len() + 4)
    }

    fn check(body: &str, want: Option<&str>) {
        let told = read(body.as_bytes()).map(|push| match push.reading {
            Reading::Is(_) => push.refs.join(" "),
            _ => "untold".to_owned(),
        });
        assert_eq!(told.as_deref(), want, "{body:?}");
    }

    #[test]
    fn the_references_that_a_push_changes_are_told() {
        let first =
            packet(&format!("{OLD} {NEW} refs/heads/main\0 report-status side-band-64k agent=git/2\n"));
        let second = packet(&format!("{NEW} {OLD} refs/tags/v1"));
        let shallow = packet(&format!("shallow {NEW}"));
        check("0000", Some(""));
        check(&format!("{first}0000PACK"), Some("refs/heads/main"));
        check(&format!("{shallow}{first}{second}0000PACK"), Some("refs/heads/main refs/tags/v1"));
        check(&format!("{first}{second}"), None);
        check("", None);
        check("00", None);
        let push = read(format!("{first}0000").as_bytes()).unwrap();
        assert!(push.reports && push.sideband);
        for end in 0..first.len() {
            check(&first[..end], None);
        }
    }

    #[test]
    fn commands_that_are_not_clear_are_not_told() {
        for text in [
            "push-cert\0report-status",
            &format!("{OLD} {NEW} main"),
            &format!("{OLD} {NEW} refs/heads/a b"),
            &format!("{OLD} {NEW} refs/heads/../x"),
            &format!("{OLD} 12 refs/heads/x"),
            &format!("{OLD} {NEW} refs/heads/\u{1}"),
            "x",
        ] {
            check(&format!("{}0000", packet(text)), Some("untold"));
        }
        for body in ["0001", "zzzz", "0004", "ffff"] {
            check(body, Some("untold"));
        }
    }

    #[test]
    fn a_refusal_is_a_report_on_each_reference() {
        let push = Push { refs: vec!["refs/heads/a".into()], reports: true, ..Push::default() };
        assert_eq!(answer(&push, "no\nmore"), b"000eunpack ok\n0017ng refs/heads/a no\n0000");
        let told = answer(&Push { sideband: true, ..push }, "no\nmore");
        assert_eq!(
            told,
            b"0008\x02no\n000a\x02more\n002e\x01000eunpack ok\n0017ng refs/heads/a no\n00000000"
        );
    }
}

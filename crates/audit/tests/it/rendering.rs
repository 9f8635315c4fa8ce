//! What people see.

use crate::connection;
use creel_audit::{Colour, Entry, Event, render};

fn entry(event: Event) -> Entry {
    Entry { seq: 17, time: 1_795_365_000_123, event }
}

#[test]
fn a_line_says_when_what_was_decided_who_where_and_why() {
    assert_eq!(
        render(&entry(connection(3)), Colour::None),
        "2026-11-22T16:30:00.123Z    17 allowed  git[41] -> api.github.com:443 closed: up 3B down 9B in 0ms [github-read]"
    );
    assert_eq!(
        render(&entry(connection(2)), Colour::None),
        "2026-11-22T16:30:00.123Z    17 refused  curl[41] -> evil.example:443: no rule admits evil.example:443"
    );
}

#[test]
fn colour_changes_nothing_but_colour() {
    let coloured = render(&entry(connection(2)), Colour::Ansi);
    let mut plain = coloured.clone();
    for code in ["\x1b[2m", "\x1b[0m", "\x1b[31m"] {
        plain = plain.replace(code, "");
    }
    assert_ne!(coloured, plain);
    assert_eq!(plain, render(&entry(connection(2)), Colour::None));
}

#[test]
fn names_that_would_drive_a_terminal_are_escaped() {
    let mut event = connection(3);
    if let Event::Connection(e) = &mut event {
        e.host = "a\x1b[2Jb\r\n\u{202e}c\u{200b}\u{9b}31m".to_owned();
    }
    let line = render(&entry(event), Colour::None);
    assert!(line.contains(r"a\u{1b}[2Jb\u{d}\u{a}\u{202e}c\u{200b}\u{9b}31m:443"), "{line}");
    assert!(!line.chars().any(char::is_control));
}

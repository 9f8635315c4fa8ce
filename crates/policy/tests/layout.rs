//! `creel policy fmt`: what changes and what does not, and that doing it twice does nothing more.
#![allow(missing_docs, clippy::unwrap_used)]
mod interpreter;
mod support;

use creel_policy::{FormatError, format, preset, presets};
use interpreter::any;
use proptest::prelude::*;
use support::document;

fn laid_out(text: &str) -> String {
    format(&document(text)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn check(text: &str, want: &str) {
    let once = laid_out(text);
    assert_eq!(once, want);
    assert_eq!(laid_out(&once), once);
}

#[test]
fn blanks_quotes_and_indentation_have_one_form() {
    check(
        "version:   1\nname: 'x'\ninclude: [ preset:base,'preset:npm' ]\nfilesystem:\n    workspace: {path: ., access:  write}\n\
         network:\n    rules:\n    - name: a\n      to: [\"*.a.com\",b.com]\n    -   {name: b, to: [c.com]}\n",
        "version: 1\nname: \"x\"\ninclude: [preset:base, \"preset:npm\"]\nfilesystem:\n  workspace: { path: ., access: write }\n\
         network:\n  rules:\n    - name: a\n      to: [\"*.a.com\", b.com]\n    - { name: b, to: [c.com] }\n",
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    check(
        "# top\n\n\n# of the version\nversion: 1   # the only one\nnetwork: # here\n    # before the rules\n    rules:  # all\n      \
         # of a\n      - name: a # its name\n        to: [a.com]   # its hosts\n        # - more\n\n      # of b\n      - name: b\n        \
         to: [\n          b.com, # one\n          # two\n          c.com\n        ] # end\n    # last of network\n# of process\nprocess: { limits: { processes: 5 } }\n\
         # the end\n",
        "# top\n\n# of the version\nversion: 1   # the only one\nnetwork:   # here\n  # before the rules\n  rules:   # all\n    \
         # of a\n    - name: a   # its name\n      to: [a.com]   # its hosts\n      # - more\n\n    # of b\n    - name: b\n      \
         to:\n        - b.com   # one\n        # two\n        - c.com\n        # end\n  # last of network\n# of process\nprocess: { limits: { processes: 5 } }\n\
         # the end\n",
    );
}

#[test]
fn a_line_that_is_too_long_is_broken_and_a_hash_in_a_text_is_no_comment() {
    let hosts: Vec<String> = (0..12).map(|i| format!("host-{i}.example")).collect();
    let lines: String = hosts.iter().map(|host| format!("        - {host}\n")).collect();
    check(
        &format!(
            "version: 1\nnetwork:\n  rules:\n    - name: a\n      to: [{}]\n      from: ['/x #y', /a#b]\n",
            hosts.join(",")
        ),
        &format!(
            "version: 1\nnetwork:\n  rules:\n    - name: a\n      to:\n{lines}      from: [\"/x #y\", /a#b]\n"
        ),
    );
}

#[test]
fn what_is_not_yaml_is_an_error_and_what_would_change_is_left_alone() {
    assert!(matches!(format(&document("a: [")), Err(FormatError::Invalid(_))));
    for text in ["---\nversion: 1\n", "version: 1\nname: |\n  x\n"] {
        assert!(matches!(format(&document(text)), Err(FormatError::WouldChange { .. })), "{text}");
    }
}

#[test]
fn every_preset_can_be_laid_out_and_then_stays_as_it_is() {
    for name in presets() {
        let once = laid_out(preset(name).unwrap());
        assert_eq!(laid_out(&once), once, "{name}");
    }
}

/// The document with comments and blanks strewn over it, where they change nothing.
fn strewn(text: &str, seeds: &[u8]) -> String {
    let mut out = String::new();
    for (at, line) in text.lines().enumerate() {
        let seed = seeds[at % seeds.len()];
        let indent = " ".repeat(usize::from(seed / 32));
        match seed % 7 {
            0 => out.push_str(&format!("{indent}# above {at}\n{line}\n")),
            1 => out.push_str(&format!("{line}  # behind {at}\n")),
            2 => out.push_str(&format!("\n\n{line}\n")),
            3 => out.push_str(&format!("{line}   \n")),
            4 => out.push_str(&format!("\n{indent}#above {at}\n\n{line}\n")),
            5 => out.push_str(&format!("{}\n", line.replace(", ", ",   ").replace("[", "[ "))),
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn laying_out_twice_is_laying_out_once(written in any::policy(), seeds in prop::collection::vec(any::<u8>(), 1..40)) {
        let text = strewn(&written.yaml(), &seeds);
        let once = format(&document(&text)).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(format(&document(&once)).unwrap(), once);
    }

    #[test]
    fn no_text_makes_the_formatter_panic_or_repeat_itself(text in "(version: 1\n)?([a-z]{1,2}|[:{}\\[\\]\\-\"'# \n,~]){0,60}") {
        if let Ok(once) = format(&document(&text)) {
            prop_assert_eq!(format(&document(&once)), Ok(once.clone()), "{:?}", once);
        }
    }
}

//! The workspace is granted unless a document says otherwise, and a program's links are followed.

mod support;

use creel_policy::{Access, Connect, Links, compile};
use creel_types::{Caller, Host, HostName, Program};
use std::path::{Path, PathBuf};

fn access(text: &str) -> Option<Access> {
    let document = support::document(&format!("version: 1\nname: t\n{text}\n"));
    let policy =
        compile(&[document], &support::operator(), &|_, _| Err("no includes".into())).expect("valid");
    policy.filesystem().access(Path::new("/home/u/work/file"))
}

#[test]
fn the_workspace_is_writable_unless_a_document_says_otherwise() {
    for (text, want) in [
        ("", Some(Access::Write)),
        ("filesystem: { read: [/data] }", Some(Access::Write)),
        ("filesystem: { workspace: { access: read } }", Some(Access::Read)),
        ("filesystem: { workspace: { access: review } }", Some(Access::Review)),
        ("filesystem: { workspace: { access: none } }", None),
    ] {
        assert_eq!(access(text), want, "{text:?}");
    }
}

#[test]
fn a_program_is_the_file_that_its_name_leads_to() {
    let mut operator = support::operator();
    operator.links = Links::new(|path| {
        (path == Path::new("/usr/bin/python3")).then(|| PathBuf::from("/usr/bin/python3.11"))
    });
    let text =
        "version: 1\nname: t\nnetwork: { rules: [{ name: r, to: [a.test], from: [/usr/bin/python3] }] }\n";
    let policy =
        compile(&[support::document(text)], &operator, &|_, _| Err("no includes".into())).expect("valid");
    let host = Host::Name(HostName::new("a.test").expect("a name"));
    let by = |path: &str| {
        let program = Program { pid: 1, path: path.into(), digest: None, foreign_code: None };
        policy.connect(&Connect { host: &host, port: 443, caller: &Caller { chain: vec![program] } }).is_ok()
    };
    assert!(by("/usr/bin/python3.11"));
    assert!(!by("/usr/bin/python3.12"));
}

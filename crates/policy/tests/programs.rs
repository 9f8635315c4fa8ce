//! What may be executed: what the entries mean, and what a refusal says.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Execute, Policy, Reason};
use creel_types::{Caller, Digest};
use support::{policy, program, try_compile};

fn exec(text: &str) -> Policy {
    policy(&format!("version: 1\nprocess:\n  exec: {text}\n"))
}

/// A program, its arguments, and who executes it.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn judge(policy: &Policy, (path, arguments, parents): Case<'_>, whole: bool) -> Result<(), Reason> {
    let names = [path.to_owned()];
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let parents = Caller { chain: parents.iter().map(|path| program(path)).collect() };
    let (digest, also) = (Some(Digest([1; 32])), &[]);
    let ask = Execute { names: &names, also, digest, arguments: &arguments, whole, parents: &parents };
    policy.execute(&ask).map(drop).map_err(|refusal| refusal.reason)
}

#[track_caller]
fn check(policy: &Policy, case: Case<'_>, allowed: bool) {
    assert_eq!(judge(policy, case, true).is_ok(), allowed, "{case:?}");
}

#[test]
fn entries_take_programs_arguments_and_parents() {
    let zeros = "0".repeat(64);
    let deny = exec(&format!(
        "{{ deny: [/usr/bin/sudo, \"/usr/bin/git push **\", \"/opt/**\", \"sha256:{zeros}\", \
         {{ run: /bin/rm -rf *, from: [\"tree:/bin/node\"] }}] }}"
    ));
    for (case, allowed) in [
        (("/usr/bin/sudo", &["ls"][..], &["/bin/sh"][..]), false),
        (("/usr/bin/sudo2", &[], &["/bin/sh"]), true),
        (("/usr/bin/git", &["push"], &["/bin/sh"]), false),
        (("/usr/bin/git", &["push", "-f", "x"], &["/bin/sh"]), false),
        (("/usr/bin/git", &["pull"], &["/bin/sh"]), true),
        (("/opt/a/b", &[], &["/bin/sh"]), false),
        (("/bin/rm", &["-rf", "x"], &["/bin/sh", "/bin/node"]), false),
        (("/bin/rm", &["-rf", "x"], &["/bin/sh"]), true),
        (("/bin/rm", &["-rf", "x"], &[]), false),
        (("/bin/rm", &["x"], &["/bin/node"]), true),
    ] {
        check(&deny, case, allowed);
    }
    let allow = exec("{ allow: [\"/usr/bin/*\", { run: /bin/sh, from: [/usr/bin/env] }] }");
    for (case, allowed) in [
        (("/usr/bin/id", &["-u"][..], &[][..]), true),
        (("/usr/bin/x/id", &[], &[]), false),
        (("/bin/sh", &[], &["/usr/bin/env"]), true),
        (("/bin/sh", &[], &["/bin/sh", "/usr/bin/env"]), false),
        (("/bin/sh", &[], &[]), false),
    ] {
        check(&allow, case, allowed);
    }
}

#[test]
fn what_cannot_be_told_counts_as_denied_and_not_as_allowed() {
    let case = ("/usr/bin/git", &["pull"][..], &["/bin/sh"][..]);
    for (text, whole, allowed) in [
        ("{ deny: [\"/usr/bin/git push **\"] }", true, true),
        ("{ deny: [\"/usr/bin/git push **\"] }", false, false),
        ("{ allow: [\"/usr/bin/git pull\"] }", true, true),
        ("{ allow: [\"/usr/bin/git pull\"] }", false, false),
        ("{ allow: [/usr/bin/git] }", false, true),
    ] {
        assert_eq!(judge(&exec(text), case, whole).is_ok(), allowed, "{text}, whole: {whole}");
    }
    let unread = Execute {
        names: &["/bin/x".to_owned()],
        also: &[],
        digest: None,
        arguments: &[],
        whole: true,
        parents: &Caller::UNKNOWN,
    };
    let digest = "1".repeat(64);
    assert!(exec(&format!("{{ deny: [\"sha256:{digest}\"] }}")).execute(&unread).is_err());
    assert!(exec(&format!("{{ allow: [\"sha256:{digest}\"] }}")).execute(&unread).is_err());
}

#[test]
fn names_that_lead_to_the_file_count_and_names_it_had_count_only_against_it() {
    let (file, rule) = (["/usr/bin/vim.basic".to_owned()], ["/usr/bin/vi".to_owned()]);
    let both = [file[0].clone(), rule[0].clone()];
    let (digest, arguments, parents) = (None, &[][..], &Caller::UNKNOWN);
    let ask = |names, also| Execute { names, also, digest, arguments, whole: true, parents };
    let (deny, allow) = (exec("{ deny: [/usr/bin/vi] }"), exec("{ allow: [/usr/bin/vi] }"));
    assert_eq!(deny.process().exec_files(), rule);
    for (ask, denied, allowed) in
        [(ask(&both, &[]), true, true), (ask(&file, &rule), true, false), (ask(&[], &rule), true, false)]
    {
        assert_eq!(deny.execute(&ask).is_err(), denied, "{ask:?}");
        assert_eq!(allow.execute(&ask).is_ok(), allowed, "{ask:?}");
    }
}

#[test]
fn a_policy_without_exec_says_nothing_and_one_that_cannot_be_read_refuses() {
    assert!(!policy("version: 1\n").judges_exec());
    let unreadable = Policy::refuse_all("torn");
    assert!(unreadable.judges_exec());
    let reason = judge(&unreadable, ("/bin/sh", &[], &[]), true).unwrap_err();
    assert_eq!(reason, Reason::Unreadable("torn".into()));
}

#[test]
fn a_refusal_says_what_would_allow_it() {
    let policy = exec("{ allow: [\"/usr/bin/git pull\"], deny: [/usr/bin/sudo] }");
    let parents = Caller { chain: vec![program("/bin/sh")] };
    let refused = |path: &str, argument: &str| {
        let (names, arguments) = ([path.to_owned()], [argument.to_owned()]);
        let ask = Execute {
            names: &names,
            also: &[],
            digest: None,
            arguments: &arguments,
            whole: true,
            parents: &parents,
        };
        policy.execute(&ask).unwrap_err().to_string()
    };
    assert_eq!(
        refused("/usr/bin/git", "push\n"),
        "refused by process policy: no `process.exec.allow` entry covers it\n  compared: /usr/bin/git push\\n from /bin/sh\n  \
         nearest rule: process.exec.allow, missed by its arguments: `/usr/bin/git pull`\n  to allow it:\n    process:\n      \
         exec:\n        allow: [\"/usr/bin/git\"]   # add to the list"
    );
    assert_eq!(
        refused("/usr/bin/sudo", "x"),
        "refused by process policy: `deny: /usr/bin/sudo` takes it\n  compared: /usr/bin/sudo x from /bin/sh\n  \
         rule: process.exec.deny\n  to allow it:\n    process:\n      exec:\n        \
         deny: []   # leave out `/usr/bin/sudo`, which beats every allow"
    );
}

#[test]
fn an_allow_that_a_deny_takes_whole_is_an_error() {
    let text = "version: 1\nprocess: { exec: { deny: [/usr/bin/sudo], allow: [/usr/bin/sudo] } }\n";
    let errors = try_compile(text).unwrap_err().to_string();
    assert!(errors.contains("can never be executed"), "{errors}");
}

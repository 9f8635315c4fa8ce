//! `creel policy diff`: every difference that is told is one, and none is missed.
#![allow(missing_docs, clippy::unwrap_used)]
mod interpreter;
mod support;

use creel_policy::{
    Difference, Differences, Document, Handling, Kind, Places, Policy, Question, Verdict, canonical, compare,
    compile_with_places,
};
use interpreter::any;
use interpreter::ask::Asked;
use interpreter::written::Written;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{document, operator, studied};

fn compiled(written: &Written) -> Option<(Policy, Places)> {
    let guard = written.guard();
    let load = |name: &str, _: &std::path::Path| {
        Ok(Document { name: name.to_owned(), text: guard.clone(), base: Default::default() })
    };
    compile_with_places(&[document(&written.yaml())], &operator(), &load).ok()
}

fn diff(old: &(Policy, Places), new: &(Policy, Places)) -> Differences {
    compare((&old.0, &old.1), (&new.0, &new.1)).unwrap()
}

/// What a policy says of the question, in the sense of this kind of difference.
fn says((policy, places): &(Policy, Places), kind: Kind, question: &Question) -> bool {
    let allowed = policy.explain(places, question).verdict == Verdict::Allowed;
    let Question::Connect { host, port, caller, .. } = question else {
        let Question::Write(path) = question else { return allowed };
        let access = policy.filesystem().access(path);
        return if kind == Kind::Land { access == Some(creel_policy::Access::Write) } else { allowed };
    };
    let handling =
        policy.connect(&creel_policy::Connect { host, port: *port, caller }).map(|a| a.handling()).ok();
    match kind {
        Kind::Connect => allowed && handling != Some(Handling::Model),
        Kind::Unseen => allowed && matches!(handling, Some(Handling::PassThrough | Handling::Raw)),
        Kind::Raw => allowed && handling == Some(Handling::Raw),
        Kind::Route => handling == Some(Handling::Model),
        _ => allowed,
    }
}

/// Few policies are near to another: one that is changed in one place.
fn pair() -> impl Strategy<Value = (Written, Written)> {
    (any::policy(), any::policy(), 0_u8..6).prop_map(|(old, other, what)| {
        let mut new = old.clone();
        match what {
            0 => drop(new.rules.pop()),
            1 => new.deny = other.deny,
            2 => (new.exec_allow, new.exec_deny) = (other.exec_allow, other.exec_deny),
            3 => (new.read, new.write, new.hide) = (other.read, other.write, other.hide),
            4 => (new.model, new.capture) = (other.model, other.capture),
            _ => {
                if let (Some(rule), Some(other)) = (new.rules.first_mut(), other.rules.into_iter().next()) {
                    *rule = interpreter::written::Rule { name: rule.name.clone(), ..other };
                }
            }
        }
        (old, new)
    })
}

fn request(asked: &Asked) -> Option<Question> {
    let caller = support::caller(&asked.who.chain.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>());
    let odd = asked.who.chain.iter().map(|(_, odd)| odd.then(|| "/work/evil.so".into()));
    let programs =
        caller.chain.into_iter().zip(odd).map(|(p, odd)| creel_types::Program { foreign_code: odd, ..p });
    Some(Question::Request {
        method: asked.method.clone(),
        tls: asked.port != 80,
        host: canonical::host(&asked.host).ok()?,
        port: asked.port,
        path: canonical::path(&asked.path).ok()?,
        caller: creel_types::Caller { chain: programs.collect() },
    })
}

const NETWORK: [Kind; 5] = [Kind::Request, Kind::Connect, Kind::Unseen, Kind::Raw, Kind::Route];

/// What is asked of both and answered differently must be among the differences, in the same direction.
fn missed(
    (old, new): (&(Policy, Places), &(Policy, Places)),
    found: &Differences,
    question: &Question,
    kinds: &[Kind],
) -> Option<String> {
    let [before, after] = [old, new].map(|one| says(one, kinds[0], question));
    let list = if after { &found.allowed } else { &found.denied };
    let told = list.iter().any(|difference| kinds.contains(&difference.kind));
    (before != after && !told).then(|| format!("{question}: {before} then {after}, and only\n{found}"))
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("CREEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_difference_is_one_and_none_is_missed(
        (old, new) in pair(), asked in vec(any::asked(), 60), files in vec(any::file(), 10), runs in vec(any::run(), 10)
    ) {
        let (Some(one), Some(two)) = (compiled(&old), compiled(&new)) else { return Ok(()) };
        let found = diff(&one, &two);
        for (list, gained) in [(&found.allowed, true), (&found.denied, false)] {
            for Difference { kind, question, witness, .. } in list {
                let Some(question) = question else { continue };
                let said = (says(&one, *kind, question), says(&two, *kind, question));
                prop_assert_eq!(said, (!gained, gained), "{:?} {}\n{}\n{}", kind, witness, old.yaml(), new.yaml());
            }
        }
        let both = (&one, &two);
        let mut all: Vec<(Question, &[Kind])> = Vec::new();
        all.extend(asked.iter().filter_map(request).map(|question| (question, &NETWORK[..])));
        all.extend(files.iter().map(|file| (Question::Read(file.into()), &[Kind::Read][..])));
        all.extend(files.iter().map(|file| (Question::Write(file.into()), &[Kind::Write][..])));
        for (path, arguments, who) in runs {
            let parents = support::caller(&who.chain.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>());
            let question = Question::Execute { names: vec![path], arguments, digest: None, parents };
            all.push((question, &[Kind::Execute]));
        }
        for (question, kinds) in all {
            let missed = missed(both, &found, &question, kinds);
            prop_assert!(missed.is_none(), "{}\n{}{}\n{}{}", missed.unwrap(), old.yaml(), old.guard(), new.yaml(), new.guard());
        }
    }

    #[test]
    fn a_policy_differs_from_itself_in_nothing_and_what_is_gained_one_way_is_lost_the_other((old, new) in pair()) {
        let (Some(one), Some(two)) = (compiled(&old), compiled(&new)) else { return Ok(()) };
        prop_assert!(diff(&one, &one).is_empty());
        let (there, back) = (diff(&one, &two), diff(&two, &one));
        let kinds = |list: &[Difference]| list.iter().map(|d| d.kind).collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(kinds(&there.allowed), kinds(&back.denied));
        prop_assert_eq!(kinds(&there.denied), kinds(&back.allowed));
    }
}

#[test]
fn differences_are_told_with_a_witness_each() {
    let old = studied(
        "version: 1
name: agent
filesystem: { read: [/data, ~/.gitconfig], hide: [\"./**/.env\"] }
process: { limits: { processes: 100, memory: 1GiB }, exec: { deny: [/usr/bin/sudo, \"/usr/bin/git push **\"] } }
network:
  deny: [gist.github.com]
  rules:
    - { name: github, to: [\"*.github.com\"], from: [/usr/bin/gh], http: { allow: [\"GET /repos/**\"], deny: [\"* /repos/*/*/actions/**\"] } }
    - { name: db, to: [\"db.acme.dev:5432\"], raw: true, addresses: [10.1.0.0/16] }
    - { name: pypi, to: [pypi.org], http: { allow: [\"GET /**\"] } }
",
    );
    let new = studied(
        "version: 1
name: agent
filesystem: { write: [/data], hide: [\"./**/.env\", /data/private] }
process: { limits: { processes: 50 }, nested: false, exec: { deny: [/usr/bin/sudo, \"/usr/bin/git push --force **\"] } }
network:
  rules:
    - { name: github, to: [\"*.github.com\"], from: [\"tree:/usr/bin/gh\"], http: { allow: [\"GET /repos/**\", \"POST /repos/*/*/issues\"] } }
    - { name: db, to: [\"db.acme.dev:5432\"], raw: true, addresses: [10.0.0.0/8] }
    - { name: pypi, to: [pypi.org] }
inference:
  backends: [{ name: acme, base_url: \"https://models.acme.dev/v1\", key: \"env:ACME_KEY\" }]
  models: { default: [\"acme/*\"] }
",
    );
    insta::assert_snapshot!("differences", diff(&old, &new).to_string());
    assert_eq!(diff(&old, &old).to_string(), "Nothing becomes allowed.\nNothing becomes denied.\n");
}

#[test]
fn a_credential_that_goes_along_is_a_difference() {
    let with = |rule: &str, credentials: &str| {
        studied(&format!(
            "version: 1\n{credentials}network:\n  rules:\n    - {{ name: a, to: [a.com]{rule}, http: {{ allow: [\"GET /x\"] }} }}\n"
        ))
    };
    let secret = |variable: &str| format!("credentials: [{{ name: token, secret: \"env:{variable}\" }}]\n");
    let (without, one) = (with("", ""), with(", credential: token", &secret("TOKEN")));
    let other = with(", credential: token", &secret("OTHER"));
    let found = diff(&without, &one);
    assert_eq!(found.allowed.iter().map(|d| d.kind).collect::<Vec<_>>(), [Kind::Credential], "{found}");
    assert!(found.allowed[0].witness.contains("GET https://a.com/x") && found.denied.is_empty(), "{found}");
    let changed = diff(&one, &other);
    assert!(
        changed.allowed[0].witness.contains("OTHER") && changed.denied[0].witness.contains("TOKEN"),
        "{changed}"
    );
    assert!(diff(&one, &one).is_empty());
}

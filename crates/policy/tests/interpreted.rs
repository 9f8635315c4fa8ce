//! The compiled policy agrees with a slow interpreter of `docs/policy.md` on very many random policies and questions,
//! hostile spellings among them. `CREEL_CASES` says how many policies; each is asked fifty questions.
#![allow(missing_docs, clippy::unwrap_used)]
mod interpreter;
mod support;

use creel_policy::{
    Access, Connect, Document, Errors, Execute, Handling, Policy, Request, canonical, compile,
};
use creel_types::{Caller, Program};
use interpreter::any;
use interpreter::ask::{Asked, Who};
use interpreter::judge::Way;
use interpreter::written::Written;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};
use support::{document, operator};

fn cases() -> ProptestConfig {
    let cases = std::env::var("CREEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn compiled(written: &Written) -> Result<Policy, Errors> {
    let guard = written.guard();
    compile(&[document(&written.yaml())], &operator(), &|name, _| {
        Ok(Document { name: name.to_owned(), text: guard.clone(), base: PathBuf::new() })
    })
}

fn caller(who: &Who) -> Caller {
    let program = |(path, odd): &(String, bool)| Program {
        pid: 1,
        path: path.into(),
        digest: None,
        foreign_code: odd.then(|| "/work/evil.so".into()),
    };
    Caller { chain: who.chain.iter().map(program).collect() }
}

fn way(handling: Handling) -> Way {
    match handling {
        Handling::Inspect => Way::Inspected,
        Handling::PassThrough => Way::Passed,
        Handling::Raw => Way::Raw,
        Handling::Model => Way::Model,
    }
}

/// The compiled policy's answer, in the interpreter's words.
fn answer(policy: &Policy, asked: &Asked) -> Option<String> {
    let host = canonical::host(&asked.host).ok()?;
    let path = canonical::path(&asked.path).ok()?;
    let method = canonical::method(&asked.method).unwrap();
    let caller = caller(&asked.who);
    let connect = Connect { host: &host, port: asked.port, caller: &caller };
    let admission = policy.connect(&connect);
    let leads = admission.as_ref().is_ok_and(|a| policy.permit(a, asked.addr).is_ok());
    let request = policy.request(&Request { connect, method, path: &path }).is_ok();
    let way = admission.ok().map(|a| way(a.handling()));
    Some(format!("{host} {path}: {way:?}, request {request}, address {leads}"))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_compiled_policy_says_of_the_network_what_the_document_says(
        written in any::policy(), asked in vec(any::asked(), 50)
    ) {
        let Ok(policy) = compiled(&written) else { return Ok(()) };
        for asked in &asked {
            prop_assert_eq!(answer(&policy, asked), written.answer(asked), "{:?}\n{}", asked, written.yaml());
        }
    }

    #[test]
    fn the_compiled_policy_says_of_files_and_programs_what_the_document_says(
        written in any::policy(), files in vec(any::file(), 25), runs in vec(any::run(), 25)
    ) {
        let Ok(policy) = compiled(&written) else { return Ok(()) };
        for file in files {
            let said = match policy.filesystem().access(Path::new(file)) {
                // What is hidden is as if absent, and so is what nothing grants.
                None | Some(Access::Hide) => None,
                Some(Access::Read) => Some('r'),
                Some(Access::Review | Access::Write) => Some('w'),
            };
            prop_assert_eq!(said, written.access(file), "{}\n{}", file, written.yaml());
        }
        for (path, arguments, who) in &runs {
            let (names, parents) = ([path.clone()], caller(who));
            let ask = Execute { names: &names, also: &[], digest: None, arguments, whole: true, parents: &parents };
            let said = policy.execute(&ask).is_ok();
            prop_assert_eq!(said, written.execute(path, arguments, who), "{:?}\n{}", ask, written.yaml());
        }
    }

    #[test]
    fn no_order_of_anything_matters(
        written in any::policy(), seed in any::<u64>(), asked in vec(any::asked(), 20), runs in vec(any::run(), 5)
    ) {
        let other = shuffled(&written, seed);
        let (one, two) = (compiled(&written), compiled(&other));
        prop_assert_eq!(one.is_ok(), two.is_ok(), "{}\n{}", written.yaml(), other.yaml());
        let (Ok(one), Ok(two)) = (one, two) else { return Ok(()) };
        for asked in &asked {
            prop_assert_eq!(answer(&one, asked), answer(&two, asked), "{:?}\n{}", asked, written.yaml());
        }
        for (path, arguments, who) in &runs {
            let (names, parents) = ([path.clone()], caller(who));
            let ask = Execute { names: &names, also: &[], digest: None, arguments, whole: true, parents: &parents };
            prop_assert_eq!(one.execute(&ask).map_err(|r| r.reason), two.execute(&ask).map_err(|r| r.reason));
        }
    }

    #[test]
    fn a_document_is_a_policy_or_says_where_it_is_not(
        written in any::policy(), at in any::<prop::sample::Index>(), put in "[ -~\n]{0,3}", cut in 0_usize..4
    ) {
        let mut text = written.yaml();
        let places: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let from = at.index(places.len());
        let to = (from + cut).min(places.len() - 1);
        text.replace_range(places[from]..places[to], &put);
        match compile(&[document(&text)], &operator(), &|_, _| Err("no such file".to_owned())) {
            Ok(policy) => drop(policy.execute(&Execute {
                names: &[], also: &[], digest: None, arguments: &[], whole: true, parents: &Caller::UNKNOWN,
            })),
            Err(errors) => {
                prop_assert!(!errors.problems().is_empty());
                let lines = text.lines().count() + 1;
                for problem in errors.problems() {
                    prop_assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{}", problem);
                    prop_assert!(!problem.message.is_empty());
                }
            }
        }
    }
}

fn shuffled(written: &Written, seed: u64) -> Written {
    let mut other = written.clone();
    let mut state = seed | 1;
    let mut turn = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).unwrap()
    };
    fn mix<T>(list: &mut [T], turn: &mut dyn FnMut() -> usize) {
        (1..list.len()).rev().for_each(|i| list.swap(i, turn() % (i + 1)));
    }
    mix(&mut other.rules, &mut turn);
    for list in [&mut other.deny, &mut other.read, &mut other.write, &mut other.hide, &mut other.capture] {
        mix(list, &mut turn);
    }
    mix(&mut other.exec_allow, &mut turn);
    mix(&mut other.exec_deny, &mut turn);
    for rule in &mut other.rules {
        mix(&mut rule.to, &mut turn);
        mix(&mut rule.from, &mut turn);
        mix(&mut rule.addresses, &mut turn);
        if let interpreter::written::Form::Http { allow, deny } = &mut rule.form {
            mix(allow, &mut turn);
            mix(deny, &mut turn);
        }
    }
    other
}

#[test]
fn most_of_the_random_policies_are_policies_and_most_questions_have_two_answers() {
    let mut runner = TestRunner::deterministic();
    let (mut policies, mut allowed, mut refused, mut unspelt) = (0, 0, 0, 0);
    for _ in 0..500 {
        let written = any::policy().new_tree(&mut runner).unwrap().current();
        let Ok(policy) = compiled(&written) else { continue };
        policies += 1;
        for _ in 0..20 {
            let asked = any::asked().new_tree(&mut runner).unwrap().current();
            match answer(&policy, &asked) {
                None => unspelt += 1,
                Some(said) if said.contains("request true") => allowed += 1,
                Some(_) => refused += 1,
            }
        }
    }
    assert!(policies > 200, "{policies} of 500 compile");
    assert!(allowed * 20 > refused && unspelt * 50 > allowed, "{allowed} {refused} {unspelt}");
}

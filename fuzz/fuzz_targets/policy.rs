//! Any bytes as a policy: a policy or errors, never a panic, and both can be shown.
#![no_main]

use creel_policy::{Connect, Document, Operator, canonical, compile};
use creel_types::Caller;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;

fuzz_target!(|text: &str| {
    let operator = Operator { home: "/home/u".into(), workspace: "/home/u/w".into(), ..Operator::default() };
    let document = Document { name: "fuzz.yaml".to_owned(), text: text.to_owned(), base: PathBuf::new() };
    match compile(&[document], &operator, &|_, _| Err("no files here".to_owned())) {
        Ok(policy) => {
            let host = canonical::host("a.example.com").expect("a plain name");
            let ask = Connect { host: &host, port: 443, caller: &Caller::UNKNOWN };
            let _ = policy.connect(&ask).map_err(|refusal| refusal.to_string());
            let _ = policy.filesystem().access("/home/u/w/x".as_ref());
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            let _ = errors.to_string();
        }
    }
});

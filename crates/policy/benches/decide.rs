//! What a decision and a compile cost as rules grow. Prints; asserts nothing.
#![allow(clippy::print_stdout)]

use creel_policy::{Connect, Document, Operator, Policy, Request, canonical, compile};
use creel_types::{Caller, Program};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 200_000;

fn main() {
    println!(
        "{:>7}  {:>11}  {:>9}  {:>9}  {:>9}  {:>9}",
        "rules", "compile ms", "exact ns", "wild ns", "addr ns", "request ns"
    );
    for count in [10, 100, 1_000, 10_000] {
        row(count);
    }
}

fn row(count: usize) {
    let text = document(count);
    let (policy, spent) = timed(|| build(&text));
    let (half, caller) = (count / 2 - count / 2 % 4, git());
    let path = canonical::path("/repos/acme/site/issues/7").unwrap_or_else(|e| panic!("{e}"));
    let ask = |host: String| {
        let host = canonical::host(&host).unwrap_or_else(|e| panic!("{e}"));
        per_round(|| drop(black_box(policy.connect(&Connect { host: &host, port: 443, caller: &caller }))))
    };
    let exact = ask(format!("h{half}.example.com"));
    let wild = ask(format!("x.w{}.example.com", half + 1));
    let addr = ask(format!("11.{}.{}.1", (half + 2) / 256, (half + 2) % 256));
    let host = canonical::host(&format!("i{}.example.com", half + 3)).unwrap_or_else(|e| panic!("{e}"));
    let connect = Connect { host: &host, port: 443, caller: &caller };
    let request =
        per_round(|| drop(black_box(policy.request(&Request { connect, method: "GET", path: &path }))));
    let compile = spent.as_secs_f64() * 1e3;
    println!("{count:>7}  {compile:>11.1}  {exact:>9.0}  {wild:>9.0}  {addr:>9.0}  {request:>9.0}");
}

/// A quarter each of exact names, wildcards, blocks of addresses, and inspected hosts.
fn document(count: usize) -> String {
    let mut text = String::from("version: 1\nnetwork:\n  rules:\n");
    for i in 0..count.next_multiple_of(4) {
        let rule = match i % 4 {
            0 => format!("to: [h{i}.example.com], from: [/usr/bin/git]"),
            1 => format!("to: [\"*.w{i}.example.com\"]"),
            2 => format!("to: [11.{}.{}.0/24]", i / 256, i % 256),
            _ => format!(
                "to: [i{i}.example.com], http: {{ allow: [\"GET /repos/**\"], deny: [\"* /repos/*/*/actions/**\"] }}"
            ),
        };
        text.push_str(&format!("    - {{ name: r{i}, {rule} }}\n"));
    }
    text
}

fn build(text: &str) -> Policy {
    let operator = Operator { home: "/home/u".into(), workspace: "/home/u/w".into(), ..Operator::default() };
    let document = Document { name: "bench".to_owned(), text: text.to_owned(), base: PathBuf::new() };
    compile(&[document], &operator, &|_, _| Err(String::new())).unwrap_or_else(|e| panic!("{e}"))
}

fn git() -> Caller {
    let program = Program { pid: 1, path: "/usr/bin/git".into(), digest: None, foreign_code: None };
    Caller { chain: vec![program] }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// Nanoseconds for one of many.
fn per_round(mut work: impl FnMut()) -> f64 {
    let ((), spent) = timed(|| (0..ROUNDS).for_each(|_| work()));
    spent.as_nanos() as f64 / f64::from(ROUNDS)
}

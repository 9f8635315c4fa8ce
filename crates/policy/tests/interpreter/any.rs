//! Random policies and questions, from few words so that they meet.

use super::ask::{Asked, Who};
use super::written::{Form, Rule, Run, Written};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::net::IpAddr;

const TARGETS: [&str; 18] = [
    "a.com",
    "*.a.com",
    "**.a.com",
    "b.com:80",
    "**",
    "10.0.0.0/8",
    "8.8.8.8",
    "a.com:*",
    "x.*.com",
    "B.Com",
    "*",
    "10.1.2.3:8080",
    "[2001:4860::8]:443",
    "fd00::/8",
    "x.a.com:22",
    "**.com:*",
    "169.254.169.254:80",
    "127.0.0.0/8:*",
];
const HOSTS: [&str; 17] = [
    "a.com",
    "x.a.com",
    "y.x.a.com",
    "b.com",
    "x.b.com",
    "com",
    "localhost",
    "10.1.2.3",
    "8.8.8.8",
    "1.2.3",
    "2001:4860::8",
    "fd00::1",
    "::ffff:10.1.2.3",
    "169.254.169.254",
    "inference.local",
    "127.0.0.1",
    "c.dev",
];
const HOSTILE_HOSTS: [&str; 14] = [
    "0x0a010203",
    "010.1.2.3",
    "167838211",
    "a.com.",
    "[::1",
    "user@a.com",
    "a.com:80",
    "a%2ecom",
    "a..com",
    "8.8.8.010",
    "0x8.0x8.2056",
    "[fe80::1%1]",
    "-a.com",
    "a.0x1",
];
const PATTERNS: [&str; 18] = [
    "GET /**",
    "* /x/**",
    "POST /x/*",
    "DELETE /**",
    "GET /x",
    "* /**",
    "GET,PUT /repos/*/issues",
    "* /",
    "POST /**/y",
    "* /x/",
    "PATCH /a*b/**",
    "* /é",
    "* /@s/*",
    "GET /x;v=1",
    "* /X/Y",
    "HEAD /x",
    "* /*.js",
    "PUT /a+b",
];
const PATHS: [&str; 20] = [
    "/",
    "/x",
    "/x/",
    "/x/y",
    "/X/Y",
    "/x/y/z",
    "/repos/a/issues",
    "/repos//a/./issues",
    "/axb/c",
    "/ab",
    "/%C3%A9",
    "/@s/p",
    "/%40s/p",
    "/x;v=1",
    "/x;v=2/y",
    "/main.js",
    "/a/../x",
    "/a%2Bb",
    "/a+b",
    "/%58/y?q=1",
];
const HOSTILE_PATHS: [&str; 16] = [
    "/x/..%2f..",
    "/%2e%2e/x",
    "/x/%2E%2e/y",
    "/x%00",
    "/%c0%ae",
    "/%252e",
    "/..;/x",
    "/;a/x",
    "/x\\y",
    "/é",
    "/x#y",
    "x",
    "/%zz",
    "/x?%",
    "/%3bx/y",
    "/a/../../x",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"];
const PROGRAMS: [&str; 5] = ["/usr/bin/git", "/bin/sh", "/usr/bin/gh", "/work/x", "/usr/lib/git-core/git"];
const FROM: [&str; 7] =
    ["/usr/bin/git", "tree:/bin/sh", "/usr/bin/*", "/usr/**/git", "tree:/usr/**", "/bin/sh", "/work/x"];
const ADDRESSES: [&str; 6] =
    ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "fd00::/8", "169.254.169.254", "127.0.0.1"];
const LED: [&str; 13] = [
    "1.1.1.1",
    "8.8.8.8",
    "10.1.2.3",
    "127.0.0.1",
    "169.254.169.254",
    "fd00::1",
    "64:ff9b::a01:203",
    "2606:4700::1",
    "::ffff:10.1.2.3",
    "0.0.0.0",
    "224.0.0.1",
    "2002:a01:203::",
    "2606:4700::5efe:a01:203",
];
const PLACES: [&str; 9] =
    ["/data", "/data/a", "/data/a/b", "~/notes", "./src", "./src/gen", "/etc", "/srv/x", "~/.config"];
const HIDES: [&str; 8] = [
    "./**/.env",
    "/data/*/secret",
    "/data/**",
    "~/notes/*.key",
    "./src/*",
    "/srv/x/y",
    "~/.ssh",
    "/data/a/b/c",
];
const FILES: [&str; 18] = [
    "/data",
    "/data/a",
    "/data/a/b/c",
    "/data/x/secret",
    "/data/x/secret/y",
    "/home/u/notes/a.key",
    "/srv/x/y/z",
    "/home/u/notes/a",
    "/home/u/work",
    "/home/u/work/.env",
    "/home/u/work/src/gen/x",
    "/home/u/work/a/.env/b",
    "/etc/creel/x",
    "/etc/passwd",
    "/home/u/.config/creel/k",
    "/home/u/.ssh/id",
    "/srv/x",
    "/usr/bin/git",
];
const RUNS: [&str; 9] = [
    "/usr/bin/git",
    "/usr/bin/git push **",
    "/usr/bin/*",
    "/bin/sh -c *",
    "/usr/**",
    "/usr/bin/git ** push **",
    "./tool",
    "/bin/sh",
    "/usr/bin/gh api",
];
const WORDS: [&str; 6] = ["push", "-c", "api", "-f", "x y", ""];

fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    subsequence(of.to_vec(), 0..=most).prop_map(|list| list.into_iter().map(str::to_owned).collect())
}

fn rule() -> impl Strategy<Value = Rule> {
    let http = (some(&PATTERNS, 3), some(&PATTERNS, 2)).prop_map(|(allow, deny)| Form::Http { allow, deny });
    let form =
        prop_oneof![1 => Just(Form::Plain), 1 => Just(Form::Raw), 4 => http].prop_map(|form| match form {
            Form::Http { allow, deny } if allow.is_empty() && deny.is_empty() => Form::Plain,
            form => form,
        });
    let to = subsequence(TARGETS.to_vec(), 1..=3);
    let from = prop_oneof![2 => Just(Vec::new()), 1 => some(&FROM, 2)];
    (to, from, form, prop_oneof![3 => Just(Vec::new()), 1 => some(&ADDRESSES, 2)]).prop_map(
        |(to, from, form, addresses)| {
            let to: Vec<String> = to.into_iter().map(str::to_owned).collect();
            // `addresses` is for names.
            let named = to.iter().any(|t| !t.starts_with(['1', '8', '[', 'f']));
            let addresses = if named { addresses } else { Vec::new() };
            Rule { name: String::new(), to, from, form, addresses }
        },
    )
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (select(&RUNS[..]), prop_oneof![3 => Just(Vec::new()), 1 => some(&FROM, 2)]);
    vec(run.prop_map(|(run, from)| Run { run: run.to_owned(), from }), 0..3)
}

/// A policy. Not every one compiles: what contradicts itself is an error.
pub fn policy() -> impl Strategy<Value = Written> {
    let rules = vec(rule(), 0..6).prop_map(|mut rules| {
        rules.iter_mut().enumerate().for_each(|(i, rule)| rule.name = format!("r{i}"));
        rules
    });
    let places = subsequence(PLACES.to_vec(), 0..=5).prop_perturb(|places, mut random| {
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for place in places {
            if random.random::<bool>() { read.push(place.to_owned()) } else { write.push(place.to_owned()) }
        }
        (read, write)
    });
    let model = (any::<bool>(), some(&["b.com", "x.a.com:80"], 1));
    (
        prop_oneof![Just(Vec::new()), some(&TARGETS, 2)],
        rules,
        (runs(), runs()),
        (places, some(&HIDES, 3)),
        model,
    )
        .prop_map(|(deny, rules, (exec_allow, exec_deny), ((read, write), hide), (routed, capture))| {
            Written {
                deny,
                rules,
                exec_allow,
                exec_deny,
                read,
                write,
                hide,
                model: routed.then(|| "b/m".to_owned()),
                capture,
            }
        })
}

fn who() -> impl Strategy<Value = Who> {
    let program = (select(&PROGRAMS[..]), prop::bool::weighted(0.1)).prop_map(|(p, odd)| (p.to_owned(), odd));
    vec(program, 0..4).prop_map(|chain| Who { chain })
}

/// A question, in one of the many ways to spell it.
pub fn asked() -> impl Strategy<Value = Asked> {
    let host = prop_oneof![6 => respelt(&HOSTS), 1 => respelt(&HOSTILE_HOSTS)];
    let path = prop_oneof![6 => respelt(&PATHS), 1 => respelt(&HOSTILE_PATHS)];
    let addr = select(&LED[..]).prop_map(|a| a.parse::<IpAddr>().unwrap().to_canonical());
    (host, select(&[443, 80, 22, 8080][..]), select(&METHODS[..]), path, who(), addr).prop_map(
        |(host, port, method, path, who, addr)| Asked {
            host,
            port,
            method: method.to_owned(),
            path,
            who,
            addr,
        },
    )
}

/// The same with other letters, escapes and slashes. What comes out may have no form at all; that, too, must agree.
fn respelt(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(of), 0_u8..4).prop_perturb(|(text, how), mut random| {
        let mut out = String::new();
        for c in text.chars() {
            match (how, random.random_range(0..4)) {
                (1, 0) => out.push(c.to_ascii_uppercase()),
                (2, 0) if text.starts_with('/') && c.is_ascii_alphanumeric() => {
                    out.push_str(&format!("%{:02x}", u32::from(c)));
                }
                (3, 0) if c == '/' => out.push_str("/./"),
                (3, 1) if c == '/' => out.push_str("//"),
                (3, 2) if c == '/' && !out.is_empty() => out.push_str("/q/../"),
                _ => out.push(c),
            }
        }
        out
    })
}

/// A file to open.
pub fn file() -> impl Strategy<Value = &'static str> {
    select(&FILES[..])
}

/// A program to execute, its arguments, and who executes it.
pub fn run() -> impl Strategy<Value = (String, Vec<String>, Who)> {
    (select(&PROGRAMS[..]), some(&WORDS, 4), who()).prop_map(|(p, words, who)| (p.to_owned(), words, who))
}

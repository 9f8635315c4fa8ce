//! The classes against brute force: over small alphabets every text is told apart from the others as one of the examples is.

use super::*;
use crate::canonical;
use crate::network::From;
use crate::pattern::{ArgumentPattern, HostPattern, HttpPattern, PathPattern};
use creel_types::Host;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Every sequence of at most `most` of these pieces.
fn sequences(pieces: &[&str], most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..most {
        let until = all.len();
        for at in from..until {
            let longer: Vec<String> = pieces.iter().map(|piece| format!("{}{piece}", all[at])).collect();
            all.extend(longer);
        }
        from = until;
    }
    all
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(of, 1..=4)
}

/// The examples show exactly what brute force finds, or more where brute force is too short to see it.
fn hold<T: Ord + std::fmt::Debug>(
    examples: BTreeSet<T>,
    found: BTreeSet<T>,
    long: bool,
) -> Result<(), TestCaseError> {
    prop_assert!(
        found.is_subset(&examples),
        "not in the examples: {:?}",
        found.difference(&examples).collect::<Vec<_>>()
    );
    let beyond: Vec<_> = examples.difference(&found).collect();
    prop_assert!(long || beyond.is_empty(), "not found by brute force: {:?}", beyond);
    Ok(())
}

const REQUESTS: [&str; 14] = [
    "* /a",
    "* /a/**",
    "* /**/b",
    "* /*",
    "* /a*",
    "* /*b",
    "* /A",
    "* /a/",
    "* /a;b",
    "* /**/a/*/b",
    "* /%41b",
    "* /@",
    "* /b*a",
    "* /**",
];
const HOSTS: [&str; 10] = ["a.b", "*.b", "**.b", "**", "*", "a.*.b", "b", "*.a.b", "**.a.b", "b.b"];
const FILES: [&str; 9] = ["/a", "/a/**", "/**/b", "/*", "/a*", "/*b/a", "/a/*/b", "/**", "/b/**/a"];
const ARGUMENTS: [&str; 9] = ["a", "a **", "** b", "** a ** b **", "*", "a* b", "* *", "** *a*", "**"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn request_paths_are_told_apart_as_brute_force_tells_them(texts in some(&REQUESTS)) {
        let patterns: Vec<HttpPattern> = texts.iter().map(|t| HttpPattern::new(t).unwrap()).collect();
        let sign = |path: &canonical::CanonicalPath| -> Vec<(bool, bool)> {
            patterns.iter().map(|p| (p.allows("GET", path), p.denies("GET", path))).collect()
        };
        let found = sequences(&["/", "a", "b", "A", ";", "%40", "z"], 6);
        let found = found.iter().filter_map(|text| canonical::path(text).ok()).map(|path| sign(&path)).collect();
        hold(paths(patterns.iter()).unwrap().iter().map(sign).collect(), found, true)?;
    }

    #[test]
    fn hosts_are_told_apart_as_brute_force_tells_them(texts in some(&HOSTS)) {
        let patterns: Vec<HostPattern> = texts.iter().map(|t| HostPattern::new(t).unwrap()).collect();
        let sign = |host: &Host| -> Vec<bool> { patterns.iter().map(|p| p.matches(host)).collect() };
        let found = sequences(&["a.", "b.", "z."], 6);
        let found = found.iter().filter_map(|text| canonical::host(text).ok()).map(|host| sign(&host)).collect();
        hold(hosts(patterns.iter()).unwrap().iter().map(sign).collect(), found, false)?;
    }

    #[test]
    fn programs_are_told_apart_as_brute_force_tells_them(texts in some(&FILES)) {
        let patterns: Vec<PathPattern> = texts.iter().map(|t| PathPattern::new(t).unwrap()).collect();
        let list = From(Some(patterns.iter().map(|p| crate::network::Program::Path(p.clone())).collect()));
        let sign = |path: &str| -> Vec<bool> { patterns.iter().map(|p| p.matches(path)).collect() };
        let found = sequences(&["/a", "/b", "/z", "a", "b"], 5);
        let found = found.iter().filter(|text| text.starts_with('/')).map(|path| sign(path)).collect();
        let examples = programs(list.0.as_deref().unwrap().iter()).unwrap();
        hold(examples.iter().map(|(path, _)| sign(path)).collect(), found, true)?;
    }

    #[test]
    fn arguments_are_told_apart_as_brute_force_tells_them(texts in some(&ARGUMENTS)) {
        let patterns: Vec<ArgumentPattern> = texts.iter().map(|t| ArgumentPattern::new(t).unwrap()).collect();
        let sign = |list: &Vec<String>| -> Vec<bool> { patterns.iter().map(|p| p.matches(list)).collect() };
        let found = sequences(&["a ", "b ", "z ", "az ", "ab "], 5);
        let found = found.iter().map(|text| text.split_whitespace().map(str::to_owned).collect()).map(|list| sign(&list));
        let refs: Vec<&ArgumentPattern> = patterns.iter().collect();
        hold(arguments(&refs).unwrap().iter().map(sign).collect(), found.collect(), true)?;
    }

    #[test]
    fn addresses_are_told_apart_as_brute_force_tells_them(
        named in prop::collection::vec((any::<u32>(), 4_u8..=32), 0..4), asked in prop::collection::vec(any::<u32>(), 40)
    ) {
        use ipnet::{IpNet, Ipv4Net};
        use std::net::{IpAddr, Ipv4Addr};
        let net = |(addr, len): &(u32, u8)| Ipv4Net::new(Ipv4Addr::from(*addr), *len).unwrap().trunc();
        let nets: Vec<IpNet> = named.iter().map(|n| IpNet::V4(net(n))).collect();
        let blocks: Vec<IpNet> = nets.iter().copied().chain(crate::network::special_blocks()).collect();
        let sign = |addr: &IpAddr| -> Vec<bool> { blocks.iter().map(|block| block.contains(addr)).collect() };
        let examples: BTreeSet<Vec<bool>> = addresses(nets.iter().copied()).iter().map(sign).collect();
        let inside = named.iter().map(|n| IpAddr::V4(net(n).network()));
        for addr in asked.iter().map(|a| IpAddr::V4(Ipv4Addr::from(*a))).chain(inside) {
            prop_assert!(examples.contains(&sign(&addr)), "{}", addr);
            for wrapped in [0x64_ff9b_u128 << 96, 0x2606_4700_u128 << 96 | 0x5efe_u128 << 32] {
                let IpAddr::V4(inner) = addr else { continue };
                let wrapped = IpAddr::V6((wrapped | u128::from(u32::from(inner))).into());
                prop_assert!(examples.contains(&sign(&wrapped)), "{}", wrapped);
            }
        }
    }
}

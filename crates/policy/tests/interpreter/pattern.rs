//! The table "of | `*` | `**`", as recursion over what is left of both sides.

use super::spelling::{self, Spelt};
use ipnet::IpNet;
use std::net::IpAddr;

/// Names and values: `*` is any run of characters.
pub fn value(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| value(rest, &text[taken..])),
        Some((c, rest)) => text.first() == Some(c) && value(rest, &text[1..]),
    }
}

fn one(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    value(&pattern, &text)
}

/// Paths: `*` is one segment that is not empty, or a run of characters within one; `**` any number of segments.
pub fn segments(pattern: &[String], path: &[String]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
    if first == "**" {
        return (0..=path.len()).any(|taken| segments(rest, &path[taken..]));
    }
    let Some((segment, after)) = path.split_first() else { return false };
    let this = if first == "*" { !segment.is_empty() } else { one(first, segment) };
    this && segments(rest, after)
}

/// A path of a file against a pattern over files.
pub fn file(pattern: &str, path: &str) -> bool {
    segments(&split(pattern), &split(path))
}

pub fn split(path: &str) -> Vec<String> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(str::to_owned).collect()
}

/// Hosts: `*` is one label, `**` one or more.
pub fn host(pattern: &str, host: &Spelt) -> bool {
    match (pattern.parse::<IpNet>(), address(pattern), host) {
        (Ok(net), _, Spelt::Addr(addr)) => net.contains(addr),
        (_, Some(wanted), Spelt::Addr(addr)) => wanted == *addr,
        (Err(_), None, Spelt::Name(name)) => {
            let pattern = pattern.to_ascii_lowercase();
            labels(&pattern.split('.').collect::<Vec<_>>(), name)
        }
        _ => false,
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.trim_matches(['[', ']']).parse().ok()
}

fn labels(pattern: &[&str], name: &[String]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((&"**", rest)) => (1..=name.len()).any(|taken| labels(rest, &name[taken..])),
        Some((label, rest)) => {
            name.first().is_some_and(|first| *label == "*" || label == first) && labels(rest, &name[1..])
        }
    }
}

/// A target: a host, then `:PORT` or `:*`; 443 when absent.
pub fn target(target: &str, at: &Spelt, port: u16) -> bool {
    let (pattern, ports) = parted(target);
    let there = ports == "*" || ports == port.to_string();
    there && host(pattern, at)
}

/// The host and the ports of a target.
pub fn parted(target: &str) -> (&str, &str) {
    match target.rsplit_once(':') {
        Some((host, ports)) if host.ends_with(']') || !host.contains(':') => (host, ports),
        _ => (target, "443"),
    }
}

/// Arguments: `*` is any run of characters within one, `**` any number of them.
pub fn arguments(pattern: &[&str], given: &[String]) -> bool {
    match pattern.split_first() {
        None => given.is_empty(),
        Some((&"**", rest)) => (0..=given.len()).any(|taken| arguments(rest, &given[taken..])),
        Some((word, rest)) => given.first().is_some_and(|a| one(word, a)) && arguments(rest, &given[1..]),
    }
}

/// A method and a canonical path against `METHODS PATH`; `deny` says how it is read.
pub fn request(pattern: &str, method: &str, path: &[String], deny: bool) -> bool {
    let (methods, wanted) = pattern.split_once(' ').unwrap_or((pattern, "/"));
    // `GET` covers `HEAD`.
    let methods =
        methods == "*" || methods.split(',').any(|m| m == method || (m == "GET" && method == "HEAD"));
    let exact: Vec<String> = split(wanted).iter().map(|s| spelling::pattern_segment(s)).collect();
    let lenient = deny && {
        let stars = |s: &String| if s == "**" { s.clone() } else { fold(s) };
        let mut folded: Vec<String> = exact.iter().map(stars).collect();
        if folded.len() > 1 && folded.last().is_some_and(String::is_empty) {
            folded.pop();
        }
        segments(&folded, &spelling::folded(path))
    };
    methods && (segments(&exact, path) || lenient)
}

fn fold(segment: &str) -> String {
    spelling::lenient(segment.split(';').next().unwrap_or_default())
}

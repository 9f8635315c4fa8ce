//! Targets (`HOST[:PORT]`), programs and addresses as a policy writes them.

use super::path::expand;
use crate::Operator;
use crate::network::{Ports, Program, Target, is_undialable};
use crate::pattern::{HostPattern, PathPattern, PatternError};
use crate::problems::{Problems, Span};
use crate::yaml::Node;
use ipnet::IpNet;

/// A target; problems are reported and give `None`.
pub(super) fn target(node: &Node, problems: &mut Problems) -> Option<Target> {
    let text = node.text().filter(|t| !t.is_empty())?;
    match parse(text) {
        Ok(target) => Some(target),
        Err(error) => {
            report(error, node.span, problems);
            None
        }
    }
}

/// A target that stands in no document.
pub(crate) fn parse(text: &str) -> Result<Target, PatternError> {
    if text.contains("://") {
        HostPattern::new(text)?;
    }
    let (host, ports) = split(text)?;
    let host = HostPattern::new(host)?;
    if unreachable(&host) {
        return Err(PatternError::new(format!("`{text}` can never match: no connection can be made there")));
    }
    Ok(Target { host, ports, written: text.into() })
}

/// Whether no connection can be made to anything that the pattern matches.
fn unreachable(host: &HostPattern) -> bool {
    match host {
        HostPattern::Addr(addr) => is_undialable(*addr),
        HostPattern::Net(net) => {
            net.prefix_len() > 0 && is_undialable(net.network()) && is_undialable(net.broadcast())
        }
        HostPattern::Name(_) | HostPattern::Wild(_) => false,
    }
}

fn split(text: &str) -> Result<(&str, Ports), PatternError> {
    if let Some(at) = text.rfind("]:").filter(|_| text.starts_with('[')) {
        return Ok((&text[..=at], ports(&text[at + 2..])?));
    }
    match text.split_once(':') {
        // More than one colon without brackets is an IPv6 address without a port.
        Some((_, rest)) if !rest.contains(':') => {
            let (host, port) = text.split_at(text.len() - rest.len() - 1);
            Ok((host, ports(&port[1..])?))
        }
        _ => Ok((text, Ports::One(443))),
    }
}

fn ports(text: &str) -> Result<Ports, PatternError> {
    if text == "*" {
        return Ok(Ports::Any);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(Ports::One(port)),
        _ if text.contains([',', '-']) => Err(PatternError::new(format!("`{text}` is not one port"))
            .hint("write one entry for each port, or `*` for all")),
        _ => Err(PatternError::new(format!("`{text}` is not a port"))
            .hint("write a number from 1 to 65535, or `*`")),
    }
}

/// An address or block, without a port.
pub(super) fn address(node: &Node, problems: &mut Problems) -> Option<IpNet> {
    let text = node.text().filter(|t| !t.is_empty())?;
    let wrong = match HostPattern::new(text) {
        Ok(host) if unreachable(&host) => PatternError::new(format!("no connection can be made to `{text}`")),
        Ok(HostPattern::Addr(addr)) => return Some(addr.into()),
        Ok(HostPattern::Net(net)) => return Some(net),
        Ok(_) => {
            PatternError::new(format!("`{text}` is a name, not an address")).hint("names belong in `to`")
        }
        Err(_) => PatternError::new(format!("`{text}` is neither an address nor a block"))
            .hint("write an address without a port, or a block as in `10.1.0.0/16`"),
    };
    report(wrong, node.span, problems);
    None
}

/// A `from:` entry.
pub(super) fn program(node: &Node, operator: &Operator, problems: &mut Problems) -> Option<Program> {
    let text = node.text().filter(|t| !t.is_empty())?;
    match text.strip_prefix("tree:") {
        Some(inner) => executable(inner, node.span, operator, problems).map(|p| Program::Tree(Box::new(p))),
        None => executable(text, node.span, operator, problems),
    }
}

/// A program by path, pattern or digest.
pub(super) fn executable(
    text: &str,
    span: Span,
    operator: &Operator,
    problems: &mut Problems,
) -> Option<Program> {
    if let Some(hex) = text.strip_prefix("sha256:") {
        return match hex.parse() {
            Ok(digest) => Some(Program::Digest(digest)),
            Err(error) => {
                problems.add(span, format!("`{hex}` is {error}"));
                None
            }
        };
    }
    if !text.starts_with(['/', '~', '.']) {
        problems
            .add(span, format!("`{text}` is not a program"))
            .hint("write its path, as in /usr/bin/git, or sha256:HEX, or tree: before either");
        return None;
    }
    let path = expand(text, span, operator, problems)?;
    let path = if text.contains('*') { path } else { operator.links.follow(path) };
    match PathPattern::new(&path.to_string_lossy()) {
        Ok(pattern) if path.file_name().is_some() => Some(Program::Path(pattern)),
        Ok(_) => {
            problems.add(span, format!("`{text}` is not a program"));
            None
        }
        Err(error) => {
            report(error, span, problems);
            None
        }
    }
}

pub(super) fn report(error: PatternError, span: Span, problems: &mut Problems) {
    problems.add(span, error.message).maybe_hint(error.hint);
}

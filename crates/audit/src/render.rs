//! One event as one line for people.
//!
//! Names in a record were chosen by an agent: control characters, and whatever else could drive a terminal or reorder
//! a line, are written escaped.

use crate::event::{
    Actor, Connection, Disposition, Dns, Event, Exec, Exit, Finding, ModelCall, Phase, PolicyChange, Request,
    Severity, Start,
};
use crate::read::Entry;
use jiff::Timestamp;
use std::fmt::{self, Write};
use std::time::Duration;

/// Whether lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    Ansi,
    /// For a file or a pipe.
    None,
}

/// What a line is about, which gives its mark and colour.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Bad,
    Warn,
    Plain,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Plain => "\x1b[36m",
        }
    }
}

/// `entry` as one line without its end: time (UTC), number, verdict, what, and the rule or the reason.
pub fn render(entry: &Entry, colour: Colour) -> String {
    let mut line = String::with_capacity(160);
    // Writing to a `String` cannot fail.
    let _ = write_entry(&mut line, entry, colour);
    line
}

fn write_entry(out: &mut String, entry: &Entry, colour: Colour) -> fmt::Result {
    let (tone, verdict) = verdict(&entry.event);
    let on = |code| if colour == Colour::Ansi { code } else { "" };
    match Timestamp::from_millisecond(entry.time) {
        Ok(at) => write!(out, "{}{at:.3}{} ", on("\x1b[2m"), on("\x1b[0m"))?,
        Err(_) => write!(out, "{} ", entry.time)?,
    }
    write!(out, "{:>5} {}{verdict:<8}{} ", entry.seq, on(tone.code()), on("\x1b[0m"))?;
    write_event(out, &entry.event)
}

fn verdict(event: &Event) -> (Tone, &'static str) {
    match event {
        Event::Start(_) => (Tone::Plain, "start"),
        Event::Exit(_) => (Tone::Plain, "exit"),
        Event::Dns(_) => (Tone::Plain, "dns"),
        Event::Finding(e) if e.severity >= Severity::High => (Tone::Bad, "FINDING"),
        Event::Finding(_) => (Tone::Warn, "finding"),
        Event::PolicyChange(e) if e.refused.is_some() => (Tone::Bad, "refused"),
        Event::PolicyChange(_) => (Tone::Plain, "policy"),
        other => match other.disposition() {
            Some(Disposition::Refused(_)) => (Tone::Bad, "refused"),
            Some(Disposition::Observed(_)) => (Tone::Warn, "observed"),
            _ => (Tone::Good, "allowed"),
        },
    }
}

fn write_event(out: &mut String, event: &Event) -> fmt::Result {
    match event {
        Event::Start(e) => start(out, e),
        Event::Connection(e) => connection(out, e),
        Event::Request(e) => request(out, e),
        Event::Dns(e) => dns(out, e),
        Event::Exec(e) => exec(out, e),
        Event::ModelCall(e) => model_call(out, e),
        Event::PolicyChange(e) => policy_change(out, e),
        Event::Exit(e) => exit(out, e),
        Event::Finding(e) => finding(out, e),
    }
}

fn start(out: &mut String, e: &Start) -> fmt::Result {
    write!(out, "{} ({}) {}", Safe(&e.name), Safe(&e.mode), Safe(&e.command.args().join(" ")))?;
    let lacking: usize = e.layers.iter().map(|layer| layer.lacking.len()).sum();
    if lacking > 0 { write!(out, "; {lacking} asked for and not enforced") } else { Ok(()) }
}

fn connection(out: &mut String, e: &Connection) -> fmt::Result {
    who(out, e.program.as_ref())?;
    write!(out, " -> {}:{}", Safe(&e.host), e.port)?;
    if e.disposition.refusal().is_none() && e.phase == Phase::Opened {
        write!(out, " opened")?;
    } else if e.disposition.refusal().is_none() {
        write!(
            out,
            " closed: up {} down {} in {}",
            Bytes(e.bytes_up),
            Bytes(e.bytes_down),
            Took(e.duration)
        )?;
    }
    why(out, &e.disposition, e.rule.as_deref(), e.failure.as_deref())
}

fn request(out: &mut String, e: &Request) -> fmt::Result {
    who(out, e.program.as_ref())?;
    let scheme = if e.tls { "https" } else { "http" };
    write!(out, " {} {scheme}://{}", Safe(&e.method), Safe(&e.host))?;
    if e.port != if e.tls { 443 } else { 80 } {
        write!(out, ":{}", e.port)?;
    }
    write!(out, "{}", Safe(e.target.path()))?;
    if !e.target.query().is_empty() {
        write!(out, "?{}", Safe(&e.target.query().join("&")))?;
    }
    if let Some(said) = &e.said {
        write!(out, " [{}]", Safe(said))?;
    }
    if e.phase == Phase::Closed {
        status(out, e.status, e.bytes_down, e.duration)?;
    }
    why(out, &e.disposition, e.rule.as_deref(), e.failure.as_deref())
}

fn dns(out: &mut String, e: &Dns) -> fmt::Result {
    who(out, e.program.as_ref())?;
    write!(out, " asked for {} {}:", Safe(&e.query_type), Safe(&e.name))?;
    if e.answers.is_empty() {
        return write!(out, " code {}", e.code);
    }
    e.answers.iter().try_for_each(|addr| write!(out, " {addr}"))
}

fn exec(out: &mut String, e: &Exec) -> fmt::Result {
    match e.program.parents.first() {
        Some(parent) => write!(out, "{}[{}]", Safe(file_name(&parent.path)), parent.pid)?,
        None => write!(out, "?")?,
    }
    write!(out, " executed {}: {}", Safe(&e.program.path), Safe(&e.argv.args().join(" ")))?;
    why(out, &e.disposition, e.rule.as_deref(), None)
}

fn model_call(out: &mut String, e: &ModelCall) -> fmt::Result {
    who(out, e.program.as_ref())?;
    let (api, model) = (Safe(&e.api), Safe(e.model.as_deref().unwrap_or("?")));
    write!(out, " called {model} ({api}) via {}", Safe(e.backend.as_deref().unwrap_or("?")))?;
    write!(out, ", tokens in {} out {}", Count(e.tokens.input), Count(e.tokens.output))?;
    if let Some(cached) = e.tokens.cached.filter(|&cached| cached > 0) {
        write!(out, " cached {cached}")?;
    }
    status(out, e.status, e.bytes_down, e.duration)?;
    if !e.complete && e.failure.is_none() && e.disposition.refusal().is_none() {
        write!(out, ", cut")?;
    }
    why(out, &e.disposition, e.rule.as_deref(), e.failure.as_deref())
}

fn policy_change(out: &mut String, e: &PolicyChange) -> fmt::Result {
    write!(out, "policy {} -> {} by {}", e.from, e.to, Safe(&e.by))?;
    if let Some(refused) = &e.refused {
        return write!(out, ": {}", Safe(refused));
    }
    for layer in &e.applied {
        write!(out, "; {}: {}", Safe(&layer.layer), Safe(&layer.did.join(", ")))?;
    }
    Ok(())
}

fn exit(out: &mut String, e: &Exit) -> fmt::Result {
    write!(out, "{}", Safe(&e.reason))?;
    match (e.code, e.signal) {
        (Some(code), _) => write!(out, ", status {code}"),
        (None, Some(signal)) => write!(out, ", signal {signal}"),
        (None, None) => Ok(()),
    }
}

fn finding(out: &mut String, e: &Finding) -> fmt::Result {
    write!(out, "{}: {}: {}", Safe(&e.layer), Safe(&e.title), Safe(&e.detail))
}

fn who(out: &mut String, program: Option<&Actor>) -> fmt::Result {
    match program {
        Some(program) => write!(out, "{}[{}]", Safe(program.file_name()), program.pid),
        None => write!(out, "?"),
    }
}

fn status(out: &mut String, status: Option<u16>, down: u64, took: Duration) -> fmt::Result {
    match status {
        Some(status) => write!(out, " {status} {} in {}", Bytes(down), Took(took)),
        None => Ok(()),
    }
}

/// The rule that allowed, or the reason that was given.
fn why(
    out: &mut String,
    disposition: &Disposition,
    rule: Option<&str>,
    failure: Option<&str>,
) -> fmt::Result {
    if let Some(refusal) = disposition.refusal() {
        return match refusal.get("reason").and_then(|reason| reason.as_str()) {
            Some(reason) => write!(out, ": {}", Safe(reason)),
            None => write!(out, ": {}", Safe(&refusal.to_string())),
        };
    }
    if let Some(failure) = failure {
        write!(out, ": {}", Safe(failure))?;
    }
    rule.map_or(Ok(()), |rule| write!(out, " [{}]", Safe(rule)))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Text that an agent may have chosen, with everything escaped that is not plainly visible.
struct Safe<'a>(&'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_visible(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_unicode())? }
        }
        Ok(())
    }
}

/// Not a control, not a bidirectional or other format character, not a line separator.
fn is_visible(c: char) -> bool {
    let format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !format
}

struct Count(Option<u64>);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_char('?'),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor) {
            Some((unit, factor)) => write!(f, "{}.{}{unit}", self.0 / factor, self.0 % factor * 10 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms @ 0..1000 => write!(f, "{ms}ms"),
            ms => write!(f, "{}.{}s", ms / 1000, ms % 1000 / 100),
        }
    }
}

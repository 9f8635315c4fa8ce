//! The decisions, sentence by sentence.

use super::address;
use super::ask::{Asked, Who};
use super::pattern;
use super::spelling::{self, Spelt};
use super::written::{Form, Rule, Run, Written};
use ipnet::IpNet;
use std::net::IpAddr;

pub const HOME: &str = "/home/u";
pub const WORKSPACE: &str = "/home/u/work";

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Inspected,
    Passed,
    Raw,
    Model,
}

impl Written {
    pub fn connect(&self, host: &Spelt, port: u16, who: &Who) -> Option<Way> {
        // `network.deny` beats `capture`; `capture` beats rules.
        if self.deny.iter().any(|t| pattern::target(t, host, port)) {
            return None;
        }
        if self.is_model(host, port) {
            return Some(Way::Model);
        }
        let there = self.rules.iter().filter(|rule| rule.leads_to(host, port));
        let admitting: Vec<&Rule> =
            there.clone().filter(|rule| rule.admits_something() && rule.is_for(who)).collect();
        if admitting.is_empty() {
            return None;
        }
        // "If any `http.deny` among them could apply, the connection is inspected."
        if there.clone().any(|rule| !rule.denies().is_empty() && rule.may_be_for(who)) {
            return Some(Way::Inspected);
        }
        if admitting.iter().any(|rule| matches!(rule.form, Form::Raw)) {
            return Some(Way::Raw);
        }
        let plain = admitting.iter().any(|rule| matches!(rule.form, Form::Plain));
        Some(if plain { Way::Passed } else { Way::Inspected })
    }

    pub fn request(&self, host: &Spelt, port: u16, who: &Who, (method, path): (&str, &[String])) -> bool {
        if self.deny.iter().any(|t| pattern::target(t, host, port)) {
            return false;
        }
        if self.is_model(host, port) {
            return true;
        }
        let there = self.rules.iter().filter(|rule| rule.leads_to(host, port));
        let denied = there
            .clone()
            .filter(|rule| rule.may_be_for(who))
            .any(|rule| rule.denies().iter().any(|denied| pattern::request(denied, method, path, true)));
        let allowed = there.filter(|rule| rule.is_for(who)).any(|rule| match &rule.form {
            Form::Plain | Form::Raw => true,
            Form::Http { allow, .. } => allow.iter().any(|a| pattern::request(a, method, path, false)),
        });
        allowed && !denied
    }

    /// Whether the name may lead to this address, for a connection that was admitted.
    pub fn leads(&self, host: &Spelt, port: u16, who: &Who, addr: IpAddr) -> bool {
        if self.is_model(host, port) {
            return false;
        }
        if let Spelt::Addr(asked) = host
            && *asked != addr
        {
            return false;
        }
        let admitting = self
            .rules
            .iter()
            .filter(|rule| rule.leads_to(host, port) && rule.admits_something() && rule.is_for(who));
        let named: Vec<IpNet> = admitting.flat_map(|rule| rule.names(port)).collect();
        address::may_be_reached(addr, &named)
    }

    pub fn execute(&self, path: &str, arguments: &[String], who: &Who) -> bool {
        let takes = |run: &Run, sure: bool| {
            let mut words = run.run.split(' ');
            let program = pattern::file(&absolute(words.next().unwrap_or_default()), path);
            let words: Vec<&str> = words.collect();
            let given = words.is_empty() || pattern::arguments(&words, arguments);
            program && given && from(&run.from, who, sure)
        };
        let denied = self.exec_deny.iter().any(|run| takes(run, false));
        let allowed = self.exec_allow.is_empty() || self.exec_allow.iter().any(|run| takes(run, true));
        allowed && !denied
    }

    /// What may be done with a path: `r`ead, `w`ritten, or nothing, as it is hidden or nothing grants it.
    pub fn access(&self, path: &str) -> Option<char> {
        let said = |list: &[String], at: &str| list.iter().any(|p| absolute(p) == at);
        let mut at = path.to_owned();
        loop {
            let own = Self::own().iter().any(|own| own == &at);
            if own || said(&self.hide, &at) {
                return None;
            }
            if at == WORKSPACE || said(&self.write, &at) {
                return Some('w');
            }
            if said(&self.read, &at) {
                return Some('r');
            }
            let patterns = self.hide.iter().filter(|p| p.contains('*'));
            if patterns.map(|p| absolute(p)).any(|p| pattern::file(&p, &at)) {
                return None;
            }
            let (above, _) = at.rsplit_once('/').filter(|(above, _)| !above.is_empty())?;
            at = above.to_owned();
        }
    }

    /// "Creel's own directories are never granted; they are hidden from wider grants."
    fn own() -> [String; 8] {
        [
            "/etc/creel".to_owned(),
            "/run/creel".to_owned(),
            "/var/lib/creel".to_owned(),
            "/var/log/creel".to_owned(),
            format!("{HOME}/.config/creel"),
            format!("{HOME}/.local/share/creel"),
            format!("{HOME}/.local/state/creel"),
            format!("{HOME}/.cache/creel"),
        ]
    }

    fn is_model(&self, host: &Spelt, port: u16) -> bool {
        let local = host.text() == "inference.local" && (port == 80 || port == 443);
        self.model.is_some() && (local || self.capture.iter().any(|t| pattern::target(t, host, port)))
    }

    /// The answer to a question as it was spelt; `None` when it has no single form.
    pub fn answer(&self, asked: &Asked) -> Option<String> {
        let host = spelling::host(&asked.host)?;
        let (path, query) = spelling::path(&asked.path)?;
        let way = self.connect(&host, asked.port, &asked.who);
        let request = self.request(&host, asked.port, &asked.who, (&asked.method, &path));
        let leads = way.is_some() && self.leads(&host, asked.port, &asked.who, asked.addr);
        let sent = format!("/{}{}", path.join("/"), query.map(|q| format!("?{q}")).unwrap_or_default());
        Some(format!("{} {sent}: {way:?}, request {request}, address {leads}", host.text()))
    }
}

impl Rule {
    fn leads_to(&self, host: &Spelt, port: u16) -> bool {
        self.to.iter().any(|t| pattern::target(t, host, port))
    }

    /// "`http.deny` without `http.allow` only denies."
    fn admits_something(&self) -> bool {
        !matches!(&self.form, Form::Http { allow, .. } if allow.is_empty())
    }

    fn denies(&self) -> &[String] {
        match &self.form {
            Form::Http { deny, .. } => deny,
            Form::Plain | Form::Raw => &[],
        }
    }

    fn is_for(&self, who: &Who) -> bool {
        from(&self.from, who, true)
    }

    fn may_be_for(&self, who: &Who) -> bool {
        from(&self.from, who, false)
    }

    /// The addresses that its names may lead to on this port: its `addresses`, and those in its `to`.
    fn names(&self, port: u16) -> Vec<IpNet> {
        let block = |text: &str| {
            let text = text.trim_matches(['[', ']']);
            text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        };
        let there = |t: &&String| {
            let (_, ports) = pattern::parted(t);
            ports == "*" || ports == port.to_string()
        };
        let listed = self.addresses.iter().filter_map(|text| block(text));
        listed.chain(self.to.iter().filter(there).filter_map(|t| block(pattern::parted(t).0))).collect()
    }
}

/// Whether one of the programs is the one that acts. "A program that cannot be told, or that runs code from a place
/// the agent can write, matches no `from:` of an allow, and every `from:` of a deny." With `tree:` it is the program
/// that is named of which this must be known; what it started may be anything.
fn from(entries: &[String], who: &Who, sure: bool) -> bool {
    if entries.is_empty() {
        return true;
    }
    let Some(first) = who.chain.first() else { return !sure };
    if !sure && first.1 {
        return true;
    }
    let known = |program: &&(String, bool)| !sure || !program.1;
    entries.iter().any(|entry| match entry.strip_prefix("tree:") {
        Some(of) => who.chain.iter().filter(known).any(|p| pattern::file(of, &p.0)),
        None => Some(first).filter(known).is_some_and(|p| pattern::file(entry, &p.0)),
    })
}

/// `~/` is the operator's home, `./` the workspace.
fn absolute(path: &str) -> String {
    if let Some(rest) = path.strip_prefix("~/") {
        return format!("{HOME}/{rest}");
    }
    path.strip_prefix("./").map_or(path.to_owned(), |rest| format!("{WORKSPACE}/{rest}"))
}

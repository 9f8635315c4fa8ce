//! Questions to a policy as people write them: `POST https://api.github.com/user`, `write ./src`, `exec /usr/bin/git push`.

use crate::canonical::{self, CanonicalPath};
use crate::read::path::absolute;
use crate::{Connect, Execute, Operator, Request};
use creel_types::{Caller, Digest, Host, Program};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Something that a program in the sandbox may try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// An HTTP request.
    Request {
        /// As it is sent.
        method: String,
        /// Whether it goes over TLS.
        tls: bool,
        /// Where to.
        host: Host,
        /// At which port.
        port: u16,
        /// Path and query.
        path: CanonicalPath,
        /// By which program.
        caller: Caller,
    },
    /// A connection.
    Connect {
        /// Where to.
        host: Host,
        /// At which port.
        port: u16,
        /// The address that the host leads to, where that is asked, too.
        addr: Option<IpAddr>,
        /// By which program.
        caller: Caller,
    },
    /// Reading a file, absolute.
    Read(PathBuf),
    /// Writing a file, absolute.
    Write(PathBuf),
    /// Executing a program.
    Execute {
        /// The file's true name, then the name that was written.
        names: Vec<String>,
        /// What follows the program's own name.
        arguments: Vec<String>,
        /// Its content, where that is known.
        digest: Option<Digest>,
        /// By which program.
        parents: Caller,
    },
    /// Calling a model by this name.
    Model(String),
}

/// Why a text is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a question to a policy: {why}")]
pub struct QuestionError {
    /// What was read.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

const FORMS: &str = "write `METHOD URL`, `connect HOST[:PORT] [at ADDRESS]`, `read PATH`, `write PATH`, `exec PROGRAM [ARGUMENTS]` or `model NAME`";

impl Question {
    /// Reads a question. `from` are the programs that act: the one that does it, then what started it, nearest first;
    /// none says a program that nobody can tell. `operator` says what `~` and `.` are and where links lead.
    ///
    /// # Errors
    /// What is none of the forms, and what has no canonical form.
    pub fn parse(text: &str, from: &[String], operator: &Operator) -> Result<Self, QuestionError> {
        let wrong = |why: String| QuestionError { text: text.to_owned(), why };
        let caller = caller(from, operator).map_err(wrong)?;
        let (verb, rest) = text.trim().split_once(' ').ok_or_else(|| wrong(FORMS.to_owned()))?;
        let rest = rest.trim();
        match verb {
            "read" => absolute(rest, operator).map(Self::Read),
            "write" => absolute(rest, operator).map(Self::Write),
            "exec" => execute(rest, caller, operator),
            "model" => Ok(Self::Model(rest.to_owned())),
            "connect" => connect(rest, caller),
            method => request(method, rest, caller),
        }
        .map_err(wrong)
    }

    /// The programs that act, where they count.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Request { caller, .. } | Self::Connect { caller, .. } => Some(caller),
            Self::Execute { parents, .. } => Some(parents),
            Self::Read(_) | Self::Write(_) | Self::Model(_) => None,
        }
    }

    /// The connection that it needs.
    pub(crate) fn connection(&self) -> Option<Connect<'_>> {
        match self {
            Self::Request { host, port, caller, .. } | Self::Connect { host, port, caller, .. } => {
                Some(Connect { host, port: *port, caller })
            }
            _ => None,
        }
    }

    /// The request, when it is one.
    pub(crate) fn request(&self) -> Option<Request<'_>> {
        let Self::Request { method, path, .. } = self else { return None };
        Some(Request { connect: self.connection()?, method, path })
    }

    /// The execution, when it is one.
    pub(crate) fn execution(&self) -> Option<Execute<'_>> {
        let Self::Execute { names, arguments, digest, parents } = self else { return None };
        Some(Execute { names, also: &[], digest: *digest, arguments, whole: true, parents })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| path.to_string_lossy().escape_debug().to_string();
        match self {
            Self::Request { method, tls, host, port, path, .. } => {
                let (scheme, usual) = if *tls { ("https", 443) } else { ("http", 80) };
                let port = if *port == usual { String::new() } else { format!(":{port}") };
                write!(f, "{method} {scheme}://{host}{port}{path}")?;
            }
            Self::Connect { host, port, addr: None, .. } => write!(f, "connect {host}:{port}")?,
            Self::Connect { host, port, addr: Some(addr), .. } => {
                write!(f, "connect {host}:{port} at {addr}")?;
            }
            Self::Read(path) => write!(f, "read {}", shown(path))?,
            Self::Write(path) => write!(f, "write {}", shown(path))?,
            Self::Execute { names, arguments, digest, .. } => {
                let unnamed = || digest.map_or("a file without a name".to_owned(), |d| format!("sha256:{d}"));
                let name = names.first().cloned().unwrap_or_else(unnamed);
                write!(f, "exec {}", name.escape_debug())?;
                // A file that has several names is each of them.
                let others = names.iter().skip(1);
                others.into_iter().try_for_each(|other| write!(f, " (also {})", other.escape_debug()))?;
                arguments.iter().try_for_each(|a| write!(f, " {}", a.escape_debug()))?;
            }
            Self::Model(name) => write!(f, "model {}", name.escape_debug())?,
        }
        match self.caller() {
            Some(caller) if !caller.chain.is_empty() => write!(f, " from {}", chain(caller)),
            _ => Ok(()),
        }
    }
}

/// The programs of a chain, each with what it counts as.
pub(crate) fn chain(caller: &Caller) -> String {
    let one = |program: &Program| {
        let name = program.path.to_string_lossy().escape_debug().to_string();
        let digest = program.digest.map(|d| format!(" (sha256:{d})")).unwrap_or_default();
        let odd = program.foreign_code.as_ref().map(|_| " (which runs foreign code)").unwrap_or_default();
        format!("{name}{digest}{odd}")
    };
    caller.chain.iter().map(one).collect::<Vec<_>>().join(", started by ")
}

fn caller(from: &[String], operator: &Operator) -> Result<Caller, String> {
    let program = |text: &String| {
        let path = operator.links.follow(absolute(text, operator)?);
        Ok(Program { pid: 0, path, digest: None, foreign_code: None })
    };
    Ok(Caller { chain: from.iter().map(program).collect::<Result<_, String>>()? })
}

fn execute(rest: &str, parents: Caller, operator: &Operator) -> Result<Question, String> {
    let mut words = rest.split_ascii_whitespace();
    let program = words.next().ok_or(FORMS)?;
    let arguments = words.map(str::to_owned).collect();
    if let Some(hex) = program.strip_prefix("sha256:") {
        let digest = hex.parse().map_err(|e| format!("`{hex}` is {e}"))?;
        return Ok(Question::Execute { names: Vec::new(), arguments, digest: Some(digest), parents });
    }
    let written = absolute(program, operator)?;
    let led = operator.links.follow(written.clone());
    let mut names = vec![led.to_string_lossy().into_owned(), written.to_string_lossy().into_owned()];
    names.dedup();
    Ok(Question::Execute { names, arguments, digest: None, parents })
}

fn connect(rest: &str, caller: Caller) -> Result<Question, String> {
    let (target, addr) = match rest.split_once(" at ") {
        Some((target, addr)) => (target, Some(addr.trim())),
        None => (rest, None),
    };
    let addr = match addr.map(str::parse::<IpAddr>) {
        None => None,
        Some(Ok(addr)) => Some(addr.to_canonical()),
        Some(Err(_)) => return Err(format!("`{}` is not an address", addr.unwrap_or_default())),
    };
    let (host, port) = authority(target, 443)?;
    Ok(Question::Connect { host, port, addr, caller })
}

fn request(method: &str, url: &str, caller: Caller) -> Result<Question, String> {
    let (tls, rest) = match url.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(FORMS.to_owned()),
    };
    let method = canonical::method(method).map_err(|e| e.to_string())?.to_owned();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..at], if tls { 443 } else { 80 })?;
    let path = match &rest[at..] {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    let path = canonical::path(&path).map_err(|e| e.to_string())?;
    Ok(Question::Request { method, tls, host, port, path, caller })
}

fn authority(text: &str, usual: u16) -> Result<(Host, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => {
            let number = port.parse::<u16>().ok().filter(|p| *p > 0);
            (host, number.ok_or_else(|| format!("`{port}` is not a port"))?)
        }
        _ => (text, usual),
    };
    Ok((canonical::host(host).map_err(|e| e.to_string())?, port))
}

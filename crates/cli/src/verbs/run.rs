//! `creel run`: one command in a sandbox.

use crate::args::Run;
use crate::failure::Failure;
use crate::verbs::documents;
use creel_policy::{Resolution, canonical};
use creel_sandbox::order::{Order, Voice};
use creel_sandbox::terminal;
use creel_types::Host;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

/// Runs the command to its end.
pub fn run(args: Run) -> Result<ExitCode, Failure> {
    let order = Order {
        documents: documents::read(&args.policy)?,
        name: args.name.map(|name| name.parse()).transpose()?,
        workspace: args.workspace,
        root: args.root,
        env: split_env(&args.env)?,
        resolve: args.resolve.iter().map(|text| resolution(text)).collect::<Result<_, _>>()?,
        trust: args.trust,
        record: args.record,
        terminal: args.tty || (!args.no_tty && terminal::is_interactive()),
        voice: match (args.quiet, args.json) {
            (_, true) => Voice::Json,
            (true, false) => Voice::Quiet,
            (false, false) => Voice::Plain,
        },
        command: args.command,
    };
    let code = creel_sandbox::run(order).map_err(Failure::of_run)?;
    creel_sandbox::leave(u8::try_from(code).unwrap_or(crate::failure::OWN))
}

/// Splits `KEY=VALUE`; a bare `KEY` is passed on from this process's environment.
pub fn split_env(settings: &[OsString]) -> Result<Vec<(OsString, OsString)>, Failure> {
    settings.iter().filter_map(|setting| one_variable(setting).transpose()).collect()
}

fn one_variable(setting: &OsStr) -> Result<Option<(OsString, OsString)>, Failure> {
    let bytes = setting.as_bytes();
    let (key, value) = match bytes.iter().position(|&b| b == b'=') {
        Some(at) => (&bytes[..at], Some(OsString::from_vec(bytes[at + 1..].to_vec()))),
        None => (bytes, std::env::var_os(setting)),
    };
    if key.is_empty() {
        return Err(Failure::new(format!("--env {setting:?} names no variable"))
            .hint("write --env KEY=VALUE or --env KEY"));
    }
    let key = OsString::from_vec(key.to_vec());
    Ok(value.map(|value| (key, value)))
}

/// Reads `HOST=ADDR[:PORT]`; an IPv6 address with a port is written in brackets.
fn resolution(text: &str) -> Result<Resolution, Failure> {
    let bad = |why: String| {
        Failure::new(format!("--resolve {text}: {why}"))
            .hint("write HOST=ADDR or HOST=ADDR:PORT, as in api.test=127.0.0.1:8443 or api.test=[::1]:8443")
    };
    let (host, target) = text.split_once('=').ok_or_else(|| bad("there is no `=`".into()))?;
    let host = match canonical::host(host) {
        Ok(Host::Name(name)) => name,
        Ok(Host::Addr(_)) => return Err(bad(format!("`{host}` is an address, not a name"))),
        Err(error) => return Err(bad(error.to_string())),
    };
    if let Ok(addr) = target.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(Resolution { host, addr, port: None });
    }
    let addr: SocketAddr = target.parse().map_err(|_| bad(format!("`{target}` is no address")))?;
    Ok(Resolution { host, addr: addr.ip(), port: Some(addr.port()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_a_host_an_address_and_perhaps_a_port() {
        for (text, addr, port) in [
            ("a.test=127.0.0.1", "127.0.0.1", None),
            ("a.test=127.0.0.1:8443", "127.0.0.1", Some(8443)),
            ("a.test=::1", "::1", None),
            ("a.test=[::1]:8443", "::1", Some(8443)),
        ] {
            let r = resolution(text).unwrap();
            assert_eq!((r.addr, r.port), (addr.parse().unwrap(), port), "{text}");
        }
        for bad in ["a.test", "=1.2.3.4", "1.2.3.4=1.2.3.4", "a.test=nowhere", "a.test=1.2.3.4:x"] {
            assert!(resolution(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_name_is_passed_on_and_an_absent_one_is_not() {
        let env = split_env(&["A=b=c".into(), "PATH".into(), "CREEL_NOT_SET_ANYWHERE".into()]).unwrap();
        assert_eq!(env[0], ("A".into(), "b=c".into()));
        assert_eq!(env.len(), 2);
        assert!(split_env(&["=x".into()]).is_err());
    }
}

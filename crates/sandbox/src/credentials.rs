//! Credentials: read where the operator keeps them, and stood for by placeholders inside.
//!
//! The warden reads them, because the exit can read no file, and keeps the placeholders only.

use crate::models::{self, read_key};
use creel_policy::{Key, Policy};
use creel_proxy::{Held, Unfit, fits, placeholder};
use creel_types::Secret;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why a credential cannot be used. Says nothing of the secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The variable that should hold it is not set.
    #[error("credential `{credential}` is in the variable {variable}, which is not set here")]
    NoVariable {
        /// The credential.
        credential: String,
        /// The variable.
        variable: String,
    },
    /// The file that should hold it cannot be read.
    #[error("credential `{credential}` is in {}", path.display())]
    NoFile {
        /// The credential.
        credential: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No placeholder can stand for it.
    #[error("credential `{credential}` cannot be used: {why}")]
    Unfit {
        /// The credential.
        credential: String,
        /// Why.
        why: Unfit,
    },
    /// No placeholder was made for it at the start.
    #[error(
        "the sandbox was started without the credential `{0}`, so that nothing inside can stand for it; start it anew"
    )]
    New(String),
    /// The placeholder that stands for it inside cannot stand for the new secret.
    #[error(
        "credential `{0}` has another length or other signs than before, which its placeholder inside cannot stand for; start the sandbox anew"
    )]
    Changed(String),
}

/// What stands for a credential inside.
#[derive(Debug, Clone)]
pub struct Stand {
    name: String,
    placeholder: String,
}

/// A credential on its way to the exit.
#[derive(Serialize, Deserialize)]
pub struct Sent {
    name: String,
    placeholder: String,
    secret: Vec<u8>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the policy's credentials and makes their placeholders.
pub fn find(policy: &Policy) -> Result<Vec<Held>, CredentialError> {
    let made = |credential: &creel_policy::Credential| {
        let secret = read(credential)?;
        // Exposed to be stood for.
        let placeholder = placeholder(secret.expose(), draw)
            .map_err(|why| CredentialError::Unfit { credential: credential.name.clone(), why })?;
        Ok(Held { name: credential.name.clone(), placeholder, secret })
    };
    policy.credentials().iter().map(made).collect()
}

/// Reads the credentials of another policy anew; what stands for them inside stays.
pub fn find_again(policy: &Policy, stands: &[Stand]) -> Result<Vec<Held>, CredentialError> {
    let again = |credential: &creel_policy::Credential| {
        let name = credential.name.clone();
        let Some(stand) = stands.iter().find(|stand| stand.name == name) else {
            return Err(CredentialError::New(name));
        };
        let secret = read(credential)?;
        if !fits(&stand.placeholder, secret.expose()) {
            // Exposed to be compared in its length and signs.
            return Err(CredentialError::Changed(name));
        }
        Ok(Held { name, placeholder: stand.placeholder.clone(), secret })
    };
    policy.credentials().iter().map(again).collect()
}

/// The variables that hold the placeholders inside.
pub fn variables(policy: &Policy, held: &[Held]) -> Vec<(OsString, OsString)> {
    let pair = |(credential, held): (&creel_policy::Credential, &Held)| {
        (credential.variable.clone().into(), held.placeholder.clone().into())
    };
    policy.credentials().iter().zip(held).map(pair).collect()
}

/// What stands for them, without the secrets.
pub fn stands(held: &[Held]) -> Vec<Stand> {
    held.iter().map(|held| Stand { name: held.name.clone(), placeholder: held.placeholder.clone() }).collect()
}

impl From<Held> for Sent {
    fn from(held: Held) -> Self {
        // The exit is who puts it into requests; the socket is nobody else's.
        Self { name: held.name, placeholder: held.placeholder, secret: held.secret.expose().to_vec() }
    }
}

impl From<Sent> for Held {
    fn from(sent: Sent) -> Self {
        Self { name: sent.name, placeholder: sent.placeholder, secret: Secret::new(sent.secret) }
    }
}

fn read(credential: &creel_policy::Credential) -> Result<Secret, CredentialError> {
    let name = || credential.name.clone();
    let read = match &credential.secret {
        Key::Env(variable) => models::variable(variable)
            .ok_or_else(|| CredentialError::NoVariable { credential: name(), variable: variable.clone() }),
        Key::File(path) => read_key(path).map_err(|source| CredentialError::NoFile {
            credential: name(),
            path: path.clone(),
            source,
        }),
        Key::None => Err(CredentialError::Unfit { credential: name(), why: Unfit::Short }),
    }?;
    // Exposed to be rid of the line end that files have.
    Ok(Secret::new(read.expose().trim_ascii_end()))
}

/// A random byte. The kernel gives a few bytes whole once its generator is seeded (getrandom(2)), and waits until then.
fn draw() -> u8 {
    let mut byte = [0];
    while getrandom(&mut byte, GetRandomFlags::empty()) != Ok(1) {}
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_policy::{Document, Operator, compile};

    fn policy(file: &std::path::Path, names: &[&str]) -> Policy {
        let (mut credentials, mut rules) = (String::new(), String::new());
        for name in names {
            credentials += &format!(
                "  - {{ name: {name}, secret: \"file:{}\", env: {} }}\n",
                file.display(),
                name.to_uppercase()
            );
            rules += &format!("    - {{ name: {name}, to: [{name}.com], credential: {name} }}\n");
        }
        let text = format!("version: 1\ncredentials:\n{credentials}network:\n  rules:\n{rules}");
        let document = Document { name: "p.yaml".into(), text, base: "/".into() };
        let operator = Operator {
            home: "/home/u".into(),
            workspace: "/work".into(),
            links: creel_policy::Links::default(),
            resolve: Vec::new(),
            base: "/".into(),
        };
        compile(&[document], &operator, &|_, _| Err("none".into()))
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn what_is_inside_stands_for_the_secret_also_after_it_was_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "ghp_abcdefghij0123456789\n").unwrap();
        let policy_one = policy(&file, &["one"]);
        let held = find(&policy_one).unwrap();
        let inside = variables(&policy_one, &held);
        assert_eq!(inside[0].0, "ONE");
        let placeholder = inside[0].1.to_str().unwrap();
        assert!(placeholder.starts_with("ghp_") && placeholder.len() == 24, "{placeholder}");
        assert_ne!(placeholder, "ghp_abcdefghij0123456789");
        std::fs::write(&file, "ghp_ABCDEFGHIJ9999999999\n").unwrap();
        let again = find_again(&policy_one, &stands(&held)).unwrap();
        assert_eq!(again[0].placeholder, placeholder);
        assert_eq!(again[0].secret.expose(), b"ghp_ABCDEFGHIJ9999999999");
        std::fs::write(&file, "ghp_short0123456789\n").unwrap();
        assert!(matches!(find_again(&policy_one, &stands(&held)), Err(CredentialError::Changed(_))));
        let other = policy(&file, &["one", "two"]);
        std::fs::write(&file, "ghp_ABCDEFGHIJ9999999999").unwrap();
        assert!(
            matches!(find_again(&other, &stands(&held)), Err(CredentialError::New(name)) if name == "two")
        );
    }

    #[test]
    fn a_secret_that_is_missing_or_too_short_is_said_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let missing = find(&policy(&file, &["one"])).unwrap_err().to_string();
        assert!(missing.contains("one") && missing.contains("token"), "{missing}");
        std::fs::write(&file, "hunter2").unwrap();
        let short = find(&policy(&file, &["one"])).unwrap_err().to_string();
        assert!(short.contains("fewer than") && !short.contains("hunter2"), "{short}");
    }
}

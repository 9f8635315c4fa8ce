//! Who asks: what `docker login` and `podman login` have left.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use creel_types::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A name and a password for one registry.
#[derive(Debug, Clone)]
pub struct Credentials {
    user: String,
    password: Secret,
}

#[derive(Debug, Default, Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Login {
    #[serde(default)]
    auth: Option<Secret64>,
}

#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Secret64(Secret);

impl From<String> for Secret64 {
    fn from(text: String) -> Self {
        Self(Secret::new(text.into_bytes()))
    }
}

#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: Secret64,
}

impl Credentials {
    /// A name and a password.
    pub fn new(user: impl Into<String>, password: Secret) -> Self {
        Self { user: user.into(), password }
    }

    /// What is known for a registry: in `$REGISTRY_AUTH_FILE`, else podman's own file, else Docker's. A helper that
    /// is named there is run. Nothing where nothing is known.
    pub fn find(host: &str) -> Option<Self> {
        let text = files().into_iter().find_map(|path| std::fs::read(path).ok())?;
        let logins: Logins = serde_json::from_slice(&text).ok()?;
        let keys = keys(host);
        if let Some(helper) = keys.iter().find_map(|key| logins.helpers.get(key)).or(logins.store.as_ref())
            && let Some(found) = keys.iter().find_map(|key| ask(helper, key))
        {
            return Some(found);
        }
        let login = keys.iter().find_map(|key| logins.auths.get(key))?;
        // Only the encoding of what the file says.
        Self::decode(login.auth.as_ref()?.0.expose())
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(text.trim_ascii()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::new(user, Secret::new(password.trim_end_matches('\0').as_bytes())))
    }

    /// The header's value that they make.
    pub(super) fn basic(&self) -> Secret {
        // The header that carries it is what it is for.
        let pair = STANDARD.encode([self.user.as_bytes(), b":", self.password.expose()].concat());
        Secret::new(format!("Basic {pair}").into_bytes())
    }
}

fn files() -> Vec<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(named) = from("REGISTRY_AUTH_FILE") {
        return vec![named];
    }
    let podman = from("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let docker = from("DOCKER_CONFIG").or_else(|| Some(from("HOME")?.join(".docker")));
    podman.into_iter().chain(docker.map(|dir| dir.join("config.json"))).collect()
}

/// How files and helpers name a registry.
fn keys(host: &str) -> Vec<String> {
    let mut keys = vec![host.to_owned(), format!("https://{host}"), format!("https://{host}/v1/")];
    if host == "docker.io" {
        keys.insert(0, "https://index.docker.io/v1/".into());
        keys.push("index.docker.io".into());
    }
    keys
}

/// Runs `docker-credential-NAME get`, which reads the registry's name and answers JSON.
fn ask(helper: &str, key: &str) -> Option<Credentials> {
    if helper.is_empty()
        || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        return None;
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(key.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let helped: Helped = serde_json::from_slice(&output.stdout).ok()?;
    Some(Credentials::new(helped.user, helped.secret.0)).filter(|_| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_login_leaves_is_understood() {
        let found = Credentials::decode(b"YWRhOnM6M2NyZXQ=").unwrap();
        assert_eq!((found.user.as_str(), found.password.expose()), ("ada", &b"s:3cret"[..]));
        assert_eq!(found.basic().expose(), b"Basic YWRhOnM6M2NyZXQ=");
        assert!(Credentials::decode(b"YWRh").is_none());
        assert!(!format!("{found:?}").contains("3cret"));
    }
}

//! The command's environment: built from nothing, so that no key of the operator's slips in.
//!
//! What is passed on by default says how to talk to a person (terminal, language, time zone) and where programs
//! are. Everything else has to be named with `--env`. The rest tells programs where the sandbox's certificate
//! authority is, for those that do not read the system's bundle.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where the bundle with the sandbox's authority stands inside (and on the host, for most distributions).
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Passed on from the operator's environment when set.
const PASSED_ON: [&str; 8] = ["TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ", "EDITOR", "PAGER"];

/// The variables by which programs that carry their own roots are told of others.
const CA_VARIABLES: [&str; 13] = [
    "SSL_CERT_FILE",                    // OpenSSL, Go, rustls-native-certs, uv
    "CURL_CA_BUNDLE",                   // curl builds that do not use the system's bundle
    "REQUESTS_CA_BUNDLE",               // Python requests (certifi)
    "NODE_EXTRA_CA_CERTS",              // Node.js, Bun
    "DENO_CERT",                        // Deno
    "GIT_SSL_CAINFO",                   // git built with its own curl
    "PIP_CERT",                         // pip before truststore
    "CARGO_HTTP_CAINFO",                // cargo
    "AWS_CA_BUNDLE",                    // AWS CLI and SDKs
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", // gRPC core (Python, Ruby, PHP, C++)
    "CODEX_CA_CERTIFICATE",             // Codex CLI
    "NIX_SSL_CERT_FILE",                // programs from Nix
    "HTTPLIB2_CA_CERTS",                // httplib2 (Google's Python clients)
];

const STANDARD_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What the environment is made of.
pub struct Sources<'a> {
    /// The operator's own environment.
    pub operator: &'a dyn Fn(&str) -> Option<OsString>,
    /// What stands for the policy's credentials.
    pub credentials: &'a [(OsString, OsString)],
    /// `--env` settings, already split; they win over everything.
    pub extra: &'a [(OsString, OsString)],
    /// Home directory inside.
    pub home: &'a Path,
    /// The user's name inside.
    pub user: &'a str,
    /// The sandbox's name.
    pub name: &'a str,
    /// What an image sets, `KEY=VALUE` each, where nothing above has a say.
    pub image: Option<&'a [String]>,
    /// Directories of the operator's `PATH` that can be seen inside.
    pub visible: &'a dyn Fn(&Path) -> bool,
}

/// Makes the environment, in a fixed order.
pub fn build(sources: &Sources<'_>) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = Vec::with_capacity(40);
    let mut set = |key: &str, value: OsString| env.push((key.into(), value));
    set("PATH", path(sources));
    set("HOME", sources.home.into());
    set("USER", sources.user.into());
    set("LOGNAME", sources.user.into());
    set("SHELL", "/bin/sh".into());
    set("TMPDIR", "/tmp".into());
    set("CREEL_SANDBOX", sources.name.into());
    for key in PASSED_ON {
        if let Some(value) = (sources.operator)(key) {
            set(key, value);
        }
    }
    for key in CA_VARIABLES {
        set(key, CA_BUNDLE.into());
    }
    for (key, value) in sources.image.unwrap_or_default().iter().filter_map(|pair| pair.split_once('=')) {
        if !key.is_empty() && !env.iter().any(|(k, _)| k == key) {
            env.push((key.into(), value.into()));
        }
    }
    for (key, value) in sources.credentials.iter().chain(sources.extra) {
        env.retain(|(k, _)| k != key);
        env.push((key.clone(), value.clone()));
    }
    env
}

/// The operator's `PATH` as far as it can be seen inside, then the standard directories; or an image's own.
fn path(sources: &Sources<'_>) -> OsString {
    if let Some(image) = sources.image {
        let own = image.iter().find_map(|pair| pair.strip_prefix("PATH=")).filter(|path| !path.is_empty());
        return own.map_or_else(|| join(&STANDARD_PATH.map(PathBuf::from)), OsString::from);
    }
    let operator = (sources.operator)("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> =
        std::env::split_paths(&operator).filter(|dir| dir.is_absolute() && (sources.visible)(dir)).collect();
    for dir in STANDARD_PATH.map(PathBuf::from) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    let mut seen = Vec::new();
    dirs.retain(|dir| {
        !seen.contains(dir) && {
            seen.push(dir.clone());
            true
        }
    });
    join(&dirs)
}

fn join(dirs: &[PathBuf]) -> OsString {
    dirs.iter().map(|d| d.as_os_str()).collect::<Vec<&OsStr>>().join(OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(operator: &[(&str, &str)], extra: &[(&str, &str)]) -> Vec<(String, String)> {
        built_on(None, operator, extra)
    }

    fn built_on(
        image: Option<&[String]>,
        operator: &[(&str, &str)],
        extra: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let extra: Vec<_> = extra.iter().map(|(k, v)| (k.into(), v.into())).collect();
        build(&Sources {
            operator: &|key| operator.iter().find(|(k, _)| *k == key).map(|(_, v)| v.into()),
            credentials: &[],
            extra: &extra,
            home: Path::new("/home/ada"),
            user: "ada",
            name: "box",
            image,
            visible: &|dir| dir.starts_with("/usr"),
        })
        .into_iter()
        .map(|(k, v)| (k.into_string().unwrap(), v.into_string().unwrap()))
        .collect()
    }

    #[test]
    fn a_key_of_the_operators_does_not_slip_in() {
        let env = built(&[("OPENAI_API_KEY", "sk-1"), ("TERM", "xterm")], &[]);
        assert!(!env.iter().any(|(k, v)| k.contains("KEY") || v.contains("sk-1")));
        assert!(env.contains(&("TERM".into(), "xterm".into())));
    }

    #[test]
    fn what_is_asked_for_by_name_wins() {
        let env = built(&[], &[("HOME", "/tmp/h"), ("X", "1")]);
        assert_eq!(
            env.iter().filter(|(k, _)| k == "HOME").collect::<Vec<_>>(),
            [&("HOME".into(), "/tmp/h".into())]
        );
        assert!(env.contains(&("X".into(), "1".into())));
    }

    #[test]
    fn an_image_sets_what_nobody_else_does() {
        let image = ["PATH=/app/bin:/bin", "PYTHON=3", "HOME=/x", "SSL_CERT_FILE=/x", "X=image", "odd", "=y"]
            .map(String::from);
        let env = built_on(Some(&image), &[("PATH", "/usr/games")], &[("X", "mine")]);
        let of =
            |key: &str| env.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!(of("PATH"), ["/app/bin:/bin"]);
        assert_eq!(of("PYTHON"), ["3"]);
        assert_eq!(of("HOME"), ["/home/ada"]);
        assert_eq!(of("SSL_CERT_FILE"), [CA_BUNDLE]);
        assert_eq!(of("X"), ["mine"]);
        assert!(!env.iter().any(|(k, _)| k == "odd" || k.is_empty()));
        let bare = built_on(Some(&[]), &[("PATH", "/usr/games")], &[]);
        assert!(bare.contains(&("PATH".into(), STANDARD_PATH.join(":"))));
    }

    #[test]
    fn the_path_names_only_what_can_be_seen() {
        let env = built(&[("PATH", "/home/ada/bin:/usr/games:relative:/usr/bin:/usr/bin")], &[]);
        let path = &env.iter().find(|(k, _)| k == "PATH").unwrap().1;
        assert_eq!(path, "/usr/games:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin");
    }
}

//! What this machine can enforce, and how to mend what it cannot.
//!
//! Facts are read from where the kernel states them; then a sandbox is really started, since only that shows that
//! the facts add up.

use creel_api::plan::Tier;
use creel_types::Weakness;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// How to mend it, where something is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// Creel works without it; something is weaker or not bounded, as said.
    Lacking,
    /// Creel cannot start a sandbox.
    Broken,
}

/// How an ordinary user gets control groups of its own.
const DELEGATE: &str = "start creel in a control group of your own: `systemd-run --user --scope -p Delegate=yes creel run ...`; \
    without systemd, root makes a group, gives it to you (chown), and puts your shell into it";

/// Looks at everything that does not need a sandbox.
pub fn facts() -> Vec<Check> {
    vec![kernel(), user_namespaces(), apparmor()]
}

fn check(name: &'static str, state: State, found: impl Into<String>) -> Check {
    Check { name, state, found: found.into(), mend: None }
}

impl Check {
    fn mend(mut self, how: impl Into<String>) -> Self {
        self.mend = Some(how.into());
        self
    }
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < (5, 14) {
        return check("kernel", State::Broken, format!("Linux {release}")).mend(
            "Linux 5.14 or newer is needed (Landlock, unprivileged overlayfs, per-namespace process limits)",
        );
    }
    if version < (6, 6) {
        return check("kernel", State::Lacking, format!("Linux {release}"))
            .mend("works; from Linux 6.6 on, telling who connected costs a few microseconds less");
    }
    check("kernel", State::Good, format!("Linux {release}"))
}

fn user_namespaces() -> Check {
    let name = "user namespaces";
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return check(name, State::Broken, "kernel.unprivileged_userns_clone = 0")
            .mend("sudo sysctl -w kernel.unprivileged_userns_clone=1 (and write it to /etc/sysctl.d/)");
    }
    match read("/proc/sys/user/max_user_namespaces").parse::<u64>() {
        Ok(0) => check(name, State::Broken, "user.max_user_namespaces = 0")
            .mend("sudo sysctl -w user.max_user_namespaces=15000 (and write it to /etc/sysctl.d/)"),
        Ok(n) => check(name, State::Good, format!("allowed, at most {n}")),
        Err(_) => {
            check(name, State::Broken, "this kernel has none").mend("a kernel with CONFIG_USER_NS is needed")
        }
    }
}

fn apparmor() -> Check {
    let name = "AppArmor's restriction of user namespaces";
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1" {
        return check(name, State::Good, "not in force");
    }
    let own = fs::read_link("/proc/self/exe")
        .map_or_else(|_| "/usr/local/bin/creel".into(), |p| p.display().to_string());
    check(name, State::Broken, "kernel.apparmor_restrict_unprivileged_userns = 1").mend(format!(
        "give this program a profile that may: write `abi <abi/4.0>, include <tunables/global> profile creel {own} \
         flags=(unconfined) {{ userns, }}` to /etc/apparmor.d/creel and run `sudo apparmor_parser -r /etc/apparmor.d/creel`"
    ))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Starts a sandbox for a moment and says what was enforced.
pub fn trial() -> Vec<Check> {
    let mut checks = usual();
    checks.push(confined());
    checks
}

/// Whether the weaker tier could be had, and what to write for it.
fn confined() -> Check {
    let name = "tier confined";
    match crate::trial::plain(Tier::Confined) {
        Ok(_) => {
            let all = Weakness::ALL.map(Weakness::name).join(", ");
            check(name, State::Good, "possible, where user namespaces are forbidden and this is enough").mend(
                format!(
                    "it is weaker and has to be asked for: `isolation: {{ tier: confined, accept: [{all}] }}`"
                ),
            )
        }
        Err(error) => check(name, State::Lacking, format!("not possible: {}", whole(&error))),
    }
}

fn whole(error: &crate::RunError) -> String {
    let mut found = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        found += &format!(": {source}");
    }
    found
}

fn usual() -> Vec<Check> {
    match crate::trial::plain(Tier::Namespaces) {
        Ok(enforced) => enforced.layers.iter().map(layer).collect(),
        Err(error) => {
            let failed = check("a sandbox", State::Broken, whole(&error));
            vec![match error.hint() {
                Some(hint) => failed.mend(hint),
                None => failed,
            }]
        }
    }
}

fn layer(layer: &creel_api::enforced::Layer) -> Check {
    let state = if layer.lacking.is_empty() { State::Good } else { State::Lacking };
    let mut found = layer.mechanisms.join(", ");
    if !layer.lacking.is_empty() {
        found += &format!("; not: {}", layer.lacking.join(", "));
    }
    let mend =
        layer.lacking.iter().any(|what| what.contains("no control group")).then(|| DELEGATE.to_owned());
    Check { name: "enforced", state, found: format!("{}: {found}", layer.layer), mend }
}

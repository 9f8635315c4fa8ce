//! Why a sandbox did not start, and what the user can try.

use creel_api::posture::Tried;
use creel_kernel::SysError;
use std::fmt;

/// Where in the order of confinement it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// New namespaces and identity.
    Namespaces,
    /// The network of the sandbox.
    Network,
    /// The file tree.
    Root,
    /// The view of the workspace.
    Review,
    /// Landlock.
    Landlock,
    /// Capabilities and seccomp.
    Confinement,
    /// The plan on its way to the child.
    Assignment,
    /// The limits.
    Limits,
    /// The terminal.
    Terminal,
    /// Sending the answer.
    Answer,
    /// Trying what must be impossible.
    Posture,
}

pub(crate) const STEPS: [Step; 11] = [
    Step::Namespaces,
    Step::Network,
    Step::Root,
    Step::Review,
    Step::Landlock,
    Step::Confinement,
    Step::Assignment,
    Step::Limits,
    Step::Terminal,
    Step::Answer,
    Step::Posture,
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "new namespaces",
            Self::Network => "the sandbox's network",
            Self::Root => "the sandbox's file tree",
            Self::Review => "the view of the workspace that is to be reviewed",
            Self::Landlock => "landlock",
            Self::Confinement => "capabilities and seccomp",
            Self::Assignment => "the plan",
            Self::Limits => "limits",
            Self::Terminal => "the terminal",
            Self::Answer => "the answer to the warden",
            Self::Posture => "the trial of what must be impossible",
        })
    }
}

/// The sandbox did not start; nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JailError {
    /// A step failed.
    #[error("cannot set up {step}: {source}")]
    Step {
        /// Which.
        step: Step,
        /// What the kernel refused.
        source: SysError,
    },
    /// The plan asks for what cannot be done as written.
    #[error("the plan cannot be obeyed: {at}: {why}")]
    Plan {
        /// The path or field.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that must be impossible inside is not: what was tried, with what broke.
    #[error("the sandbox does not keep what it promises, so nothing runs in it: {}", in_one_line(.0))]
    Posture(Vec<Tried>),
    /// The sandbox's first process ended before it answered.
    #[error("the sandbox's first process ended before it was confined")]
    Vanished,
}

impl JailError {
    pub(crate) fn step(step: Step) -> impl Fn(SysError) -> Self {
        move |source| Self::Step { step, source }
    }

    pub(crate) fn plan(at: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Plan { at: at.to_string(), why: why.to_string() }
    }

    /// What to try, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        if matches!(self, Self::Posture(_)) {
            return Some("`creel doctor --posture` tries everything again and prints it; please report this");
        }
        let Self::Step { step, source } = self else { return None };
        match (step, &*source.call) {
            (Step::Namespaces, "clone3") => Some(
                "this host forbids user namespaces: see sysctl user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
                 or the seccomp profile of an outer container; where that must stay so, a policy may ask for the weaker \
                 `isolation: { tier: confined }` (see docs/policy.md)",
            ),
            (Step::Namespaces, _) => Some(
                "user namespaces are restricted here (AppArmor profile or outer container); where that must stay so, a \
                     policy may ask for the weaker `isolation: { tier: confined }` (see docs/policy.md)",
            ),
            (Step::Network, "netlink nftables") => Some(
                "the kernel needs nf_tables with nft_tproxy or nft_redir (CONFIG_NF_TABLES, CONFIG_NFT_TPROXY)",
            ),
            (Step::Landlock, _) => {
                Some("the kernel needs Landlock: CONFIG_SECURITY_LANDLOCK=y and `landlock` in the lsm= list")
            }
            (Step::Review, "fsconfig") => Some(
                "`access: review` needs Linux 5.11 or newer, Creel's state directory on a file system that keeps \
                 user attributes (ext4, xfs, btrfs, or tmpfs of Linux 6.6), and no mount inside the workspace; \
                 XDG_STATE_HOME says where the state is kept",
            ),
            (Step::Root, "fsmount") if source.on.starts_with("proc") => {
                Some("an outer container masks parts of /proc, so the kernel allows no new one")
            }
            _ => None,
        }
    }
}

/// Each broken promise with the first attempt that broke it.
fn in_one_line(tried: &[Tried]) -> String {
    let broken = tried.iter().filter_map(|promise| {
        let first = promise.broken.first()?;
        let more = match promise.broken.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        Some(format!("{} ({}): {first}{more}", promise.promise, promise.layer))
    });
    broken.collect::<Vec<_>>().join("; ")
}

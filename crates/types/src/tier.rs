//! Tiers of isolation, and what is weaker in one than in the usual one.

use std::fmt;
use std::str::FromStr;

/// By which means of the kernel a sandbox is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tier {
    /// Namespaces, with Landlock and seccomp behind them.
    #[default]
    Namespaces,
    /// Landlock and seccomp on the host's own file tree and network, where user namespaces are forbidden.
    Confined,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Confined => "confined",
        })
    }
}

/// Something that [`Tier::Namespaces`] promises and [`Tier::Confined`] does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// Names, sizes and times of files.
    SeenFiles,
    /// Processes of the host.
    SeenProcesses,
    /// The host's network, from outside.
    SeenNetwork,
    /// Nothing of the system's files is replaced.
    HostSystem,
    /// No datagrams, no servers, no abstract sockets.
    FewSockets,
    /// What is bounded for each process only.
    LooseLimits,
}

impl Weakness {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SeenFiles,
        Self::SeenProcesses,
        Self::SeenNetwork,
        Self::HostSystem,
        Self::FewSockets,
        Self::LooseLimits,
    ];

    /// Its name, as a policy accepts it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SeenFiles => "seen-files",
            Self::SeenProcesses => "seen-processes",
            Self::SeenNetwork => "seen-network",
            Self::HostSystem => "host-system",
            Self::FewSockets => "few-sockets",
            Self::LooseLimits => "loose-limits",
        }
    }

    /// What it means, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::SeenFiles => {
                "whether a file of the host exists, its size, times and target can be asked by its name, and names can be \
                 watched, although nothing that is not granted can be opened, listed or changed"
            }
            Self::SeenProcesses => {
                "processes of the host and their command lines are seen in /proc, although none can be signalled, \
                 traced or read"
            }
            Self::SeenNetwork => {
                "interfaces, addresses and open connections of the host are seen, although none can be used but \
                 through the exit"
            }
            Self::HostSystem => {
                "/etc is the host's own: users, hosts and name servers are seen, and only programs that obey SSL_CERT_FILE \
                 and its like trust the sandbox's authority, and that obey RES_OPTIONS resolve names"
            }
            Self::FewSockets => {
                "there are no datagram sockets, no abstract Unix sockets and no TCP servers inside, and no /tmp and no \
                 /dev/shm but what the policy grants"
            }
            Self::LooseLimits => {
                "private directories are not bounded by size, and a process that outlives both its warden and its init \
                 stays, confined and without an exit"
            }
        }
    }
}

impl FromStr for Weakness {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|weakness| weakness.name() == text).ok_or(())
    }
}

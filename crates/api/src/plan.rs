//! What a sandbox is to be, as data: made by `sandbox` from a policy, obeyed by `jail`.

pub use creel_types::Limits;
use creel_types::Size;
pub use creel_types::Tier;
use std::ffi::OsString;
use std::path::PathBuf;

/// Everything the jail needs to know. It adds nothing of its own and leaves nothing out: what cannot be enforced
/// as written is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// By which means it is held. In [`Tier::Confined`] every place stands where its source is, nothing is hidden or
    /// under review, and of the files in `etc` only those that are hidden (mode 0) count.
    pub tier: Tier,
    /// Host name inside.
    pub hostname: String,
    /// Where the system directories come from.
    pub root: Root,
    /// What is placed in the root, in this order (a parent before its children).
    pub places: Vec<Place>,
    /// Device nodes of the host that exist inside beside the harmless ones, relative to `/dev`.
    pub devices: Vec<PathBuf>,
    /// Files written by Creel itself that appear over the system's `/etc` (and nothing else of it changes).
    pub etc: Vec<Injected>,
    /// Size of the private `/tmp`, `/dev/shm` and throw-away home, each.
    pub scratch: Size,
    /// Working directory of the command, inside.
    pub cwd: PathBuf,
    /// The command's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The command and its arguments; a name without a slash is looked up in `PATH` of `env`.
    pub command: Vec<OsString>,
    /// A terminal of the sandbox's own for the command, or the caller's three standard descriptors.
    pub terminal: Option<WindowSize>,
    /// Whether what runs inside may make namespaces and mounts of its own.
    pub nested: bool,
    /// Resource limits.
    pub limits: Limits,
    /// Files and directories of the host's that exist and must be out of reach: records, and what else is the
    /// operator's alone. Nothing is done about them; that they cannot be reached is tried before the command runs.
    pub out_of_reach: Vec<PathBuf>,
}

/// Where the system directories come from: `/usr`, `/bin`, `/lib*`, `/sbin`, `/etc` and `/opt` of the host, or
/// everything that a root of its own holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The host's own directories, read-only.
    Host,
    /// Directories that make a root of their own, laid over one another, the topmost first; read-only.
    Layers(Vec<PathBuf>),
}

/// One thing in the sandbox's file tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute path inside, without `.` or `..`.
    pub at: PathBuf,
    /// What stands there.
    pub what: What,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The host's file or directory of this path, readable and executable.
    Read(PathBuf),
    /// The host's file or directory of this path, readable, writable, executable.
    Write(PathBuf),
    /// The host's directory of this path, as a view of its own: what is written is kept apart.
    Review {
        /// The host's directory.
        source: PathBuf,
        /// Where what is written is kept, on the host: a directory with `upper` and `work`.
        layer: PathBuf,
    },
    /// Nothing to see: an empty unreadable file or directory over what a parent place shows.
    Hidden,
    /// An empty writable directory that ends with the sandbox.
    Scratch,
}

/// A file that Creel writes for the sandbox, read-only inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// Path relative to `/etc`, for example `resolv.conf` or `ssl/certs/ca-certificates.crt`.
    pub path: PathBuf,
    /// Contents.
    pub bytes: Vec<u8>,
    /// Permission bits, for example `0o644`; `0` hides a file of the system's.
    pub mode: u32,
}

/// Size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

//! The command line, as types.

mod policy;

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

pub use policy::{Diff, Explain, Fmt, Overview, Prove, Test};

/// Runs autonomous agents as contained workloads.
#[derive(Debug, Parser)]
#[command(
    name = "creel",
    version,
    about = "Runs autonomous agents as contained workloads: files, processes, network and model calls under one policy",
    after_help = "Examples:\n  \
        creel run -- bash                        a shell that sees this directory and nothing else of yours\n  \
        creel run -p preset:github-read -- codex an agent that may read GitHub\n  \
        creel audit show                         what the last sandbox did\n  \
        creel demo                               an offline tour of a minute\n\n\
        Exit status of `run` and `exec` is the command's; 125 when Creel itself fails, 126 when the command\n\
        cannot be executed, 127 when it is not found.",
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Everything that Creel does.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command in a sandbox
    Run(Run),
    /// Run one more command in a running sandbox
    Exec(Exec),
    /// List running sandboxes
    Ps(Json),
    /// End a running sandbox
    Stop(Stop),
    /// Hold every process of a running sandbox still
    #[command(
        after_help = "Connections stay open and the wall time goes on.\n\nExample:\n  creel pause web && creel resume web"
    )]
    Pause(Named),
    /// Let a paused sandbox go on
    Resume(Named),
    /// Follow what a sandbox does, line by line
    Logs(Logs),
    /// Keep images that sandboxes have as their roots
    #[command(subcommand)]
    Image(Image),
    /// Show what a sandbox changed in a workspace under review
    Changes(Changes),
    /// Land changes in the workspace, all that are wanted or none
    Apply(Apply),
    /// Forget every change that waits
    Discard(Discard),
    /// Keep what a sandbox changed so far, to come back to it
    Snapshot(Snapshot),
    /// Bring back what a snapshot kept, or undo the last apply
    Rollback(Rollback),
    /// Check, show and change policies
    #[command(subcommand)]
    Policy(Policy),
    /// Read and verify the record
    #[command(subcommand)]
    Audit(Audit),
    /// Say what this machine can enforce, and how to mend what it cannot
    Doctor(Doctor),
    /// Take an offline tour: each layer refusing and allowing, a live change, the record
    Demo,
    /// Print shell completions
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
    /// A role that Creel starts itself in
    #[command(hide = true, name = "internal-mounts")]
    Mounts,
    /// A role that Creel starts itself in
    #[command(hide = true, name = "internal-image")]
    TakeImage(TakeImage),
    /// A role that Creel starts itself in
    #[command(hide = true, name = "internal-finish")]
    Finish {
        /// Creel's state directory
        state: PathBuf,
    },
    /// A role that Creel starts itself in
    #[command(hide = true, name = "internal-sweep")]
    Sweep {
        /// Directories to remove once standard input ends
        directories: Vec<PathBuf>,
        /// A directory to remove with all that is in it
        #[arg(long)]
        tree: Option<PathBuf>,
    },
}

/// `creel run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel run -- npm test\n  \
    creel run -p agent.yaml -p preset:npm --name web -- claude\n  \
    creel run --root docker://debian:12 -- bash\n  \
    creel run --resolve api.test=127.0.0.1:8443 --trust ca.pem -- curl https://api.test/")]
pub struct Run {
    /// Policy document, or preset:NAME (see `creel policy presets`); may be given more than once
    #[arg(short, long, value_name = "FILE|preset:NAME")]
    pub policy: Vec<String>,
    /// The directory that the command works in
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Name of the sandbox
    #[arg(short, long)]
    pub name: Option<String>,
    /// Set a variable inside, or pass one on from here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<OsString>,
    /// Map a name to an address, and permit that address
    #[arg(long, value_name = "HOST=ADDR[:PORT]")]
    pub resolve: Vec<String>,
    /// Trust one more certificate authority upstream
    #[arg(long, value_name = "CA.pem")]
    pub trust: Vec<PathBuf>,
    /// Directory for the record (default: below $XDG_STATE_HOME/creel)
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Take the file tree from a directory or an image instead of the host: DIR, docker://NAME, oci:DIR[:NAME],
    /// oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], tar:FILE
    #[arg(long, value_name = "ROOT")]
    pub root: Option<creel_image::Source>,
    /// Give the command a terminal, also when standard input and output are none
    #[arg(short = 't', long = "tty", overrides_with = "no_tty")]
    pub tty: bool,
    /// Give the command no terminal
    #[arg(short = 'T', long = "no-tty")]
    pub no_tty: bool,
    /// Print what was enforced and how it ended as JSON lines on standard error
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// The command and its arguments; an image's own when absent
    #[arg(
        required_unless_present = "root",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// `creel exec`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creel exec web -- ps aux")]
pub struct Exec {
    /// The sandbox
    pub name: String,
    /// Set a variable, or pass one on from here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<OsString>,
    /// Working directory inside
    #[arg(short = 'C', long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Give the command a terminal
    #[arg(short = 't', long = "tty", overrides_with = "no_tty")]
    pub tty: bool,
    /// Give the command no terminal
    #[arg(short = 'T', long = "no-tty")]
    pub no_tty: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Verbs that only choose their output.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel doctor`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creel doctor\n  creel doctor --posture -p agent.yaml")]
pub struct Doctor {
    /// Start a sandbox, try in it what must be impossible, and print what held
    #[arg(long)]
    pub posture: bool,
    /// Policy document of that sandbox, or preset:NAME; may be given more than once
    #[arg(short, long, value_name = "FILE|preset:NAME", requires = "posture")]
    pub policy: Vec<String>,
    /// Its workspace
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel stop`
#[derive(Debug, Args)]
pub struct Stop {
    /// The sandbox
    pub name: String,
    /// Seconds between the polite signal and the end
    #[arg(long, default_value_t = 10)]
    pub grace: u32,
    /// End it at once
    #[arg(long, conflicts_with = "grace")]
    pub now: bool,
}

/// Verbs about one sandbox.
#[derive(Debug, Args)]
pub struct Named {
    /// The sandbox
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The sandbox
    pub name: String,
    /// Go on as more happens
    #[arg(short, long)]
    pub follow: bool,
    /// Print the record's own JSON lines
    #[arg(long)]
    pub json: bool,
}

/// `creel image ...`
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Bring an image from a registry or a file into the store, or bring it up to date
    #[command(
        after_help = "Examples:\n  creel image pull debian:12\n  creel image pull oci-archive:image.tar"
    )]
    Pull {
        /// NAME or docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], tar:FILE
        image: String,
        /// Trust one more certificate authority
        #[arg(long, value_name = "CA.pem")]
        trust: Vec<PathBuf>,
    },
    /// List the images in the store
    Ls(Json),
    /// Forget an image and remove what nothing else needs of it
    Rm {
        /// As it was pulled, or as `creel image ls` shows it
        image: String,
    },
    /// Remove what no image needs, and what interrupted pulls have left
    Prune,
}

/// `creel internal-image`
#[derive(Debug, Args)]
pub struct TakeImage {
    /// What to bring
    pub source: creel_image::Source,
    /// Further authorities
    #[arg(long)]
    pub trust: Vec<PathBuf>,
}

/// `creel changes`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel changes                 the sandboxes with changes that wait\n  \
    creel changes web             what web changed, with the lines that differ\n  \
    creel changes web --list src  one line for each change beneath src\n  \
    creel changes web --json      the same for programs, with digests\n\n\
    A: added, M: modified, m: only its mode or attributes, D: deleted. `!` is what to look at twice.\n\
    Exit status: 0, also when nothing changed; 1 when nothing of that name waits; 125 when Creel fails.")]
pub struct Changes {
    /// The sandbox, running or not; lists all when absent
    pub name: Option<String>,
    /// Only these paths and what is beneath them, relative to the workspace
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// One line for each change, without the lines that differ
    #[arg(short, long)]
    pub list: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "list")]
    pub json: bool,
}

/// `creel apply`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel apply web               everything\n  \
    creel apply web src Cargo.toml\n  \
    creel apply web --overwrite   also where the workspace was changed meanwhile\n  \
    creel rollback web before-apply    undoes the last apply\n\n\
    All of it lands or none, also when it is interrupted: the next `creel` command finishes it or takes it back.\n\
    Where the workspace was changed since, texts are merged (three-way) when both sides changed different lines;\n\
    otherwise nothing is applied. Exit status: 0 applied; 1 nothing was applied; 125 when Creel fails.")]
pub struct Apply {
    /// The sandbox, which must have ended
    pub name: String,
    /// Only these paths and what is beneath them, relative to the workspace
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Replace what was changed in the workspace meanwhile
    #[arg(long)]
    pub overwrite: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel discard`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creel discard web\n\n\
    Snapshots and what the last apply replaced are forgotten, too. Exit status: 0 discarded; 1 nothing waits, or the\n\
    sandbox still runs.")]
pub struct Discard {
    /// The sandbox, which must have ended
    pub name: String,
}

/// `creel snapshot`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creel snapshot web\n  creel snapshot web tests-pass\n  creel snapshot web --list"
)]
pub struct Snapshot {
    /// The sandbox
    pub name: String,
    /// What to call it; a number when absent
    pub label: Option<String>,
    /// List the snapshots instead
    #[arg(short, long, conflicts_with = "label")]
    pub list: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel rollback`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel rollback web                 to the newest snapshot\n  \
    creel rollback web tests-pass\n  \
    creel rollback web before-apply    takes the last apply out of the workspace again\n\n\
    A snapshot is of what the sandbox changed; only `before-apply` touches the workspace.\n\
    Exit status: 0 done; 1 nothing was done; 125 when Creel fails.")]
pub struct Rollback {
    /// The sandbox, which must have ended
    pub name: String,
    /// The snapshot; the newest when absent
    pub label: Option<String>,
}

/// `creel policy ...`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check documents without running anything
    Check {
        /// Policy documents, or preset:NAME
        #[arg(required = true, value_name = "FILE|preset:NAME")]
        files: Vec<String>,
        /// The workspace that relative paths are read against
        #[arg(short, long, value_name = "DIR", default_value = ".")]
        workspace: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a policy answers to a request, a path, a program or a model call, and why
    Explain(Explain),
    /// Say what a policy allows: what can be read, written, run, reached, sent and spent
    Show(Overview),
    /// Hold a policy against cases: questions with the verdict that is expected
    Test(Test),
    /// Compare what two policies mean: what becomes allowed, what becomes denied, each with an example
    Diff(Diff),
    /// Prove that a policy never allows something, or show what it allows
    Prove(Prove),
    /// Lay policy documents out in the one way there is, with their comments
    Fmt(Fmt),
    /// Put another policy in force in a running sandbox, all or nothing
    #[command(after_help = "Example:\n  creel policy set web agent.yaml")]
    Set {
        /// The sandbox
        name: String,
        /// Policy documents, or preset:NAME
        #[arg(required = true, value_name = "FILE|preset:NAME")]
        files: Vec<String>,
        /// End what stands in the way (and name it)
        #[arg(long)]
        force: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the policy that is in force in a running sandbox
    Get {
        /// The sandbox
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the built-in policies, or print one
    Presets {
        /// The one to print
        name: Option<String>,
    },
    /// Print the JSON Schema of the language
    Schema,
}

/// `creel audit ...`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Show what was recorded
    #[command(after_help = "Examples:\n  creel audit show --refused\n  \
        creel audit show web --class http --host api.github.com --json")]
    Show(Show),
    /// Check that a record was not altered
    Verify {
        /// The record, its directory or a sandbox's name; the newest record when absent
        record: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `creel audit show`
#[derive(Debug, Args)]
pub struct Show {
    /// The record, its directory or a sandbox's name; the newest record when absent
    pub record: Option<String>,
    /// Only this kind: start, connection, request, dns, exec, model, policy, exit, finding
    #[arg(long)]
    pub class: Vec<String>,
    /// Only this host
    #[arg(long)]
    pub host: Option<String>,
    /// Only this program (path)
    #[arg(long)]
    pub program: Option<String>,
    /// Only what this rule decided
    #[arg(long)]
    pub rule: Option<String>,
    /// Only refusals
    #[arg(long)]
    pub refused: bool,
    /// Print the record's own JSON lines
    #[arg(long)]
    pub json: bool,
}

//! The arguments of the verbs that look at policies.

use clap::Args;
use std::path::PathBuf;

/// `creel policy explain`
#[derive(Debug, Args)]
#[command(after_help = "Questions:\n  \
    METHOD URL                     an HTTP request\n  \
    connect HOST[:PORT] [at ADDR]  a connection, and whether its name may lead to an address\n  \
    read PATH, write PATH          a file: absolute, from ~/, or from ./ (the workspace)\n  \
    exec PROGRAM [ARGUMENTS]       a program\n  \
    model NAME                     a model call\n\n\
    Examples:\n  \
    creel policy explain agent.yaml 'POST https://api.github.com/repos/a/b/issues' --from /usr/bin/gh\n  \
    creel policy explain agent.yaml 'connect db.acme.dev:5432 at 10.1.0.7'\n  \
    creel policy explain agent.yaml 'write ~/.ssh/config'\n  \
    creel policy explain agent.yaml 'exec /usr/bin/git push origin' --from /bin/sh\n  \
    creel policy explain agent.yaml --from-record web      what the last run of web was refused\n\n\
    Exit status: 0 allowed; 1 refused; with --from-record 0 when nothing that was refused is still refused;\n\
    125 when Creel fails.")]
pub struct Explain {
    /// Policy document, or preset:NAME
    #[arg(value_name = "FILE|preset:NAME")]
    pub file: String,
    /// What would be tried
    #[arg(required_unless_present = "from_record", value_name = "QUESTION")]
    pub question: Option<String>,
    /// The program that tries it; once more for what started it, nearest first. Without: a program that nobody can tell
    #[arg(long, value_name = "PROGRAM")]
    pub from: Vec<String>,
    /// Explain what a record says was refused: the record, its directory or a sandbox's name; the newest when absent
    #[arg(long, value_name = "RECORD", num_args = 0..=1, conflicts_with_all = ["question", "from"])]
    pub from_record: Option<Option<String>>,
    /// Only the event of this number
    #[arg(long, value_name = "NUMBER", requires = "from_record")]
    pub seq: Option<u64>,
    /// The workspace that relative paths are read against
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel policy show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel policy show agent.yaml\n  \
    creel policy show agent.yaml --table\n  \
    creel policy show agent.yaml preset:npm --json\n\n\
    Includes, defaults and denies are in it. What is not listed is refused.")]
pub struct Overview {
    /// Policy documents, or preset:NAME
    #[arg(required = true, value_name = "FILE|preset:NAME")]
    pub files: Vec<String>,
    /// The workspace that relative paths are read against
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print a table with the place of each line
    #[arg(long)]
    pub table: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "table")]
    pub json: bool,
}

/// `creel policy fmt`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel policy fmt agent.yaml team.yaml\n  \
    creel policy fmt --check *.yaml         names what is not laid out, and changes nothing\n  \
    creel policy fmt - < agent.yaml\n\n\
    Only the layout changes; comments stay, and a file whose meaning would change is left alone.\n\
    Exit status: 0; with --check 1 when a file is not laid out; 125 when a file cannot be.")]
pub struct Fmt {
    /// Files; `-` reads standard input and writes standard output
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Change nothing, and name the files that would change
    #[arg(long)]
    pub check: bool,
}

/// `creel policy test`
#[derive(Debug, Args)]
#[command(after_help = "A document of cases:\n  \
    policy: [agent.yaml]\n  \
    cases:\n    \
    - { ask: 'GET https://api.github.com/user', from: [/usr/bin/gh], expect: allowed, rule: github }\n    \
    - { ask: 'write ~/.ssh/config', expect: refused }\n\n\
    Examples:\n  \
    creel policy test cases.yaml\n  \
    creel policy test cases.yaml -p other.yaml --exercised\n\n\
    Exit status: 0 every case is as expected; 1 one is not; 2 with --exercised when all are, but a statement of the policy\n\
    is exercised by no case; 125 when Creel fails.")]
pub struct Test {
    /// Document of cases
    #[arg(value_name = "CASES.yaml")]
    pub cases: String,
    /// Policy document, or preset:NAME, in place of those that the cases name; may be given more than once
    #[arg(short, long, value_name = "FILE|preset:NAME")]
    pub policy: Vec<String>,
    /// Fail when a statement of the policy's own documents is exercised by no case
    #[arg(long)]
    pub exercised: bool,
    /// The workspace that relative paths are read against
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel policy diff`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creel policy diff old.yaml new.yaml\n  \
    creel policy diff main.yaml branch.yaml --quiet     a gate: nothing new is allowed\n\n\
    Not text but meaning, and exact: what is not told does not differ. Texts that mean the same do not differ at all.\n\
    Exit status: 0 nothing becomes allowed; 1 something does; 125 when Creel fails, or when the policies are too\n\
    large to be compared exactly.")]
pub struct Diff {
    /// The policy before, or preset:NAME
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The policy after, or preset:NAME
    #[arg(value_name = "NEW")]
    pub new: String,
    /// The workspace that relative paths are read against
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print nothing; the exit status tells
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `creel policy prove`
#[derive(Debug, Args)]
#[command(after_help = "Claims:\n  \
    METHODS [PATH] to WHERE        requests: `POST to any host but api.acme.dev`\n  \
    connect to WHERE [at ADDRS]    connections, also by where their names may lead\n  \
    read PATH, write PATH          files, with all beneath them; patterns may be used\n  \
    exec PROGRAM [ARGUMENTS]       programs\n\n\
    WHERE is `any host` or targets, then `but` targets; without a port every port is meant. A claim about requests,\n\
    connections or programs may end with `from PROGRAM`.\n\n\
    Examples:\n  \
    creel policy prove agent.yaml --never 'POST to any host but api.acme.dev'\n  \
    creel policy prove agent.yaml --never 'connect to any host at 169.254.169.254' --never 'write ~/.ssh'\n\n\
    Exit status: 0 every claim holds; 1 one does not; 125 when Creel fails, or when the policy is too large to be sure.")]
pub struct Prove {
    /// Policy document, or preset:NAME
    #[arg(value_name = "FILE|preset:NAME")]
    pub file: String,
    /// What must never be allowed; may be given more than once
    #[arg(long, required = true, value_name = "CLAIM")]
    pub never: Vec<String>,
    /// The workspace that relative paths are read against
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

//! One sandbox: makes a plan from a policy, wires the jail, the proxy, inference and the record together, owns the
//! life cycle, and applies live changes. The only place where the parts meet.
//!
//! It decides nothing that a policy decides, opens no connection, and knows no syscall: each of those has a crate
//! of its own, and this one is the wiring between them.

pub mod acts;
mod apart;
mod brake;
mod change;
pub mod client;
mod control;
mod credentials;
mod devices;
pub mod doctor;
mod environment;
mod etc;
mod exit;
pub mod finisher;
mod jobs;
mod journal;
mod limits;
mod message;
mod models;
pub mod mounts;
pub mod order;
mod plan;
pub mod policies;
mod prepare;
mod reached;
pub mod records;
pub mod relay;
pub mod root;
mod survivor;
pub mod sweeper;
pub mod terminal;
pub mod trial;
mod warden;
mod watch;
mod witness;

/// The exit code of Creel's own failure.
pub const EXIT_OWN_FAILURE: u8 = 125;

use order::Order;
use std::io;
use std::path::PathBuf;

/// Why a command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workspace cannot be one.
    #[error("{} cannot be the workspace: {why}", path.display())]
    Workspace {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No policy.
    #[error(transparent)]
    Policy(#[from] policies::CompileError),
    /// No plan.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// No place for the record.
    #[error(transparent)]
    Records(#[from] records::RecordsError),
    /// No record.
    #[error("the record cannot be written, so nothing is run")]
    Record(#[source] creel_audit::RecordError),
    /// No record, later.
    #[error("the record cannot be written, so nothing is run")]
    Journal(#[source] creel_proxy::JournalError),
    /// The name does not do.
    #[error(transparent)]
    Name(#[from] creel_types::NameError),
    /// Another sandbox has the name.
    #[error("a sandbox named `{0}` is running already")]
    NameTaken(String),
    /// No control socket.
    #[error("cannot open the control socket")]
    Socket(#[source] io::Error),
    /// The control socket was taken twice.
    #[error("the control socket is gone")]
    NoSocket,
    /// No random numbers.
    #[error("the kernel gives no random numbers")]
    Random(#[source] rustix::io::Errno),
    /// An authority that cannot be read.
    #[error("cannot read the authority {}", path.display())]
    TrustFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An authority that is none.
    #[error("an upstream authority cannot be used")]
    Trust(#[source] creel_net::trust::TrustError),
    /// No authority of the sandbox's own.
    #[error("cannot make the sandbox's certificate authority")]
    Authority(#[source] creel_net::authority::AuthorityError),
    /// What of the host's settings is nobody else's business cannot be told from the rest.
    #[error("cannot look through /etc for what others may not read, so nothing of it is shown")]
    Private(#[source] io::Error),
    /// No such device.
    #[error(transparent)]
    Device(#[from] devices::DeviceError),
    /// No root.
    #[error(transparent)]
    Root(#[from] root::RootError),
    /// Root without capabilities cannot give its own id to a namespace.
    #[error(
        "`process.nested` needs an ordinary user: the kernel lets nobody map root's id without a right that Creel never gives"
    )]
    NestedRoot,
    /// More is asked for than can be done without namespaces.
    #[error(transparent)]
    Apart(#[from] apart::ApartError),
    /// Nothing to run.
    #[error("no command is given, and {0} names none")]
    NoCommand(String),
    /// A model backend is not usable.
    #[error(transparent)]
    Models(#[from] models::ModelsError),
    /// A credential is not usable.
    #[error(transparent)]
    Credential(#[from] credentials::CredentialError),
    /// The view of the workspace cannot be lent.
    #[error("the changes of this sandbox cannot be kept for review")]
    Review(#[from] creel_review::ReviewError),
    /// The sandbox did not start.
    #[error(transparent)]
    Jail(#[from] creel_jail::JailError),
    /// No event loop.
    #[error("cannot start the warden")]
    Runtime(#[source] io::Error),
    /// The exit cannot be parted from the warden.
    #[error("cannot start the sandbox's exit")]
    Exit(#[source] creel_kernel::SysError),
    /// The exit is not confined, so it serves nothing.
    #[error("the sandbox's exit does not serve: {0}")]
    ExitSilent(String),
    /// The terminal cannot be lent.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    /// Init is gone before the command began.
    #[error("the sandbox's init cannot be told to begin")]
    Init(#[source] creel_kernel::SysError),
}

impl RunError {
    /// What to try, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Review(creel_review::ReviewError::OtherWorkspace { .. }) => {
                Some("apply or discard them first, or use another --name")
            }
            Self::Review(creel_review::ReviewError::Replaced(_)) => {
                Some("creel discard NAME forgets them; or use another --name")
            }
            Self::Jail(error) => error.hint().or(Some("`creel doctor` says what this machine can enforce")),
            _ => None,
        }
    }
}

/// Runs a command in a sandbox to its end; gives its exit code as a shell says it.
///
/// Call it before any other thread exists: the sandbox's first process is a clone of the caller. It is cloned first of
/// all, so that it has a copy of no policy and no key, and sets up its network while the rest is prepared.
pub fn run(order: Order) -> Result<i32, RunError> {
    let stdio = terminal::standard().map_err(RunError::Terminal)?;
    let begun = creel_jail::begin(stdio);
    // Before a control group is made, so that none stays when this process is killed between two steps.
    let sweeper = begun.as_ref().map_or(Ok(None), |begun| sweeper::start(&begun.places()));
    // What is wrong with the order is worth more to the user than what is wrong with the machine.
    let (mut prepared, plan) = prepare::prepare(order)?;
    let (begun, sweeper) = match prepared.begun.take() {
        None => (begun, sweeper),
        Some(confined) => {
            drop((begun, sweeper));
            let sweeper = sweeper::start(&confined.places());
            (Ok(confined), sweeper)
        }
    };
    match start(begun, &plan).and_then(|started| Ok((started, sweeper.map_err(RunError::Runtime)?))) {
        Ok((started, sweeper)) => {
            drop(plan);
            warden::live(prepared, started, sweeper)
        }
        Err(error) => {
            // Nothing ran: a view that nobody wrote to leaves nothing behind.
            let _ = prepared.lent.take().map(creel_review::Lent::end);
            Err(error)
        }
    }
}

/// From a plan to a sandbox that has answered.
fn start(
    begun: Result<creel_jail::Begun, creel_jail::JailError>,
    plan: &creel_api::plan::Plan,
) -> Result<creel_jail::Started, RunError> {
    Ok(begun?.give(plan)?.wait()?)
}

/// Ends this process at once, after a run: what it still holds goes back to the kernel without being put in order
/// first, which costs a millisecond.
pub fn leave(code: u8) -> ! {
    let _ = io::Write::flush(&mut io::stdout());
    creel_kernel::process::exit_now(code.into())
}

//! Everything that is made before the first process of a sandbox exists: names, policy, certificates, record, plan.

use crate::apart::{self, Apart};
use crate::control::Seed;
use crate::credentials;
use crate::devices;
use crate::environment::{self, Sources as EnvSources};
use crate::etc::{self, Sources as EtcSources, User};
use crate::order::{Order, Voice};
use crate::plan::{self, Reserved};
use crate::root::Base;
use crate::{RunError, policies, records};
use creel_api::control::{Document, Status, socket_name};
use creel_api::enforced::Enforced;
use creel_api::plan::{Place, Plan, Tier, What, WindowSize};
use creel_audit::{About, Record};
use creel_jail::Begun;
use creel_net::authority::Authority;
use creel_net::bundle;
use creel_net::trust::Trust;
use creel_policy::{Mode, Policy, Resolution};
use creel_proxy::Held;
use creel_review::{Lent, Shelf};
use creel_types::{SandboxId, SandboxName, Size};
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Size of each private directory when the policy does not say.
const SCRATCH: Size = Size(4 << 30);

/// The host's own settings.
const HOSTS: &str = "/etc";

/// What a warden lives by.
pub struct Prepared {
    /// The sandbox's name.
    pub name: SandboxName,
    /// The identity of this run.
    pub id: SandboxId,
    /// The workspace on the host.
    pub workspace: PathBuf,
    /// The policy's documents.
    pub documents: Vec<Document>,
    /// The operator's own mappings.
    pub resolve: Vec<Resolution>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// What its credentials stand for.
    pub credentials: Vec<Held>,
    /// The record.
    pub record: Arc<Record>,
    /// The sandbox's certificate authority.
    pub authority: Arc<Authority>,
    /// Who vouches for upstream servers.
    pub trust: Arc<Trust>,
    /// Who runs inside.
    pub user: User,
    /// Creel's own state.
    pub state: PathBuf,
    /// What stands where.
    pub places: Vec<Place>,
    /// Where what is written under review is, or would be, kept.
    pub layer: PathBuf,
    /// The view that the sandbox works on, when it is under review.
    pub lent: Option<Lent>,
    /// Where the command begins.
    pub cwd: PathBuf,
    /// Where the sandbox's own files are, when it has no namespaces.
    pub apart: Option<Apart>,
    /// Its first process, when it has none.
    pub begun: Option<Begun>,
    /// The command's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The command.
    pub command: Vec<OsString>,
    /// How much is said.
    pub voice: Voice,
    /// Where its system directories come from; kept, as it holds an image's layers.
    pub base: Base,
    /// The control socket, until it is served.
    pub socket: Option<UnixListener>,
}

/// Prepares a run; nothing is left behind when this fails.
pub fn prepare(mut order: Order) -> Result<(Prepared, Plan), RunError> {
    let private = look_for_private(&order);
    let workspace = workspace(&order.workspace)?;
    if order.root.is_some() {
        // What is wrong with it is better said before an image is brought.
        policies::compile(&order.documents, &workspace, &order.resolve)?;
    }
    let base = Base::find(order.root.clone(), &order.trust)?;
    let policy = policies::compile_for(&order.documents, &workspace, &order.resolve, base.links())?;
    let (private, begun) = begin(&policy, private)?;
    order.command = command(order.command, &base)?;
    let id = identity()?;
    let name = order.name.clone().map_or_else(|| name_after(&order.command, id), Ok)?;
    let socket = claim(&name)?;
    let user = whoami()?;
    if policy.process().nested() && user.uid == 0 {
        return Err(RunError::NestedRoot);
    }
    let credentials = credentials::find(&policy)?;
    let trust = trust(&order.trust)?;
    let authority = Authority::new(name.as_str()).map_err(RunError::Authority)?;
    let state = records::state()?;
    let record_dir = records::make(order.record.as_deref(), &name, id)?;
    let images = creel_image::Store::place().ok();
    let shelf = Shelf::at(&state);
    let layer = shelf.layer(name.as_str());
    let reserved = Reserved {
        state: &state,
        record: &record_dir,
        images: images.as_deref(),
        before: &[],
        layer: &layer,
    };
    let places = plan::places(policy.filesystem(), &user, &reserved)?;
    let (devices, libraries) = granted(&policy, &base)?;
    let about = About { name: name.clone(), id, version: env!("CARGO_PKG_VERSION").to_owned() };
    let record = Record::create(&record_dir, about).map_err(RunError::Record)?;
    let mut env =
        environment((&order, &credentials::variables(&policy, &credentials)), &base, &user, &name, &places);
    if !libraries.is_empty() {
        devices::add_to_search(&mut env);
    }
    let private = private.found(Path::new(HOSTS)).map_err(RunError::Private)?;
    let mut plan = Plan {
        tier: Tier::Namespaces,
        hostname: name.to_string(),
        root: base.plan(),
        etc: etc(&base, &name, &user, (&authority, &trust), private),
        scratch: policy.process().limits().disk.unwrap_or(SCRATCH),
        cwd: cwd(&policy, &base, &workspace, &user),
        env: env.clone(),
        command: order.command.clone(),
        terminal: order.terminal.then(window),
        limits: policy.process().limits().clone(),
        nested: policy.process().nested(),
        out_of_reach: vec![state.clone(), record_dir.clone(), record.path().to_owned()],
        // The driver's libraries are no grant: a live change of the policy leaves them alone.
        places: devices::beside(libraries, &places),
        devices,
    };
    let apart = stand_apart(&policy, &places, &mut plan, &user.home)?;
    let (env, cwd) = (plan.env.clone(), plan.cwd.clone());
    let lent = lend(&shelf, &name, &places)?;
    let prepared = Prepared {
        name,
        id,
        workspace,
        documents: order.documents,
        resolve: order.resolve,
        policy: Arc::new(policy),
        credentials,
        record: Arc::new(record),
        authority: Arc::new(authority),
        trust: Arc::new(trust),
        user,
        state,
        places,
        layer,
        lent,
        env,
        cwd,
        apart,
        begun,
        command: order.command,
        voice: order.voice,
        base,
        socket: Some(socket),
    };
    Ok((prepared, plan))
}

/// The first process of a sandbox without namespaces: before any key is read or made, so that it has a copy of none, and
/// while there is one thread.
fn begin(policy: &Policy, private: Looking) -> Result<(Looking, Option<Begun>), RunError> {
    match policy.tier() {
        Tier::Namespaces => Ok((private, None)),
        Tier::Confined => {
            let over = private.found(Path::new(HOSTS)).map_err(RunError::Private)?;
            Ok((Looking::Over(over), Some(begin_confined()?)))
        }
    }
}

/// The devices that the policy grants, and the driver's libraries where the root has none.
fn granted(policy: &Policy, base: &Base) -> Result<(Vec<PathBuf>, Vec<Place>), RunError> {
    let devices = devices::nodes(policy.devices().gpu(), Path::new("/dev"))?;
    let drivers = !devices.is_empty() && base.is_own();
    let libraries = if drivers { devices::libraries(Path::new("/")) } else { Vec::new() };
    Ok((devices, libraries))
}

/// Without namespaces the plan stands on the host's own ground; refused where the policy asks for more.
fn stand_apart(
    policy: &Policy,
    places: &[Place],
    plan: &mut Plan,
    home: &Path,
) -> Result<Option<Apart>, RunError> {
    match policy.tier() {
        Tier::Namespaces => Ok(None),
        Tier::Confined => {
            apart::fits(policy, places, &plan.root)?;
            let apart = Apart::stand(places, home)?;
            apart.settle(plan, home)?;
            Ok(Some(apart))
        }
    }
}

/// The command that is given, or the one that an image names.
fn command(given: Vec<OsString>, base: &Base) -> Result<Vec<OsString>, RunError> {
    if !given.is_empty() {
        return Ok(given);
    }
    let named: Vec<_> = base.process().command().into_iter().map(OsString::from).collect();
    if named.is_empty() { Err(RunError::NoCommand(base.summary())) } else { Ok(named) }
}

impl Prepared {
    /// What further commands and `status` start from.
    pub fn seed(&self) -> Seed {
        Seed {
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            status: Status {
                name: self.name.to_string(),
                id: self.id.to_string(),
                warden: std::process::id(),
                init: 0,
                started: now(),
                command: self.command.iter().map(|c| c.to_string_lossy().into_owned()).collect(),
                workspace: self.workspace.clone(),
                generation: 1,
                mode: mode(&self.policy).to_owned(),
                record: self.record.path().to_owned(),
                connections: 0,
                paused: false,
                enforced: Enforced::default(),
            },
        }
    }
}

/// The layer of a workspace under review, with what waits in it from earlier runs.
fn lend(shelf: &Shelf, name: &SandboxName, places: &[Place]) -> Result<Option<Lent>, RunError> {
    let under_review = places.iter().find_map(|place| match &place.what {
        What::Review { source, .. } => Some(source),
        _ => None,
    });
    Ok(under_review.map(|workspace| shelf.lend(name.as_str(), workspace)).transpose()?)
}

/// The first process of a sandbox without namespaces. Whoever ends there falls to this process, and to no other.
fn begin_confined() -> Result<Begun, RunError> {
    creel_kernel::process::adopt_orphans().map_err(RunError::Exit)?;
    let stdio = crate::terminal::standard().map_err(RunError::Terminal)?;
    Ok(creel_jail::begin_as(Tier::Confined, stdio)?)
}

/// The policy's mode as a word.
pub fn mode(policy: &Policy) -> &'static str {
    match policy.mode() {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

/// A workspace is a directory, and neither everything nor the operator's whole home.
fn workspace(asked: &Path) -> Result<PathBuf, RunError> {
    let bad = |why: String| RunError::Workspace { path: asked.to_owned(), why };
    let path = asked.canonicalize().map_err(|error| bad(error.to_string()))?;
    if !path.is_dir() {
        return Err(bad("it is no directory".into()));
    }
    let home = policies::home().and_then(|home| home.canonicalize().ok());
    if home.is_some_and(|home| home.starts_with(&path)) {
        return Err(
            bad("it is, or holds, your home directory; choose a project with --workspace DIR".into()),
        );
    }
    Ok(path)
}

/// A new identity.
pub fn identity() -> Result<SandboxId, RunError> {
    let mut bits = [0; 16];
    match rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => Ok(SandboxId::from_random(bits)),
        Ok(_) => Err(RunError::Random(rustix::io::Errno::IO)),
        Err(errno) => Err(RunError::Random(errno)),
    }
}

/// `bash-3f2a`: the command's name as far as it fits, and a few digits that tell two of them apart.
fn name_after(command: &[OsString], id: SandboxId) -> Result<SandboxName, RunError> {
    let program =
        command.first().and_then(|c| Path::new(c).file_name()).unwrap_or_default().to_string_lossy();
    let stem: String = program.to_lowercase().chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let stem = if stem.is_empty() { "sandbox" } else { &stem };
    Ok(format!("{stem}-{}", &id.to_string()[..4]).parse()?)
}

/// Takes the sandbox's name: nobody else has it while this socket lives.
fn claim(name: &SandboxName) -> Result<UnixListener, RunError> {
    let uid = rustix::process::getuid().as_raw();
    SocketAddr::from_abstract_name(socket_name(uid, name.as_str()))
        .and_then(|addr| UnixListener::bind_addr(&addr))
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => RunError::NameTaken(name.to_string()),
            _ => RunError::Socket(source),
        })
}

fn whoami() -> Result<User, RunError> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let home = policies::home().ok_or(policies::CompileError::NoHome)?;
    Ok(User { name: login(uid), uid, gid, home })
}

/// The login name that `/etc/passwd` gives the user, else `user`: it goes into a file of one line, so it must be plain.
fn login(uid: u32) -> String {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found
        .filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
        .unwrap_or_else(|| "user".into())
}

fn trust(files: &[PathBuf]) -> Result<Trust, RunError> {
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map(|bytes| (path.display().to_string(), bytes))
            .map_err(|source| RunError::TrustFile { path: path.clone(), source })
    };
    let extra = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Trust::new(&extra).map_err(RunError::Trust)
}

fn environment(
    (order, credentials): (&Order, &[(OsString, OsString)]),
    base: &Base,
    user: &User,
    name: &SandboxName,
    places: &[Place],
) -> Vec<(OsString, OsString)> {
    let system = ["/usr", "/bin", "/sbin", "/opt"];
    let visible = |dir: &Path| {
        system.iter().any(|s| dir.starts_with(s))
            || places.iter().any(|p| dir.starts_with(&p.at) && !matches!(p.what, What::Scratch))
    };
    environment::build(&EnvSources {
        operator: &|key| std::env::var_os(key),
        credentials,
        extra: &order.env,
        home: &user.home,
        user: &user.name,
        name: name.as_str(),
        image: base.is_own().then_some(&*base.process().env),
        visible: &visible,
    })
}

fn etc(
    base: &Base,
    name: &SandboxName,
    user: &User,
    (authority, trust): (&Authority, &Trust),
    private: Vec<PathBuf>,
) -> Vec<creel_api::plan::Injected> {
    let mut authorities = vec![authority.der().clone()];
    authorities.extend(trust.extra().iter().cloned());
    // An image without a bundle verifies what is passed through unopened with the host's.
    let hosts = || bundle::find(Path::new("/"), &bundle::PEM_PLACES).map(|(_, bytes)| bytes);
    let machine = bundle::PEM_PLACES.iter().find_map(|place| base.read(Path::new(place))).or_else(hosts);
    let pem = bundle::pem(machine.as_deref(), &authorities);
    let java = etc::JAVA_STORES.iter().find_map(|place| base.read(&Path::new("/etc").join(place)));
    let java = java.map(|store| bundle::java(Some(&store), machine.as_deref(), &authorities));
    etc::files(&EtcSources {
        hostname: name.as_str(),
        user,
        bundle: &pem,
        java: java.as_deref(),
        has: &|place| base.has(&Path::new("/etc").join(place)),
        private,
    })
}

/// A look through the host's `/etc` for what has to be hidden, on a thread of its own: it takes root longer than
/// anything else here, and no thread is in the way once the sandbox's first process is there.
enum Looking {
    /// Nothing has to be hidden from a user who cannot read it; and an image holds nothing of the host's.
    Needless,
    /// It goes on.
    Beside(std::thread::JoinHandle<io::Result<Vec<PathBuf>>>),
    /// There is no thread to be had.
    Later,
    /// It is over, with what was found.
    Over(Vec<PathBuf>),
}

impl Looking {
    /// What was found; looks itself where nobody did to the end, as what is not looked for would be shown.
    fn found(self, system: &Path) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Needless => Ok(Vec::new()),
            Self::Beside(thread) => thread.join().unwrap_or_else(|_| etc::private(system)),
            Self::Later => etc::private(system),
            Self::Over(found) => Ok(found),
        }
    }
}

fn look_for_private(order: &Order) -> Looking {
    if !rustix::process::getuid().is_root() || order.root.is_some() {
        return Looking::Needless;
    }
    let look = || etc::private(Path::new(HOSTS));
    std::thread::Builder::new().name("etc".into()).spawn(look).map_or(Looking::Later, Looking::Beside)
}

/// The workspace where the policy grants it, else where an image wants to be, else the home inside.
fn cwd(policy: &Policy, base: &Base, workspace: &Path, user: &User) -> PathBuf {
    let wanted = Path::new(&base.process().working_dir);
    match policy.filesystem().access(workspace) {
        Some(creel_policy::Access::Read | creel_policy::Access::Review | creel_policy::Access::Write) => {
            workspace.to_owned()
        }
        _ if wanted.is_absolute() => wanted.to_owned(),
        _ => user.home.clone(),
    }
}

fn window() -> WindowSize {
    let (rows, cols) = crate::terminal::size(rustix::stdio::stdout());
    WindowSize { rows, cols }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

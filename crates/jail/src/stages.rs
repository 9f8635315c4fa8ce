//! The order of confinement, as types: each stage is made by the one before and by nothing else, and only the last
//! one can run a command.

use crate::answer::{self, Ready};
use crate::assignment::{self, Assignment};
use crate::command::Start;
use crate::network::{self, Network};
use crate::posture::{self, Attempt};
use crate::walls::{Wall, stands};
use crate::{JailError, NetOptions, Spaces, Step, domain, filter, init, root};
use creel_api::plan::{Plan, Tier, WindowSize};
use creel_kernel::landlock::Domain;
use creel_kernel::{Named, SysError, process, pty, seccomp};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What the warden gives its child.
pub(crate) struct Birth {
    pub tier: Tier,
    pub link: OwnedFd,
    pub stdio: [OwnedFd; 3],
    /// The caller's ids, which stay the same inside.
    pub uid: u32,
    pub gid: u32,
    pub net: NetOptions,
}

/// In new namespaces, with an identity, and with nothing of the warden's but the link and the standard descriptors.
struct Unshared {
    stdio: [OwnedFd; 3],
    spaces: Spaces,
}

/// In no namespace of its own: with sockets on the host's loopback that the warden connects every connection to, and as
/// the one to whom everybody below falls.
struct Standing {
    stdio: [OwnedFd; 3],
    network: Network,
}

/// With a network that leads to the proxy only.
struct Wired {
    before: Unshared,
    network: Network,
}

/// With a file tree that holds what the plan says, and nothing else.
struct Rooted {
    before: Wired,
    tree: root::Tree,
    terminal: Option<Terminal>,
}

/// Without capabilities, in a Landlock domain, behind the filter.
struct Confined {
    start: Start,
    /// What is tried before the command runs.
    attempts: Vec<Attempt>,
    /// A writable mount outside the tree, which only Landlock closes; none where there is no tree of its own.
    hatch: Option<OwnedFd>,
}

struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

/// The child's life; it answers on the link, serves as init, and ends the process.
pub(crate) fn live(birth: Birth) -> ! {
    // A panic must not unwind into the frames that this process copied from the warden.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| be_born(birth)));
    process::exit_now(if outcome.is_ok() { 0 } else { 70 })
}

fn be_born(birth: Birth) {
    // Where the link itself fails, the warden sees it end.
    let Ok((link, birth)) = leave_behind(birth) else { return };
    match confine(birth, &link) {
        Ok(confined) => {
            // Where this fails, the warden hears nothing and does not start.
            if let Ok(start) = confined.prove(&link) {
                init::serve(&link, start);
            }
        }
        Err(error) => {
            let _ = answer::send_failure(&link, &error);
        }
    }
}

/// What is left of [`Birth`] when the link stands apart.
struct Born {
    tier: Tier,
    stdio: [OwnedFd; 3],
    uid: u32,
    gid: u32,
    net: NetOptions,
}

/// Closes every descriptor of the warden's. The link and the standard descriptors move up first, out of the way of
/// the numbers 0 to 2, which init fills with nothing later.
fn leave_behind(birth: Birth) -> Result<(OwnedFd, Born), SysError> {
    process::die_with_parent()?;
    process::forget_environment(&[]);
    process::forget_arguments();
    let up = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).named("fcntl", "F_DUPFD_CLOEXEC");
    let link = up(&birth.link)?;
    let [input, output, errors] = &birth.stdio;
    let stdio = [up(input)?, up(output)?, up(errors)?];
    let keep: Vec<i32> = stdio.iter().chain([&link]).map(AsRawFd::as_raw_fd).collect();
    let born = Born { tier: birth.tier, stdio, uid: birth.uid, gid: birth.gid, net: birth.net };
    // The old ones are closed with the rest, by number; their owners must not close those numbers again.
    std::mem::forget((birth.link, birth.stdio));
    process::close_all_but(&keep)?;
    Ok((link, born))
}

fn confine(born: Born, link: &OwnedFd) -> Result<Confined, JailError> {
    if born.tier == Tier::Confined {
        let standing = Standing::among(born)?;
        let assignment = assignment::receive(link)?;
        creel_kernel::cgroup::enter(&assignment.doors).map_err(JailError::step(Step::Limits))?;
        return standing.confine(assignment, link);
    }
    let net = born.net;
    let wired = Unshared::enter(born)?.wire(net)?;
    let assignment = assignment::receive(link)?;
    creel_kernel::cgroup::enter(&assignment.doors).map_err(JailError::step(Step::Limits))?;
    wired.root(&assignment)?.confine(assignment, link)
}

impl Unshared {
    fn enter(born: Born) -> Result<Self, JailError> {
        let failed = JailError::step(Step::Namespaces);
        process::map_self(born.uid, born.gid).map_err(&failed)?;
        // Init's `/proc` files are closed to the outside later, so these are opened now.
        let spaces = open_spaces().map_err(&failed)?;
        Ok(Self { stdio: born.stdio, spaces })
    }

    fn wire(self, options: NetOptions) -> Result<Wired, JailError> {
        Ok(Wired { network: network::set_up(options)?, before: self })
    }
}

impl Standing {
    fn among(born: Born) -> Result<Self, JailError> {
        let failed = JailError::step(Step::Confinement);
        // When the warden ends, init has to end everybody else first: it hears it by the link.
        process::outlive_parent().map_err(&failed)?;
        process::adopt_orphans().map_err(&failed)?;
        Ok(Self { stdio: born.stdio, network: network::listen_on_loopback()? })
    }

    fn confine(self, assignment: Assignment, link: &OwnedFd) -> Result<Confined, JailError> {
        let plan = &assignment.plan;
        let failed = JailError::step(Step::Confinement);
        if plan.tier != Tier::Confined {
            return Err(JailError::plan("tier", "it was begun without namespaces"));
        }
        let terminal = open_terminal(plan)?;
        let (master, slave) = terminal.map(|t| (t.master, t.slave)).unzip();
        let start = Start::new(plan, self.stdio, slave)?;
        silence().map_err(&failed)?;
        process::renounce().map_err(&failed)?;
        let domain = domain::confine_alone(plan)?;
        process::forbid_inspection().map_err(&failed)?;
        let program = filter::confined().map_err(|e| failed(SysError::new("seccomp", e, Errno::INVAL)))?;
        let notify = seccomp::install_with_listener(&program).map_err(&failed)?;
        let ready = ready(domain, self.network, Outward { notify, inside: None, terminal: master });
        answer::send_ready(link, &ready).map_err(JailError::step(Step::Answer))?;
        Ok(Confined { start, attempts: assignment.attempts, hatch: None })
    }
}

fn open_terminal(plan: &Plan) -> Result<Option<Terminal>, JailError> {
    let open = |size: WindowSize| -> Result<Terminal, JailError> {
        let (master, slave) = pty::open(size.rows, size.cols).map_err(JailError::step(Step::Terminal))?;
        Ok(Terminal { master, slave })
    };
    plan.terminal.map(open).transpose()
}

fn open_spaces() -> Result<Spaces, SysError> {
    let open = |name: &str| {
        let path = format!("/proc/self/ns/{name}");
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named("open", &path)
    };
    Ok(Spaces { user: open("user")?, mount: open("mnt")?, pid: open("pid")? })
}

impl Wired {
    fn root(self, assignment: &Assignment) -> Result<Rooted, JailError> {
        let plan = &assignment.plan;
        rustix::system::sethostname(plan.hostname.as_bytes())
            .named("sethostname", &plan.hostname)
            .map_err(JailError::step(Step::Namespaces))?;
        let tree = root::build(assignment)?;
        let terminal = open_terminal(plan)?;
        Ok(Rooted { before: self, tree, terminal })
    }
}

impl Rooted {
    fn confine(self, assignment: Assignment, link: &OwnedFd) -> Result<Confined, JailError> {
        let plan = &assignment.plan;
        let failed = JailError::step(Step::Confinement);
        let Wired { before: Unshared { stdio, spaces }, network } = self.before;
        let (master, slave) = self.terminal.map(|t| (t.master, t.slave)).unzip();
        let start = Start::new(plan, stdio, slave)?;
        silence().map_err(&failed)?;
        if stands(Wall::Capabilities) {
            process::drop_privileges().map_err(&failed)?;
        }
        let domain = if stands(Wall::Landlock) { domain::confine(plan)? } else { Domain { abi: 0 } };
        if stands(Wall::Closedness) {
            process::forbid_inspection().map_err(&failed)?;
        }
        let program =
            filter::program(plan.nested).map_err(|e| failed(SysError::new("seccomp", e, Errno::INVAL)))?;
        let notify = seccomp::install_with_listener(&program).map_err(&failed)?;
        let scaffold = self.tree.scaffold;
        let hatch = scaffold.try_clone().named("dup", "the scaffold").map_err(&failed)?;
        let ready =
            ready(domain, network, Outward { notify, inside: Some((scaffold, spaces)), terminal: master });
        answer::send_ready(link, &ready).map_err(JailError::step(Step::Answer))?;
        Ok(Confined { start, attempts: assignment.attempts, hatch: Some(hatch) })
    }
}

impl Confined {
    /// Tries what must be impossible and tells the warden; what is needed for that only ends here.
    fn prove(self, link: &OwnedFd) -> Result<Start, SysError> {
        posture::probe(&self.attempts, &self.start.manner, self.hatch.as_ref(), link)?;
        Ok(self.start)
    }
}

/// Init's own standard descriptors are the warden's until here; from here on they are nothing.
fn silence() -> Result<(), SysError> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .named("open", "/dev/null")?;
    (0..3).try_for_each(|number| process::dup_to(null.as_fd(), number))
}

/// Descriptors that leave the sandbox.
struct Outward {
    notify: OwnedFd,
    inside: Option<(OwnedFd, Spaces)>,
    terminal: Option<OwnedFd>,
}

fn ready(domain: Domain, network: Network, outward: Outward) -> Ready {
    Ready {
        redirect: network.redirect,
        v6: network.v6,
        landlock_abi: domain.abi,
        tcp: network.tcp,
        dns: network.dns,
        notify: outward.notify,
        inside: outward.inside,
        terminal: outward.terminal,
    }
}

//! The compiled policy.

use crate::network::{HOST_SERVICES, Network, reach};
use crate::{
    Admission, Backend, Call, Connect, Contents, Credential, Devices, Execute, Family, Filesystem, Handling,
    Head, Inference, Layer, Message, Permit, Process, Reason, Refusal, Request, Resolution,
};
use creel_types::{Host, HostName, RuleId, Tier};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a refusal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is carried out.
    #[default]
    Enforce,
    /// It is recorded and overlooked, except where an address is refused (see [`Policy::overlook`]).
    Observe,
}

/// One immutable compiled policy; a value that exists is valid.
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) name: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) tier: Tier,
    pub(crate) network: Network,
    pub(crate) filesystem: Filesystem,
    pub(crate) process: Process,
    pub(crate) devices: Devices,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) inference: Inference,
    pub(crate) resolve: Vec<Resolution>,
    pub(crate) unreadable: Option<String>,
}

impl Policy {
    /// The policy that stands in for one that cannot be read: everything is refused, with the reason.
    pub fn refuse_all(reason: impl Into<String>) -> Self {
        Self { unreadable: Some(reason.into()), ..Self::default() }
    }

    /// The policy's own name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What a refusal does.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// By which means the sandbox is held; every weakness of it is accepted.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The filesystem layer.
    pub fn filesystem(&self) -> &Filesystem {
        &self.filesystem
    }

    /// The process layer.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Devices beside the harmless ones.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The inference layer.
    pub fn inference(&self) -> &Inference {
        &self.inference
    }

    /// Whether the program may connect to this host and port. Allocates nothing when it may.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn connect(&self, ask: &Connect<'_>) -> Result<Admission, Refusal> {
        self.readable(|| format!("{}:{}", ask.host, ask.port))?;
        self.network.connect(ask)
    }

    /// Whether anything is said about what may be executed; if not, everything may, and nobody need be asked.
    pub fn judges_exec(&self) -> bool {
        self.unreadable.is_some() || self.process.exec.are_said()
    }

    /// Whether the program may be executed. A script is asked about twice: as itself, and as its interpreter. Allocates
    /// nothing when it may. The rule is `None` where the policy says nothing about programs, or only denies.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn execute(&self, ask: &Execute<'_>) -> Result<Option<RuleId>, Refusal> {
        if let Some(why) = &self.unreadable {
            return Err(ask.refuse(Reason::Unreadable(why.clone())));
        }
        self.process.exec.judge(ask)
    }

    /// Whether the request may be made. Asked for every request, also on a connection that is kept alive. Allocates
    /// nothing when it may. Calls to the model router are not asked for here. A request is refused here when it hangs
    /// on what is in it: whoever can read that asks [`Policy::head`].
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn request(&self, ask: &Request<'_>) -> Result<RuleId, Refusal> {
        self.readable(|| {
            format!("{} {}:{}{}", ask.method, ask.connect.host, ask.connect.port, ask.path.path())
        })?;
        self.network.request(ask)
    }

    /// The credentials, in the order in which they were written.
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// Which credentials are bound to this request, by their place in [`Policy::credentials`]: those of the rules that
    /// allow it. Says nothing about whether it is allowed.
    pub fn bound(&self, ask: &Request<'_>) -> Vec<usize> {
        let names = self.network.bound(ask);
        (0..self.credentials.len()).filter(|&at| names.contains(&&*self.credentials[at].name)).collect()
    }

    /// The same for a request whose content can be read where it matters.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn head(&self, ask: &Request<'_>) -> Result<Head, Refusal> {
        self.readable(|| {
            format!("{} {}:{}{}", ask.method, ask.connect.host, ask.connect.port, ask.path.path())
        })?;
        self.network.head(ask)
    }

    /// Whether some content could make the request allowed.
    pub(crate) fn at_most(&self, ask: &Request<'_>) -> Result<RuleId, Refusal> {
        self.readable(|| format!("{} {}", ask.method, ask.path.path()))?;
        self.network.at_most(ask)
    }

    /// Whether a request may say this. Asked where [`Policy::head`] says that something has to be read.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn content(&self, ask: &Request<'_>, said: &Contents) -> Result<RuleId, Refusal> {
        match self.head(ask)? {
            Head::Allowed(rule) => Ok(rule),
            Head::Reads(_) => self.network.content(ask, said),
        }
    }

    /// Whether this may be said, in a conversation that a request has opened: a WebSocket.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn message(&self, ask: &Request<'_>, family: Family, said: &Message) -> Result<RuleId, Refusal> {
        match self.head(ask)? {
            Head::Allowed(rule) => Ok(rule),
            Head::Reads(_) => self.network.message(ask, family, said),
        }
    }

    /// Whether a server may ask this of the client, in its answer to an MCP request.
    ///
    /// # Errors
    /// The refusal, explained.
    pub fn asked_back(&self, ask: &Request<'_>, call: &Call) -> Result<RuleId, Refusal> {
        self.readable(|| format!("{call} from {}:{}", ask.connect.host, ask.connect.port))?;
        self.network.asked_back(ask, call)
    }

    /// Whether a tool may be called at all, with some arguments: one that may not is left out of lists of tools.
    pub fn offers(&self, ask: &Request<'_>, tool: &str) -> bool {
        self.unreadable.is_none() && self.network.offers(ask, tool)
    }

    /// Whether the admitted name may lead to this address (law 6). The address dialled is the address judged.
    ///
    /// # Errors
    /// An address that is not public and that nothing names, with what it is.
    pub fn permit(&self, admission: &Admission, addr: IpAddr) -> Result<Permit, Refusal> {
        self.readable(|| format!("{} at {addr}", admission.host))?;
        if admission.handling == Handling::Model {
            return Err(reach::refuse(admission, addr, Reason::ModelOnly));
        }
        let addr = addr.to_canonical();
        let given = self.resolve.iter().find(|r| {
            r.addr.to_canonical() == addr && matches!(&admission.host, Host::Name(name) if *name == r.host)
        });
        let port = match given {
            Some(given) => given.port.unwrap_or(admission.port),
            None => {
                reach::judge(admission, addr)?;
                admission.port
            }
        };
        let (host, rule) = (admission.host.clone(), admission.rule.clone());
        Ok(Permit { host, addr: SocketAddr::new(addr, port), rule })
    }

    /// The admission that stands for a refused connection in a policy that only observes; `None` in one that
    /// enforces. What is observed is still never led to an address that law 6 refuses.
    pub fn overlook(&self, ask: &Connect<'_>, refusal: &Refusal) -> Option<Admission> {
        (self.mode == Mode::Observe && !matches!(refusal.reason, Reason::Unreadable(_))).then(|| Admission {
            host: ask.host.clone(),
            port: ask.port,
            handling: Handling::PassThrough,
            rule: RuleId::new("observe"),
            grants: Default::default(),
        })
    }

    /// Where the operator said that this name leads, before any resolver is asked.
    pub fn resolution(&self, host: &HostName, port: u16) -> Option<SocketAddr> {
        match self.resolve.iter().find(|r| r.host == *host) {
            Some(given) => Some(SocketAddr::new(given.addr.to_canonical(), given.port.unwrap_or(port))),
            // No resolver is asked: what it leads to is not the network's to say.
            None => (host.as_str() == HOST_SERVICES).then(|| (Ipv4Addr::LOCALHOST, port).into()),
        }
    }

    /// Whether any rule for this host and port asks who calls; if none does, the caller need not be found out for
    /// the decision.
    pub fn wants_caller(&self, host: &Host, port: u16) -> bool {
        self.network.wants_caller(host, port)
    }

    /// Whether any rule at all asks who calls, for whoever does not know yet which name is meant.
    pub fn wants_callers(&self) -> bool {
        self.network.wants_callers()
    }

    /// The inference backend of this name.
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.inference.backends.iter().find(|b| b.name == name)
    }

    /// Leave to dial a backend: its URL is the operator's own word, so that its address may be a private one. The
    /// clouds' metadata addresses are refused all the same.
    ///
    /// # Errors
    /// A metadata address, or one that no connection can be made to.
    pub fn permit_backend(&self, backend: &Backend, addr: IpAddr, port: u16) -> Result<Permit, Refusal> {
        self.readable(|| format!("{} at {addr}", backend.base_url.host))?;
        let addr = addr.to_canonical();
        reach::judge_backend(backend, addr)?;
        let rule = RuleId::new(&format!("inference.backends.{}", backend.name));
        Ok(Permit { host: backend.base_url.host.clone(), addr: SocketAddr::new(addr, port), rule })
    }

    fn readable(&self, compared: impl FnOnce() -> String) -> Result<(), Refusal> {
        let Some(why) = &self.unreadable else { return Ok(()) };
        Err(Refusal {
            layer: Layer::Network,
            rule: None,
            reason: Reason::Unreadable(why.clone()),
            compared: compared(),
            nearest: None,
            suggestion: String::new(),
        })
    }
}

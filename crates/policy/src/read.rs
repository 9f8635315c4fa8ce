//! From the nodes of documents to what they mean, one layer to a file.
//!
//! A document whose shape is wrong somewhere is read all the same, so that every problem is told at once; what is
//! made of it is thrown away.

mod checks;
mod credential;
mod devices;
mod filesystem;
mod inference;
mod isolation;
mod network;
pub(crate) mod path;
mod places;
mod process;
mod says;
pub(crate) mod scalar;
pub(crate) mod target;

use crate::network::Parts;
use crate::problems::{Problems, Span};
use crate::yaml::Node;
use crate::{Devices, Home, Limits, Mode, Operator, Policy, Process};
use creel_types::SandboxName;

/// One document, and whether another one included it.
pub(crate) struct ReadDocument {
    pub node: Node,
    pub included: bool,
}

/// What the documents say together, as far as they have been read.
pub(crate) struct Draft<'a> {
    operator: &'a Operator,
    name: Option<SandboxName>,
    mode: Mode,
    keep_home: Option<Span>,
    files: filesystem::Files,
    limits: Limits,
    exec: process::Draft,
    nested: Option<Span>,
    isolation: isolation::Draft,
    devices: Devices,
    credentials: credential::Draft,
    network: network::Draft,
    inference: inference::Draft,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(operator: &'a Operator) -> Self {
        Self {
            operator,
            name: None,
            mode: Mode::Enforce,
            keep_home: None,
            files: Default::default(),
            limits: Limits::default(),
            exec: Default::default(),
            nested: None,
            isolation: Default::default(),
            devices: Devices::default(),
            credentials: Default::default(),
            network: Default::default(),
            inference: Default::default(),
        }
    }

    /// Adds one document to what was read before it.
    pub(crate) fn add(&mut self, read: &ReadDocument, problems: &mut Problems) {
        let document = &read.node;
        if read.included {
            self.network.included.insert(document.span.file);
        }
        if let Some(node) = document.get("name") {
            self.name(node, problems);
        }
        if let Some(node) = document.get("mode") {
            self.mode(node, read.included, problems);
        }
        if let Some(node) = document.get("isolation") {
            self.isolation.add(node, read.included, problems);
        }
        if let Some(node) = document.get("filesystem") {
            self.home(node);
            self.files.add(node, self.operator, problems);
        }
        if let Some(limits) = document.get("process").and_then(|p| p.get("limits")) {
            process::read(limits, &mut self.limits);
        }
        if let Some(node) = document.get("process").and_then(|p| p.get("nested")) {
            self.nested = (node.text() == Some("true")).then_some(node.span);
        }
        if let Some(exec) = document.get("process").and_then(|p| p.get("exec")) {
            self.exec.add(exec, self.operator, problems);
        }
        if let Some(node) = document.get("devices") {
            devices::read(node, &mut self.devices);
        }
        if let Some(node) = document.get("credentials") {
            self.credentials.add(node, self.operator, problems);
        }
        if let Some(node) = document.get("network") {
            self.network.add(node, self.operator, problems);
        }
        if let Some(node) = document.get("inference") {
            self.inference.add(node, self.operator, problems);
        }
    }

    /// The policy, with what can only be judged when everything is known. Worth nothing when there are problems.
    pub(crate) fn finish(self, problems: &mut Problems) -> Policy {
        let home = match (self.keep_home, &self.name) {
            (Some(_), Some(name)) => Home::Keep(name.clone()),
            (Some(span), None) => {
                problems.add(span, "`home: keep` needs a `name`, under which the home is kept");
                Home::Scratch
            }
            (None, _) => Home::Scratch,
        };
        let credentials = self.credentials.finish(&self.network, problems);
        let inference = self.inference.finish(problems);
        let exec = self.exec.finish(problems);
        let tier = self.isolation.finish(problems);
        if let Some(span) = self.nested {
            checks::nested(span, &self.network, &exec, problems);
        }
        if problems.is_empty() {
            checks::check(&self.network, &inference, problems);
        }
        let parts = Parts {
            rules: self.network.rules.into_iter().map(|r| r.rule).collect(),
            deny: self.network.deny.into_iter().map(|(_, target)| target).collect(),
            capture: inference.targets.iter().map(|(_, target)| target.clone()).collect(),
            serves_models: inference.inference.is_served(),
        };
        Policy {
            name: self.name.map(|n| n.to_string()),
            mode: self.mode,
            tier,
            network: crate::network::Network::new(parts),
            filesystem: self.files.finish(home, self.operator),
            devices: self.devices,
            process: Process { limits: self.limits, exec, nested: self.nested.is_some() },
            credentials,
            inference: inference.inference,
            resolve: self.operator.resolve.clone(),
            unreadable: None,
        }
    }

    fn name(&mut self, node: &Node, problems: &mut Problems) {
        match node.text().map(str::parse) {
            Some(Ok(name)) => self.name = Some(name),
            Some(Err(error)) if node.text() != Some("") => {
                let error: creel_types::NameError = error;
                problems
                    .add(node.span, format!("`{}` is not a name for a policy", error.text))
                    .hint("use 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit");
            }
            _ => {}
        }
    }

    /// Whether refusals are carried out must be seen in the document that is run (law 1).
    fn mode(&mut self, node: &Node, included: bool, problems: &mut Problems) {
        match node.text() {
            Some("observe") if included => {
                problems
                    .add(node.span, "`mode: observe` in a document that is included")
                    .hint("write it at the top of the document that includes this one");
            }
            Some("observe") => self.mode = Mode::Observe,
            Some("enforce") => self.mode = Mode::Enforce,
            _ => {}
        }
    }

    fn home(&mut self, filesystem: &Node) {
        let Some(node) = filesystem.get("home") else { return };
        match node.text() {
            Some("keep") => self.keep_home = Some(node.span),
            Some("scratch") => self.keep_home = None,
            _ => {}
        }
    }
}

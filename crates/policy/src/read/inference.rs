//! The inference layer.

use super::network::targets;
use super::path::expand;
use crate::canonical;
use crate::network::{Ports, Target};
use crate::pattern::NamePattern;
use crate::problems::{Problems, Span};
use crate::suggest;
use crate::yaml::Node;
use crate::{Api, Backend, BaseUrl, Inference, Key, ModelRef, Operator, Route, Statement};
use std::collections::HashMap;

/// More than anybody writes; each call looks at every one.
const MOST_ROUTES: usize = 1000;

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    backends: Vec<Backend>,
    names: HashMap<String, Span>,
    routes: Vec<(Route, Vec<Span>)>,
    capture: Vec<(Span, Target)>,
}

/// The layer, with its capture targets and their places.
pub(super) struct Finished {
    pub inference: Inference,
    pub targets: Vec<(Span, Target)>,
}

impl Draft {
    pub(super) fn add(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        for item in node.list("backends") {
            self.backend(item, operator, problems);
        }
        for (key, list) in node.get("models").map(Node::entries).unwrap_or_default() {
            list.items().iter().for_each(|item| self.model(&key.text, item, problems));
        }
        let (read, spans) = targets(node.list("capture"), problems);
        for (span, target) in spans.into_iter().zip(read) {
            if target.ports == Ports::Any {
                problems.add(span, "a captured host needs one port").hint("leave the port out for 443");
            }
            self.capture.push((span, target));
        }
    }

    fn backend(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        let name = node.get("name").and_then(|n| self.name(n, problems));
        let base_url = node.get("base_url").and_then(|n| base_url(n, problems));
        let key = node.get("key").map_or(Some(Key::None), |n| key(n, operator, problems));
        let api = match node.get("api").and_then(Node::text) {
            Some("openai") => Api::OpenAi,
            Some("anthropic") => Api::Anthropic,
            _ => Api::Auto,
        };
        if let (Some(name), Some(base_url), Some(key)) = (name, base_url, key) {
            self.backends.push(Backend { name, base_url, key, api });
        }
    }

    fn name(&mut self, node: &Node, problems: &mut Problems) -> Option<String> {
        let text = node.text().filter(|t| !t.is_empty())?;
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            problems
                .add(node.span, format!("`{text}` is not a name for a backend"))
                .hint("use A-Z, a-z, 0-9, '-', '_', '.'");
        }
        if let Some(first) = self.names.insert(text.to_owned(), node.span) {
            let place = problems.place(first);
            problems
                .add(node.span, format!("a second backend named `{text}`"))
                .hint(format!("the first is at {place}"));
        }
        Some(text.to_owned())
    }

    fn model(&mut self, name: &str, node: &Node, problems: &mut Problems) {
        let Some(text) = node.text().filter(|t| !t.is_empty()) else { return };
        let Some((backend, model)) = text.split_once('/').filter(|(b, m)| !b.is_empty() && !m.is_empty())
        else {
            problems
                .add(node.span, format!("`{text}` is not a model at a backend"))
                .hint("write BACKEND/MODEL, or BACKEND/* for the model that the caller asks for");
            return;
        };
        if model != "*" && model.contains('*') {
            problems
                .add(node.span, format!("`{model}` is not the name of one model"))
                .hint(format!("name one, or write {backend}/* for the model that the caller asks for"));
            return;
        }
        let model = (model != "*").then(|| model.to_owned());
        let model = ModelRef { backend: backend.to_owned(), model };
        if self.routes.len() >= MOST_ROUTES {
            problems.add(node.span, format!("more than {MOST_ROUTES} names of models"));
            return;
        }
        let at = self.routes.iter().position(|(r, _)| r.name == name).unwrap_or_else(|| {
            let route = Route { name: name.to_owned(), pattern: NamePattern::new(name), models: Vec::new() };
            self.routes.push((route, Vec::new()));
            self.routes.len() - 1
        });
        let (route, spans) = &mut self.routes[at];
        match route.models.iter().position(|m| *m == model) {
            Some(held) if spans[held].file == node.span.file => {
                problems.add(node.span, format!("`{text}` is given twice"));
            }
            Some(_) => {}
            None => {
                route.models.push(model);
                spans.push(node.span);
            }
        }
    }

    /// Every model's backend must exist, and what is captured must have somewhere to go.
    pub(super) fn finish(self, problems: &mut Problems) -> Finished {
        for (route, spans) in &self.routes {
            for (model, span) in route.models.iter().zip(spans) {
                if !self.names.contains_key(&model.backend) {
                    let known = self.names.keys().map(String::as_str);
                    let hint =
                        suggest::nearest(&model.backend, known).map(|k| format!("did you mean `{k}`?"));
                    problems.add(*span, format!("no backend is named `{}`", model.backend)).maybe_hint(hint);
                }
            }
        }
        self.refuse_what_is_not_built(problems);
        if let Some((span, _)) = self.capture.first()
            && self.routes.is_empty()
        {
            problems
                .add(*span, "a captured host, and no models that could answer")
                .hint("add `models: { default: [...] }`");
        }
        let capture = self.capture.iter().map(|(_, t)| {
            let Ports::One(port) = t.ports else { return (t.host.clone(), 443) };
            (t.host.clone(), port)
        });
        let inference = Inference {
            backends: self.backends,
            capture: capture.collect(),
            routes: self.routes.into_iter().map(|(route, _)| route).collect(),
        };
        Finished { inference, targets: self.capture }
    }
}

impl Draft {
    /// Where each name of a model and each captured host stands.
    pub(super) fn each(&self, mut found: impl FnMut(Span, Statement)) {
        for (route, spans) in &self.routes {
            spans.first().into_iter().for_each(|span| found(*span, Statement::Models(route.name.clone())));
        }
        self.capture.iter().for_each(|(span, t)| found(*span, Statement::Capture(t.written.to_string())));
    }

    /// One backend answers every call in this version; what the language says beyond that must not be taken silently.
    fn refuse_what_is_not_built(&self, problems: &mut Problems) {
        for (route, spans) in &self.routes {
            let (first, rest) = (spans.first(), spans.get(1));
            if let (Some(span), true) = (first, route.name != "default") {
                problems
                    .add(
                        *span,
                        "choosing a backend by the model's name is not available in this version of Creel",
                    )
                    .hint("name one backend under `default`");
            } else if let Some(span) = rest {
                problems
                    .add(*span, "failover to a second model is not available in this version of Creel")
                    .hint("name one model under `default`");
            }
        }
    }
}

pub(super) fn key(node: &Node, operator: &Operator, problems: &mut Problems) -> Option<Key> {
    let text = node.text().filter(|t| !t.is_empty())?;
    let variable = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match text.split_once(':') {
        None if text == "none" => Some(Key::None),
        Some(("env", name)) if variable(name) => Some(Key::Env(name.to_owned())),
        Some(("file", path)) => expand(path, node.span, operator, problems).map(Key::File),
        _ => {
            problems.conceal(node.span, text);
            problems
                .add(node.span, "a key never stands in a policy")
                .hint("say where it is: env:VARIABLE or file:PATH, or none");
            None
        }
    }
}

fn base_url(node: &Node, problems: &mut Problems) -> Option<BaseUrl> {
    let text = node.text().filter(|t| !t.is_empty())?;
    match parse_url(text) {
        Ok(url) => Some(url),
        Err(why) => {
            if text.contains(['@', '?']) {
                problems.conceal(node.span, text);
            }
            problems.add(node.span, why).hint("write it as in https://api.example.com/v1");
            None
        }
    }
}

fn parse_url(text: &str) -> Result<BaseUrl, String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err("a backend's URL begins with https:// or http://".to_owned()),
    };
    if rest.contains(['@', '?', '#']) {
        return Err("a backend's URL has no user, query or fragment".to_owned());
    }
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse::<u16>().ok().filter(|p| *p > 0);
            (host, port.ok_or("a port is a number from 1 to 65535")?)
        }
        _ => (authority, if tls { 443 } else { 80 }),
    };
    let host = canonical::host(host).map_err(|e| format!("in a backend's URL: {e}"))?;
    let path = match path {
        "" => String::new(),
        path => canonical::path(path).map_err(|e| format!("in a backend's URL: {e}"))?.to_string(),
    };
    Ok(BaseUrl { tls, host, port, path: path.trim_end_matches('/').to_owned() })
}

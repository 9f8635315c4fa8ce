//! Decides what a request says, message by message. A request goes when each of its messages may.

use super::{Content, Network, Rule, Says, lowest};
use crate::content::shown;
use crate::network::explain::{add_to, compared, quoted};
use crate::{Call, Connect, Contents, Family, Layer, Message, NearMiss, Reading, Reason, Refusal, Request};
use creel_types::RuleId;

/// What the rules say to one message.
enum Word<'a> {
    Allowed(u32),
    Denied(u32, &'a str),
    Nothing,
}

impl Network {
    /// A deny in any reading refuses; then one reading that is allowed whole is enough.
    pub(crate) fn content(&self, ask: &Request<'_>, said: &Contents) -> Result<RuleId, Refusal> {
        if let Some((at, why)) = self.untold(ask, said) {
            return Err(self.refuse_untold(ask, at, why));
        }
        let (mut allowed, mut refused) = (None, None);
        for family in Family::ALL {
            let Reading::Is(messages) = said.of(family) else { continue };
            match self.all(ask, family, messages) {
                Ok(Some(at)) => allowed = lowest(allowed, at),
                Ok(None) => {}
                Err((true, refusal)) => return Err(*refusal),
                Err((false, refusal)) => refused = refused.or(Some(*refusal)),
            }
        }
        match allowed.or_else(|| self.headed(ask, None)) {
            Some(at) => Ok(self.rules[at as usize].id.clone()),
            None => Err(refused.unwrap_or_else(|| self.refuse_form(ask, said))),
        }
    }

    /// One message of a conversation that was allowed to begin.
    pub(crate) fn message(
        &self,
        ask: &Request<'_>,
        family: Family,
        said: &Message,
    ) -> Result<RuleId, Refusal> {
        match self.word(ask, family, said) {
            Word::Allowed(at) => Ok(self.rules[at as usize].id.clone()),
            Word::Denied(at, entry) => Err(self.refuse_denied_message(ask, at, entry, said)),
            Word::Nothing => Err(self.refuse_message(ask, family, said)),
        }
    }

    /// The rule that allows the first of these messages, when all are allowed; with a refusal, whether a deny refused.
    fn all(
        &self,
        ask: &Request<'_>,
        family: Family,
        messages: &[Message],
    ) -> Result<Option<u32>, (bool, Box<Refusal>)> {
        let mut first = None;
        for message in messages {
            match self.word(ask, family, message) {
                Word::Allowed(at) => first = first.or(Some(at)),
                Word::Denied(at, entry) => {
                    return Err((true, self.refuse_denied_message(ask, at, entry, message).into()));
                }
                Word::Nothing => return Err((false, self.refuse_message(ask, family, message).into())),
            }
        }
        // Without a message it is what its head is: a stream, or a socket, that is opened.
        Ok(first.or_else(|| self.headed(ask, Some(family))))
    }

    pub(crate) fn asked_back(&self, ask: &Request<'_>, call: &Call) -> Result<RuleId, Refusal> {
        let mut found = None;
        self.admitting(ask, |at, rule| {
            let lets = match rule.form.content().map(|content| &content.says) {
                Some(Says::Mcp(mcp)) => mcp.lets_ask(call),
                Some(_) => false,
                None => true,
            };
            if lets {
                found = lowest(found, at);
            }
        });
        match found {
            Some(at) => Ok(self.rules[at as usize].id.clone()),
            None => Err(self.refuse_asked_back(ask, call)),
        }
    }

    pub(crate) fn offers(&self, ask: &Request<'_>, tool: &str) -> bool {
        let Connect { host, port, caller } = ask.connect;
        let (mut offered, mut denied) = (false, false);
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            let Some(Content { says: Says::Mcp(mcp), .. }) = rule.form.content() else { return };
            denied |=
                rule.from.may_be(caller) && mcp.deny.iter().any(|p| p.is_unconditional() && p.names(tool));
        });
        self.admitting(ask, |_, rule| {
            offered |= match rule.form.content().map(|content| &content.says) {
                Some(Says::Mcp(mcp)) => mcp.call.iter().any(|p| p.names(tool)),
                Some(Says::Rpc(rpc)) => rpc.allow.iter().any(|p| p.names(crate::content::TOOLS_CALL)),
                Some(_) => false,
                None => true,
            };
        });
        offered && !denied
    }

    /// The rules that this request's head may be allowed by.
    fn admitting(&self, ask: &Request<'_>, mut found: impl FnMut(u32, &Rule)) {
        let Connect { host, port, caller } = ask.connect;
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            let heads = rule.form.allows(ask.method, ask.path)
                || rule.form.content().is_some_and(|content| content.is_for(ask));
            if heads && rule.from.admits(caller) {
                found(at, rule);
            }
        });
    }

    /// The first rule that allows the head: one that looks at nothing, or one of this family.
    fn headed(&self, ask: &Request<'_>, family: Option<Family>) -> Option<u32> {
        let mut first = None;
        self.admitting(ask, |at, rule| {
            let of = rule.form.content().map(|content| content.says.family());
            if of == family || rule.form.allows(ask.method, ask.path) {
                first = lowest(first, at);
            }
        });
        first
    }

    fn word(&self, ask: &Request<'_>, family: Family, message: &Message) -> Word<'_> {
        let Connect { host, port, caller } = ask.connect;
        let (mut allowed, mut denied) = (None, None);
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            if let Some(content) = rule.form.content()
                && content.says.family() == family
                && rule.from.may_be(caller)
                && let Some(entry) = content.says.denies(message)
            {
                denied = lowest(denied, (at, entry));
            }
        });
        self.admitting(ask, |at, rule| {
            let says = |content: &Content| content.says.allows(ask, message);
            if rule.form.allows(ask.method, ask.path) || rule.form.content().is_some_and(says) {
                allowed = lowest(allowed, at);
            }
        });
        match (denied, allowed) {
            (Some((at, entry)), _) => Word::Denied(at, entry),
            (None, Some(at)) => Word::Allowed(at),
            (None, None) => Word::Nothing,
        }
    }

    /// Whether what cannot be told for sure may be what a rule is about.
    fn untold<'a>(&self, ask: &Request<'_>, said: &'a Contents) -> Option<(u32, &'a str)> {
        let Connect { host, port, caller } = ask.connect;
        let mut first = None;
        self.index.each(host, port, |at| {
            let rule = &self.rules[at as usize];
            let Some(content) = rule.form.content() else { return };
            let why = match said.of(content.says.family()) {
                Reading::Untold(why) => why.as_str(),
                // A deny that nobody read for is one that may take it.
                Reading::Unread => "what it says was not read",
                Reading::Is(_) | Reading::Not(_) => return,
            };
            let guards = content.says.has_deny() && rule.from.may_be(caller);
            if guards || (content.is_for(ask) && rule.from.admits(caller)) {
                first = lowest(first, (at, why));
            }
        });
        first
    }

    fn refuse_untold(&self, ask: &Request<'_>, at: u32, why: &str) -> Refusal {
        Refusal {
            rule: Some(self.rules[at as usize].id.clone()),
            ..refusal(ask, Reason::Protocol(why.to_owned()), &head(ask))
        }
    }

    fn refuse_denied_message(&self, ask: &Request<'_>, at: u32, entry: &str, message: &Message) -> Refusal {
        let rule = &self.rules[at as usize];
        let key = rule.form.content().map_or("mcp", |content| content.says.key());
        let suggestion = format!(
            "network:\n  rules:\n    - name: {}\n      {key}: {{ deny: [] }}   # leave out {}, which beats every allow",
            rule.id,
            quoted(entry)
        );
        Refusal {
            rule: Some(rule.id.clone()),
            suggestion,
            ..refusal(ask, Reason::ContentDenied(entry.to_owned()), &message.to_string())
        }
    }

    fn refuse_message(&self, ask: &Request<'_>, family: Family, message: &Message) -> Refusal {
        let mut refusal = refusal(ask, Reason::Content, &message.to_string());
        let nearest = self.headed(ask, Some(family));
        let Some(rule) = nearest.map(|at| &self.rules[at as usize]) else { return refusal };
        match (rule.form.content(), message) {
            (Some(content), Message::Call(call) | Message::Field(call)) => {
                refusal.nearest = NearMiss::boxed(&rule.id, missed(&content.says, call));
                refusal.suggestion = suggestion(rule, &content.says, call);
            }
            (Some(content), Message::Text(_)) => {
                refusal.nearest =
                    NearMiss::boxed(&rule.id, format!("the text: it allows {}", listed(&content.says)));
            }
            (Some(Content { says: Says::Git(git), .. }), message) => {
                let missed = format!("{message}: it allows {}", git.listed(ask));
                refusal.nearest = NearMiss::boxed(&rule.id, missed);
            }
            (Some(_), message) => refusal.nearest = NearMiss::boxed(&rule.id, message.to_string()),
            (None, _) => {}
        }
        refusal
    }

    fn refuse_asked_back(&self, ask: &Request<'_>, call: &Call) -> Refusal {
        let mut refusal = refusal(ask, Reason::Content, &format!("the server's request {call}"));
        let mut nearest: Option<u32> = None;
        self.admitting(ask, |at, _| nearest = lowest(nearest, at));
        let Some(rule) = nearest.map(|at| &self.rules[at as usize]) else { return refusal };
        refusal.nearest = NearMiss::boxed(&rule.id, format!("what the server may ask: {call}"));
        if let Some(Content { says: Says::Mcp(_), .. }) = rule.form.content()
            && !call.method.contains('*')
        {
            refusal.suggestion = add_to(rule, &format!("mcp: {{ server: [{}] }}", quoted(&call.method)));
        }
        refusal
    }

    /// The body is not of the protocol that the rules are about.
    fn refuse_form(&self, ask: &Request<'_>, said: &Contents) -> Refusal {
        let mut why = None;
        self.admitting(ask, |_, rule| {
            let Some(content) = rule.form.content() else { return };
            if let Reading::Not(not) | Reading::Untold(not) = said.of(content.says.family()) {
                why.get_or_insert(not);
            }
        });
        let why = why.map_or("what it says was not read", String::as_str);
        refusal(ask, Reason::Protocol(why.to_owned()), &head(ask))
    }
}

fn refusal(ask: &Request<'_>, reason: Reason, what: &str) -> Refusal {
    Refusal {
        layer: Layer::Network,
        rule: None,
        reason,
        compared: format!("{what} at {}", compared(&ask.connect)),
        nearest: None,
        suggestion: String::new(),
    }
}

fn head(ask: &Request<'_>) -> String {
    format!("{} {}", ask.method, ask.path.path())
}

/// What kept a call from being allowed. Values of arguments are the agent's and are not repeated.
fn missed(says: &Says, call: &Call) -> String {
    let (name, arguments, kind) = match (says, call.tool()) {
        (Says::Mcp(_), Some((name, arguments))) => (name, arguments, "tool"),
        (Says::Graphql(_), _) => (call.method.as_str(), &call.params, "field"),
        _ => (call.method.as_str(), &call.params, "method"),
    };
    let named = says.allowances().iter().filter(|p| p.names(name));
    if let Some(missed) = named.filter_map(|p| p.missed_by(arguments)).next() {
        return missed;
    }
    match kind {
        _ if says.allowances().is_empty() => format!("the {kind} {}", shown(name)),
        "method" if matches!(says, Says::Mcp(_)) => format!("the method {}", shown(name)),
        _ => format!("the {kind} {}: it allows {}", shown(name), listed(says)),
    }
}

fn listed(says: &Says) -> String {
    says.allowances().iter().take(8).map(|p| &*p.written).collect::<Vec<_>>().join(", ")
}

fn suggestion(rule: &Rule, says: &Says, call: &Call) -> String {
    let (list, name) = match (says, call.tool()) {
        (Says::Mcp(_), Some((tool, _))) => (says.list(), tool),
        (Says::Mcp(_), None) => ("methods", call.method.as_str()),
        _ => (says.list(), call.method.as_str()),
    };
    // In a policy a `*` would be a pattern that allows more than was asked for, and so would a name whose arguments
    // are what the rule did not like.
    let named = says.allowances().iter().any(|p| p.names(name));
    if named || name.contains('*') || name.chars().any(char::is_control) || name.len() > 120 {
        return String::new();
    }
    add_to(rule, &format!("{}: {{ {list}: [{}] }}", says.key(), quoted(name)))
}

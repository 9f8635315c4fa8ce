//! Asks the policy whether a connection may be.

use crate::cell::InForce;
use crate::identify::Flow;
use crate::refusal::of_form;
use creel_policy::{Admission, Connect, Handling, Refusal};
use creel_types::Host;

/// Leave to go on, and the refusal that a policy which only observes has overlooked.
pub(crate) struct Leave {
    pub admission: Admission,
    pub overlooked: Option<Box<Refusal>>,
}

/// The policy's word on a connection to the flow's own host.
pub(crate) fn connection(now: &InForce, flow: &Flow) -> Result<Leave, Box<Refusal>> {
    if flow.forgotten {
        return Err(of_form(
            flow,
            "this address stood for a name whose turn is over; resolve the name again",
        ));
    }
    connection_to(now, flow, &flow.host)
}

/// The same for another name that the client claims on the way (a server name on a connection to an address).
pub(crate) fn connection_to(now: &InForce, flow: &Flow, host: &Host) -> Result<Leave, Box<Refusal>> {
    let ask = Connect { host, port: flow.port, caller: &flow.caller };
    let said = if !flow.attributed && now.policy.wants_caller(host, flow.port) {
        // Without the program neither an allowing nor a denying `from:` can be held to what it says.
        Err(of_form(flow, "a rule asks which program connects, and it could not be found out"))
    } else {
        now.policy.connect(&ask).map_err(Into::into)
    };
    match said {
        Ok(admission) => Ok(Leave { admission, overlooked: None }),
        Err(refusal) => match now.policy.overlook(&ask, &refusal) {
            Some(admission) => Ok(Leave { admission, overlooked: Some(refusal) }),
            None => Err(refusal),
        },
    }
}

/// Whether a connection that is handled as `was` may go on when the policy now says `now`.
///
/// What was spliced unseen cannot be seen from its middle, so it survives only where it would be spliced again; what
/// is inspected asks for each request anyway.
pub(crate) fn may_go_on(was: Handling, now: Handling) -> bool {
    match was {
        Handling::Raw => now == Handling::Raw,
        Handling::PassThrough => matches!(now, Handling::PassThrough | Handling::Raw),
        Handling::Inspect => now != Handling::Model,
        Handling::Model => now == Handling::Model,
    }
}

pub(crate) fn word(handling: Handling) -> &'static str {
    match handling {
        Handling::Inspect => "inspect",
        Handling::PassThrough => "pass-through",
        Handling::Raw => "raw",
        Handling::Model => "model",
    }
}

//! Connections and requests.

use super::{MOST_NEAR, Nearest, Told, near};
use crate::{Admission, Handling, Layer, Places, Policy, Question, Reason, Refusal, Statement};
use creel_types::RuleId;

pub(super) fn explain(policy: &Policy, places: &Places, question: &Question) -> Told {
    let Some(connect) = question.connection() else { return Told::refused(Vec::new(), "not a connection") };
    let admission = match policy.connect(&connect) {
        Ok(admission) => admission,
        Err(refusal) => return refused(policy, places, question, &refusal),
    };
    if let Some(request) = question.request()
        && let Err(refusal) = policy.request(&request)
    {
        return refused(policy, places, question, &refusal);
    }
    if let Question::Connect { addr: Some(addr), .. } = question
        && let Err(refusal) = policy.permit(&admission, *addr)
    {
        return refused(policy, places, question, &refusal);
    }
    Told::allowed(deciding(policy, question, &admission), how(&admission, question))
}

/// The statements that allow it, the one that a record names first.
fn deciding(policy: &Policy, question: &Question, admission: &Admission) -> Vec<Statement> {
    let Some(connect) = question.connection() else { return Vec::new() };
    if admission.handling() == Handling::Model {
        return policy.network.capturing(&connect);
    }
    policy.network.allowing(&connect, question.request().as_ref())
}

fn how(admission: &Admission, question: &Question) -> String {
    let request = matches!(question, Question::Request { .. });
    let what = match (admission.handling(), question) {
        (Handling::Model, _) => return "it ends at the model router, which calls the backend".to_owned(),
        (Handling::Raw, _) => "any bytes pass, and nobody looks at them",
        (Handling::Inspect, _) if request => "each request is looked at and decided",
        (Handling::Inspect, _) => "the connection is opened, and each request on it decided",
        (Handling::PassThrough, Question::Request { tls: false, .. }) => "every request there is allowed",
        (Handling::PassThrough, _) => "TLS passes unopened, so nobody looks at the requests",
    };
    let reached = match question {
        Question::Connect { addr: Some(_), .. } => "the name may lead to this address",
        _ => "the name must lead to a public address, or one that the rule names",
    };
    format!("{what}; {reached}")
}

fn refused(policy: &Policy, places: &Places, question: &Question, refusal: &Refusal) -> Told {
    let Some(connect) = question.connection() else { return Told::refused(Vec::new(), "not a connection") };
    let request = question.request();
    let mut by: Vec<Statement> = match (&refusal.reason, refusal.layer) {
        (Reason::Denied(_), Layer::Network) => policy.network.denying(&connect),
        (Reason::RequestDenied(_), _) => policy.network.denying_requests(request.as_ref()),
        _ => Vec::new(),
    };
    by.dedup();
    let near_misses: Vec<Nearest> = match &refusal.reason {
        Reason::Address(_) => named_nearest(places, refusal),
        Reason::Denied(_) | Reason::RequestDenied(_) => Vec::new(),
        _ => policy
            .network
            .near(&connect, request.as_ref())
            .into_iter()
            .take(MOST_NEAR)
            .map(|(rule, missed)| near(places, &Statement::Rule(rule), missed))
            .collect(),
    };
    let changed = by.first().cloned().or_else(|| {
        let adds = refusal.suggestion.contains("# add to the rule");
        refusal.nearest.as_ref().filter(|_| adds).map(|near| Statement::Rule(near.rule.clone()))
    });
    let at = changed.and_then(|what| places.of(&what).cloned());
    Told::of(refusal, by, near_misses, at)
}

fn named_nearest(places: &Places, refusal: &Refusal) -> Vec<Nearest> {
    let of = |rule: &RuleId| Statement::Rule(rule.clone());
    let nearest = refusal.nearest.iter();
    nearest.map(|miss| near(places, &of(&miss.rule), miss.missed_by.clone())).collect()
}

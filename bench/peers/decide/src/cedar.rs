//! Cedar: a policy a rule.

use crate::{Cost, Failure, mean};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use std::fmt::Write;
use std::time::Instant;

pub fn measure(count: usize) -> Result<Cost, Failure> {
    let mut text = String::new();
    for i in 0..count {
        writeln!(
            text,
            "permit(principal == Program::\"/usr/bin/git\", action == Action::\"connect\", resource == Host::\"h{i}.example.com:443\");"
        )?;
    }
    let start = Instant::now();
    let policies: PolicySet = text.parse()?;
    let compile = start.elapsed();
    let uid = |text: String| text.parse::<EntityUid>().map_err(Box::new);
    let request = Request::new(
        uid("Program::\"/usr/bin/git\"".into())?,
        uid("Action::\"connect\"".into())?,
        uid(format!("Host::\"h{}.example.com:443\"", count / 2))?,
        Context::empty(),
        None,
    )?;
    let (authorizer, entities) = (Authorizer::new(), Entities::empty());
    let decision = mean(|| {
        let answer = authorizer.is_authorized(&request, &policies, &entities);
        Ok(answer.decision() == Decision::Allow)
    })?;
    Ok(Cost { compile, decision })
}

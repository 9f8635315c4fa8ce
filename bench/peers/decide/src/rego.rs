//! Rego (regorus): the rules as data, and one rule that looks through them, as policies for egress are written in it.

use crate::{Cost, Failure, mean};
use regorus::{Engine, Value};
use std::time::Instant;

const POLICY: &str = r#"package egress
import rego.v1
default allow := false
allow if {
    some rule in data.rules
    rule.host == input.host
    rule.port == input.port
    input.program in rule.from
}
"#;

pub fn measure(count: usize) -> Result<Cost, Failure> {
    let rules: Vec<String> = (0..count)
        .map(|i| format!(r#"{{"host":"h{i}.example.com","port":443,"from":["/usr/bin/git"]}}"#))
        .collect();
    let start = Instant::now();
    let mut engine = Engine::new();
    engine.add_policy("egress.rego".into(), POLICY.into())?;
    engine.add_data(Value::from_json_str(&format!("{{\"rules\":[{}]}}", rules.join(",")))?)?;
    let compile = start.elapsed();
    let input = format!(r#"{{"host":"h{}.example.com","port":443,"program":"/usr/bin/git"}}"#, count / 2);
    let input = Value::from_json_str(&input)?;
    let decision = mean(|| {
        engine.set_input(input.clone());
        Ok(engine.eval_rule("data.egress.allow".into())? == Value::from(true))
    })?;
    Ok(Cost { compile, decision })
}
